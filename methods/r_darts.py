"""R-DARTS and DARTS-ES: understanding and robustifying DARTS (Zela et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Annotated

import torch
from pydantic import Field

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Mixture


class RDARTS(WeightSharingMethod):
    """DARTS of first order whose w has a stronger weight decay, and which may stop when the curvature in α rises.

    R-DARTS (L2) runs DARTS with several weight decays and keeps the best of the cells; here each is a run. The authors'
    are 3e-4, 9e-4, 27e-4, 81e-4 and 243e-4, of which the default is the middle one.

    Early stopping measures the largest eigenvalue λ of ∇²_α L_val between any two epochs, at the method's cost. With
    λ̄ the mean of ``window`` epochs, k, the search ends after epoch i where λ̄(i - k) / λ̄(i) < ``threshold``, and α is
    again that of epoch i - k. The authors' code measures every other epoch, adds the weight decay of α to λ, and stops
    where the mean of five rises 1.3-fold over four measurements, but gives back no epoch before the tenth of fifty.
    """

    name = "r-darts"
    paper = "Zela, Elsken, Saikia, Marrakchi, Brox & Hutter: R-DARTS. ICLR 2020, arXiv:1909.09656"
    summary = "DARTS with a stronger weight decay of w"

    weight_decay: Annotated[float, Field(ge=0)] | None = Field(
        27e-4, description="of w (L2); null: the protocol's weight decay"
    )
    early_stopping: bool = Field(False, description="end the search when the curvature in α rises")
    window: int = Field(5, ge=1, description="k, epochs of each mean and between the two")
    threshold: float = Field(0.75, gt=0, description="stop where λ̄(i - k) / λ̄(i) falls below it")
    earliest: float = Field(
        0.2,
        ge=0,
        le=1,
        description="fraction of the epochs before which none is gone back to (authors' code: 10 of 50)",
    )

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(state.alpha.softmax(dim=1))

    def begin_epoch(self, state: SearchState) -> None:
        if self.weight_decay is not None:
            for group in state.weight_optimizer.param_groups:
                group["weight_decay"] = self.weight_decay
        if self.early_stopping and state.epoch > 0:
            self.watch(state)

    @torch.no_grad()
    def watch(self, state: SearchState) -> None:
        """Measure the curvature after an epoch; stop, and go back to an earlier α, where it has risen."""
        eigenvalues = state.memory.setdefault("eigenvalues", [])
        alphas = state.memory.setdefault("alphas", [])
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

    It ends the search after epoch i where the largest eigenvalue λ of ∇²_α L_val, which is measured between any two
    epochs at the method's cost, has risen: where λ̄(i - k) / λ̄(i) < ``threshold``. The cell is that of epoch i - k.
    """

    name = "darts-es"
    summary = "DARTS that ends when the curvature of the validation loss in α rises"

    weight_decay: Annotated[float, Field(ge=0)] | None = Field(
        None, description="of w (L2); null: the protocol's weight decay"
    )
    early_stopping: bool = Field(True, description="end the search when the curvature in α rises")


def has_risen(eigenvalues: Sequence[float], window: int, threshold: float) -> bool:
    """Whether the mean of the last eigenvalues is positive, and that of those before is less than its ``threshold``.

    Never with fewer than 2 · ``window`` of them, and never where one of these is not a number.
    """
    if len(eigenvalues) < 2 * window:
        return False
    before, now = fmean(eigenvalues[-2 * window : -window]), fmean(eigenvalues[-window:])
    return now > 0 and before < threshold * now
