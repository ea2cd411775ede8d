"""Annealed DARTS: the softmax of DARTS at a temperature that falls over the run."""

from __future__ import annotations

from pydantic import Field

from harness.methods.base import SearchState, WeightSharingMethod, linear
from harness.spaces.base import Mixture


class Annealed(WeightSharingMethod):
    """Every edge computes the softmax(α/τ)-weighted sum of all operations."""

    name = "annealed"
    paper = "none: the README's example"
    summary = "DARTS at a falling softmax temperature"

    tau_max: float = Field(5.0, gt=0, description="τ in the first epoch")
    tau_min: float = Field(0.5, gt=0, description="τ in the last epoch; linear between")

    def mixture(self, state: SearchState) -> Mixture:
        tau = linear(self.tau_max, self.tau_min, state.epoch, state.epochs)
        return Mixture((state.alpha / tau).softmax(dim=1))
