"""β-DARTS: beta-decay regularisation for differentiable architecture search (Ye et al., CVPR 2022)."""

from __future__ import annotations

from harness.methods.base import GradientMethod
from harness.methods.search_state import Batch, Forward, Search
from harness.spaces.base import Mixture
from pydantic import Field


class BetaDARTS(GradientMethod):
    """DARTS whose α also descends λ · the mean over edges of log Σ_o exp(α_o), the beta-decay loss.

    Its gradient decays each α by λ / edges · softmax(α): the larger the mixture weight, the faster. λ grows in
    proportion to the epoch, from 0 in the first (``lambda_max`` · epoch / epochs, as in the authors' code).
    """

    name = "beta-darts"
    paper = "Ye, Li, Li, Chen, Fan & Ouyang: β-DARTS. CVPR 2022, arXiv:2203.01665"
    summary = "DARTS with a loss that decays the softmax weights, ever more strongly"

    lambda_max: float = Field(50.0, ge=0, description="λ would reach this one epoch after the last")

    def mixture(self, search: Search) -> Mixture:
        return Mixture(search.alpha.softmax(dim=1))

    def alpha_step(self, search: Search, train: Batch, valid: Batch) -> Forward | None:
        forward = search.forward(valid, self.mixture(search))
        weight = self.lambda_max * search.epoch / search.epochs
        search.update_alpha(forward.loss + weight * search.alpha.logsumexp(dim=1).mean())
        return forward
