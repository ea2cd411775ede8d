"""β-DARTS: beta-decay regularisation for differentiable architecture search (Ye et al., CVPR 2022)."""

from __future__ import annotations

from pydantic import Field

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod


class BetaDARTS(WeightSharingMethod):
    """DARTS whose α also descends the beta-decay loss, λ times the mean over edges of log Σ_o exp(α_o).

    The gradient of this loss decays each α by λ / edges · softmax(α): a larger mixture weight decays faster. λ is
    ``lambda_max`` · epoch / epochs, with epochs counted from 0, as in the authors' code.
    """

    name = "beta-darts"
    paper = "Ye, Li, Li, Chen, Fan & Ouyang: β-DARTS. CVPR 2022, arXiv:2203.01665"
    summary = "DARTS with a loss that decays the softmax weights, more strongly each epoch"

    lambda_max: float = Field(
        50.0, ge=0, description="value that λ would reach one epoch after the last; it grows linearly from 0"
    )

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        forward = state.forward(valid, self.mixture(state))
        weight = self.lambda_max * state.epoch / state.epochs
        state.update_alpha(forward.loss + weight * state.alpha.logsumexp(dim=1).mean())
        return forward
