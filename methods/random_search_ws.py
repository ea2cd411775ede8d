"""Random search with weight sharing: the baseline of all weight-sharing methods (Li & Talwalkar, UAI 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Architecture, Mixture, SearchSpace


class RandomSearchWS(WeightSharingMethod):
    """Train w on one uniformly drawn cell per batch; then draw new cells and keep the best on the validation half.

    There is no α and no α step. All candidates are scored with the shared weights on the same whole search-validation
    half; the released NAS-Bench-201 code scores each on another mini-batch, where the winner is partly luck. Before
    the last epoch nothing is scored, and the cell is the first candidate, a uniformly drawn one.
    """

    name = "random-search-ws"
    paper = "Li & Talwalkar: Random search and reproducibility for NAS. UAI 2019, arXiv:1902.07638"
    summary = "supernet trained on uniformly drawn cells; the best of newly drawn cells by one-shot accuracy"
    group = "weight-sharing"
    bilevel: ClassVar[bool] = False

    candidates: int = Field(100, ge=1, description="cells drawn after the last epoch, of which the best is the result")

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        return {}

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture.of(state.space.sample(state.rng), len(state.space.operations))

    def derive(self, state: SearchState) -> Architecture:
        rng = state.fork_rng()
        count = self.candidates if state.in_last_epoch else 1
        cells = [state.space.sample(rng) for _ in range(count)]
        return state.best_by_validation(cells) if state.in_last_epoch else cells[0]
