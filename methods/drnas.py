"""DrNAS: Dirichlet neural architecture search (Chen, Wang, Cheng, Tang & Hsieh, ICLR 2021)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.spaces.base import Mixture

SMALLEST = 1e-6
"""Smallest concentration: elu(α) + 1 is rounded to 0 for very small α, where no Dirichlet distribution exists."""


class DrNAS(WeightSharingMethod):
    """Every edge mixes all operations by a sample of Dirichlet(elu(α) + 1), with a pathwise gradient to α.

    A regulariser keeps α near 0, where the distribution is uniform on the simplex: the weight decay of the protocol's
    optimizer (the authors' default) or the divergence from that distribution. The derived operation, the largest α, has
    the largest mean. The progressive scheme of the paper, which widens a supernet of partial channels and prunes
    operations during the search, is not part of this method.
    """

    name = "drnas"
    paper = "Chen, Wang, Cheng, Tang & Hsieh: DrNAS. ICLR 2021, arXiv:2006.10355"
    summary = "mixture weights drawn from a learnt Dirichlet distribution, pathwise gradient"

    regularizer: Literal["l2", "kl"] = Field(
        "l2",
        description="regulariser of α. l2: weight decay by the optimizer; kl: divergence KL(Dir(elu(α) + 1) || Dir(1))",
    )
    reg_scale: float = Field(
        1e-3, ge=0, description="weight of the divergence in the loss of α, where regularizer is kl"
    )

    def alpha_optimizer(self, alphas: list[nn.Parameter], default: torch.optim.Optimizer) -> torch.optim.Optimizer:
        if self.regularizer == "kl":
            for group in default.param_groups:
                group["weight_decay"] = 0.0
        return default

    def mixture(self, state: SearchState) -> Mixture:
        sample = DirichletSample.apply(concentration(state.alpha).cpu(), state.rng)  # type: ignore[no-untyped-call]
        return Mixture(sample.to(state.alpha))

    def operation_weights(self, state: SearchState) -> Tensor:
        beta = concentration(state.alpha)
        return beta / beta.sum(dim=1, keepdim=True)

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        forward = state.forward(valid, self.mixture(state))
        loss = forward.loss
        if self.regularizer == "kl":
            now = concentration(state.alpha)
            divergence = kl_divergence(Dirichlet(now), Dirichlet(torch.ones_like(now)))  # (edges,)
            loss = loss + self.reg_scale * divergence.sum()
        state.update_alpha(loss)
        return forward


def concentration(alpha: Tensor) -> Tensor:
    """elu(α) + 1, the parameters of each edge's Dirichlet distribution; (edges, operations)."""
    return (F.elu(alpha) + 1).clamp(min=SMALLEST)


class DirichletSample(torch.autograd.Function):
    """A sample x of Dirichlet(β) for each row of β, drawn from a random stream of its own, with its pathwise gradient.

    dx_j/dβ_i = (δ_ij - x_j) / (1 - x_i) · dx_i/dβ_i, where dx_i/dβ_i moves x_i along its marginal Beta distribution at
    constant probability (Jankowiak & Obermeyer, ICML 2018, arXiv:1806.01851).
    """

    @staticmethod
    def forward(ctx: Any, beta: Tensor, rng: torch.Generator) -> Tensor:
        x = torch._sample_dirichlet(beta, generator=rng)
        ctx.save_for_backward(x, beta)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, beta = ctx.saved_tensors
        total = beta.sum(dim=1, keepdim=True).expand_as(beta)
        along = torch._dirichlet_grad(x, beta, total)  # dx_i/dβ_i / (1 - x_i)
        return along * (gradient - (x * gradient).sum(dim=1, keepdim=True)), None
