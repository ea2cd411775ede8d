"""β-DARTS: beta-decay regularisation for differentiable architecture search (Ye et al., CVPR 2022)."""

from __future__ import annotations

from pydantic import Field

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.spaces.base import Mixture


class BetaDARTS(WeightSharingMethod):
    """DARTS whose α also descends λ · the mean over edges of log Σ_o exp(α_o), the beta-decay loss.

    Its gradient decays each α by λ / edges · softmax(α): the larger the mixture weight, the faster. λ grows in
    proportion to the epoch, from 0 in the first (``lambda_max`` · epoch / epochs, as in the authors' code).
    """

    name = "beta-darts"
    paper = "Ye, Li, Li, Chen, Fan & Ouyang: β-DARTS. CVPR 2022, arXiv:2203.01665"
    summary = "DARTS with a loss that decays the softmax weights, ever more strongly"

    lambda_max: float = Field(50.0, ge=0, description="λ would reach this one epoch after the last")

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(state.alpha.softmax(dim=1))

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        forward = state.forward(valid, self.mixture(state))
        weight = self.lambda_max * state.epoch / state.epochs
        state.update_alpha(forward.loss + weight * state.alpha.logsumexp(dim=1).mean())
        return forward
