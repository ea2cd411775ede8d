"""ReinMax: bridging discrete and backpropagation, straight-through and beyond (Liu et al., NeurIPS 2023)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch.nn.functional import one_hot

from harness.methods.base import SearchState, WeightSharingMethod, gumbel
from harness.spaces.base import Mixture


class ReinMax(WeightSharingMethod):
    """Every edge computes one operation D, drawn with probability π = softmax(α); the gradient is of second order.

    With π_τ = softmax(α / τ) and π_D = (π_τ + D) / 2, the gradient of the loss L is
    2 · (diag π_D - π_D π_Dᵀ) ∂L/∂D - 1/2 · (diag π - π πᵀ) ∂L/∂D. At τ = 1 this is Heun's rule, where the
    straight-through estimator is Euler's. ∂L/∂D needs the output of every operation, so α steps compute all of them;
    weight steps compute the drawn one alone.
    """

    name = "reinmax"
    paper = "Liu, Dong, Liu, Yu & Gao: Bridging discrete and backpropagation. NeurIPS 2023, arXiv:2304.08612"
    summary = "one sampled operation per edge, second-order straight-through gradient"

    tau: float = Field(
        1.0, gt=0, description="τ, softmax temperature of the gradient alone; the paper advises 1 or more"
    )

    def mixture(self, state: SearchState) -> Mixture:
        alpha = state.alpha
        drawn = (alpha.detach() + gumbel(alpha.shape, state.rng).to(alpha)).argmax(dim=1)
        d = one_hot(drawn, alpha.shape[1]).to(alpha)
        if not torch.is_grad_enabled():
            return Mixture(d, selected=tuple(drawn.tolist()))
        pi_d = (((alpha / self.tau).softmax(dim=1) + d) / 2).detach()
        at_pi_d = (pi_d.log() + (alpha - alpha.detach())).softmax(dim=1)  # π_D, with the gradient of softmax there
        surrogate = 2 * at_pi_d - alpha.softmax(dim=1) / 2
        return Mixture(d + (surrogate - surrogate.detach()))
