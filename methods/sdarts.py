"""SmoothDARTS: stabilising DARTS by perturbation-based regularisation (Chen & Hsieh, ICML 2020)."""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod, linear
from harness.spaces.base import Mixture


class SmoothDARTS(WeightSharingMethod):
    """DARTS whose w learns under softmax(α) + Δ, so that the loss becomes smooth around α.

    Δ lies within ±ε for each weight; rows are then clipped to [0, 1] and divided by their sum. Δ never changes α
    itself, and α steps use softmax(α).
    """

    paper: ClassVar[str] = "Chen & Hsieh: SmoothDARTS. ICML 2020, arXiv:2002.05283"

    epsilon_min: float = Field(0.03, ge=0, description="ε, the largest perturbation of a weight, in the first epoch")
    epsilon_max: float = Field(0.3, ge=0, description="ε in the last epoch; linear between")

    def weight_step(self, state: SearchState, train: Batch) -> Forward:
        epsilon = linear(self.epsilon_min, self.epsilon_max, state.epoch, state.epochs)
        weights = self.perturbed(state, train, epsilon)
        forward = state.forward(train, self.with_weights(state, weights))
        state.update_weights(forward.loss)
        return forward

    @abc.abstractmethod
    def perturbed(self, state: SearchState, train: Batch, epsilon: float) -> Tensor:
        """The mixture weights (edges, operations), detached, for a weight step."""

    def with_weights(self, state: SearchState, weights: Tensor) -> Mixture:
        """The mixture of one forward pass with these weights instead of softmax(α)."""
        return replace(self.mixture(state), weights=weights)


class RandomSmoothDARTS(SmoothDARTS):
    """SDARTS-RS: w learns under softmax(α) + Δ, with Δ drawn uniformly within ±ε for every step of w.

    Rows are then clipped to [0, 1] and divided by their sum. α steps use softmax(α).
    """

    name = "sdarts-rs"
    summary = "DARTS whose network weights train under randomly perturbed softmax weights"

    def perturbed(self, state: SearchState, train: Batch, epsilon: float) -> Tensor:
        p = state.alpha.detach().softmax(dim=1)
        return onto_simplex(p + uniform(p, epsilon, state.rng))


class AdversarialSmoothDARTS(SmoothDARTS):
    """SDARTS-ADV: w learns under softmax(α) + Δ, with the Δ within ±ε that maximises the training loss.

    Projected gradient ascent finds Δ for every step of w: each of its steps follows the sign of the gradient by
    2ε / ``steps``, from a random start, with the supernet in evaluation mode. Where the loss fell, Δ is 0. Its passes
    count as search cost. α steps use softmax(α).
    """

    name = "sdarts-adv"
    summary = "DARTS whose network weights train under the worst softmax weights nearby"

    steps: int = Field(7, ge=1, description="steps of projected gradient ascent for each step of w")

    def perturbed(self, state: SearchState, train: Batch, epsilon: float) -> Tensor:
        state.supernet.eval()
        p = state.alpha.detach().softmax(dim=1)
        with torch.no_grad():
            before = state.forward(train, self.with_weights(state, p)).loss
        q = onto_simplex(p + uniform(p, epsilon, state.rng))
        for _ in range(self.steps):
            q.requires_grad_()
            (gradient,) = state.gradients(state.forward(train, self.with_weights(state, q)).loss, [q])
            moved = q.detach() + 2 * epsilon / self.steps * gradient.sign()
            q = onto_simplex(p + (moved - p).clamp(-epsilon, epsilon))
        with torch.no_grad():
            after = state.forward(train, self.with_weights(state, q)).loss
        state.supernet.train()
        return torch.where(after < before, p, q)


def uniform(like: Tensor, epsilon: float, rng: torch.Generator) -> Tensor:
    """Uniform noise within ±ε, of the shape and on the device of ``like``."""
    return (epsilon * (2 * torch.rand(like.shape, generator=rng) - 1)).to(like)


def onto_simplex(weights: Tensor) -> Tensor:
    """Rows (edges, operations) clipped to [0, 1] and divided by their sum; one-hot at the largest where that is 0."""
    clipped = weights.clamp(0, 1)
    total = clipped.sum(dim=1, keepdim=True)
    largest = one_hot(weights.argmax(dim=1), weights.shape[1]).to(weights)
    return torch.where(total > 0, clipped / total.clamp(min=torch.finfo(weights.dtype).tiny), largest)
