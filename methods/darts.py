"""DARTS: differentiable architecture search by continuous relaxation (Liu, Simonyan & Yang, ICLR 2019)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod

ORDER = "order of the gradient of α: 1 takes w as it is (ξ = 0), 2 takes w after one unrolled training step"


class DARTS(WeightSharingMethod):
    """Every edge computes the softmax(α)-weighted sum of all operations (eq. 2); α descends the validation loss.

    With order 1 (ξ = 0) these are the defaults of :class:`WeightSharingMethod`. With order 2, α descends the loss that
    w would have after one more training step (eq. 6 to 8).
    """

    name = "darts"
    paper = "Liu, Simonyan & Yang: DARTS. ICLR 2019, arXiv:1806.09055"
    summary = "softmax mixture of all operations; α descends the validation loss, by order 1 or 2"

    order: Literal[1, 2] = Field(1, description=ORDER)
    epsilon: float = Field(
        0.01, gt=0, description="ε of order 2: finite differences change w by ε · gradient / ||gradient|| (section 2.3)"
    )

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        if self.order == 1:
            return super().alpha_step(state, train, valid)
        forward, gradients = unrolled_gradients(self, state, train, valid, self.epsilon)
        state.step_alpha(gradients)
        return forward


class SecondOrderDARTS(DARTS):
    """DARTS with ``order = 2`` under a name of its own, so that one study can hold both orders."""

    name = "darts-2nd"
    summary = "DARTS of order 2: α descends the loss after one unrolled training step"

    order: Literal[1, 2] = Field(2, description=ORDER)


def unrolled_gradients(
    method: WeightSharingMethod, state: SearchState, train: Batch, valid: Batch, epsilon: float
) -> tuple[Forward, list[torch.Tensor]]:
    """∇_α L_val(w', α) - ξ ∇²_{α,w} L_train(w, α) ∇_{w'} L_val(w', α), the last product by finite differences.

    w' = w - ξ (momentum · buffer + ∇_w L_train + weight decay · w), with ξ the current learning rate of w (eq. 6 to 8).
    As in the authors' code, the virtual step ignores Nesterov momentum and clipping. w and the running statistics of
    batch normalisation are left as they were, bit for bit.
    """
    weights, alphas = state.weights, list(state.alphas.values())
    group = state.weight_optimizer.param_groups[0]
    xi = group["lr"]
    original = [w.detach().clone() for w in weights]
    statistics = [buffer.clone() for buffer in state.supernet.buffers()]

    gradients = state.gradients(state.forward(train, method.mixture(state)).loss, weights)
    with torch.no_grad():
        for w, gradient in zip(weights, gradients, strict=True):
            buffer = state.weight_optimizer.state.get(w, {}).get("momentum_buffer")
            step = gradient + group["weight_decay"] * w
            w.sub_(xi * (step if buffer is None else step + group["momentum"] * buffer))

    forward = state.forward(valid, method.mixture(state))
    gradients = state.gradients(forward.loss, alphas + weights)
    result, direction = gradients[: len(alphas)], gradients[len(alphas) :]

    norm = torch.stack([(g * g).sum() for g in direction]).sum().sqrt()
    if norm > 0:  # otherwise the product is zero for any second derivatives
        r = epsilon / norm
        finite_difference = []
        for sign in (1, -1):
            with torch.no_grad():
                for w, start, g in zip(weights, original, direction, strict=True):
                    w.copy_(start + sign * r * g)
            loss = state.forward(train, method.mixture(state)).loss
            finite_difference.append(state.gradients(loss, alphas))
        for g, plus, minus in zip(result, *finite_difference, strict=True):
            g.sub_(xi * (plus - minus) / (2 * r))

    with torch.no_grad():
        for w, start in zip(weights, original, strict=True):
            w.copy_(start)
        for now, before in zip(state.supernet.buffers(), statistics, strict=True):
            now.copy_(before)
    return forward, result
