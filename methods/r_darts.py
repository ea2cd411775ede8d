"""R-DARTS and DARTS-ES: understanding and robustifying DARTS (Zela et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from pydantic import Field

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import SearchSpace


class RDARTS(WeightSharingMethod):
    """DARTS of first order whose w has a stronger weight decay, with or without early stopping.

    R-DARTS (L2) runs DARTS with several weight decays and keeps the best of the cells; here each is a run. The authors
    use 3e-4, 9e-4, 27e-4, 81e-4 and 243e-4, of which the default is the middle one.

    Early stopping measures the largest eigenvalue λ of ∇²_α L_val after every epoch but the last, and its time and
    passes count as search cost. Let λ̄(i) be the mean of λ over the k = ``window`` epochs up to i. The search ends
    after epoch i where λ̄(i - k) / λ̄(i) < ``threshold``, and α becomes again that of epoch i - k. The authors' code
    measures every other epoch, adds the weight decay of α to λ, and stops where the mean of five rises 1.3-fold over
    four measurements, but returns to no epoch before the tenth of fifty.
    """

    name = "r-darts"
    paper = "Zela, Elsken, Saikia, Marrakchi, Brox & Hutter: R-DARTS. ICLR 2020, arXiv:1909.09656"
    summary = "DARTS with a stronger weight decay of w"

    weight_decay: float | None = Field(27e-4, ge=0, description="weight decay of w (L2); null: the protocol's")
    early_stopping: bool = Field(False, description="end the search when the curvature in α rises")
    window: int = Field(5, ge=1, description="k, epochs in each mean of eigenvalues, and from one mean to the other")
    threshold: float = Field(0.75, gt=0, description="ratio λ̄(i - k) / λ̄(i) below which the search ends")
    earliest: float = Field(
        0.2,
        ge=0,
        le=1,
        description="never return to an epoch earlier than this fraction of the epochs (authors' code: 10 of 50)",
    )

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        return {"eigenvalues": [], "alphas": []}  # by epoch

    def begin_epoch(self, state: SearchState) -> None:
        if self.weight_decay is not None:
            for group in state.weight_optimizer.param_groups:
                group["weight_decay"] = self.weight_decay
        if self.early_stopping and state.epoch > 0:
            self.watch(state)

    @torch.no_grad()
    def watch(self, state: SearchState) -> None:
        """Measure the curvature after an epoch; where it has risen, stop and return to an earlier α."""
        eigenvalues, alphas = state.memory["eigenvalues"], state.memory["alphas"]
        with torch.enable_grad():
            eigenvalues.append(state.curvature())
        alphas.append(state.alpha.clone())
        if has_risen(eigenvalues, self.window, self.threshold):
            kept = len(alphas) - self.window  # epochs that were finished then
            if kept >= round(self.earliest * state.epochs):
                state.alpha.copy_(alphas[kept - 1])
                state.stopped = True


class DARTSES(RDARTS):
    """R-DARTS with ``early_stopping`` and the protocol's weight decay, under a name of its own.

    The largest eigenvalue λ of ∇²_α L_val is measured after every epoch but the last, as part of the search cost. λ̄(i)
    is its mean over the k = ``window`` epochs up to i. The search ends after epoch i where λ̄(i - k) / λ̄(i) <
    ``threshold``, and the cell is that of epoch i - k.
    """

    name = "darts-es"
    summary = "DARTS that ends when the curvature of the validation loss in α rises"

    weight_decay: float | None = Field(None, ge=0, description="weight decay of w (L2); null: the protocol's")
    early_stopping: bool = Field(True, description="end the search when the curvature in α rises")


def has_risen(eigenvalues: Sequence[float], window: int, threshold: float) -> bool:
    """True where the mean of the last ``window`` eigenvalues is positive, and that of those before below its part.

    That is, below ``threshold`` times it. False with fewer than 2 · ``window`` eigenvalues, and where one of these is
    not a number.
    """
    if len(eigenvalues) < 2 * window:
        return False
    before, now = fmean(eigenvalues[-2 * window : -window]), fmean(eigenvalues[-window:])
    return now > 0 and before < threshold * now
