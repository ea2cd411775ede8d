"""Random search: the baseline every search method has to beat (Li & Talwalkar, UAI 2019; Yang et al., ICLR 2020)."""

from __future__ import annotations

from harness.methods.base import QueryMethod, QueryState
from harness.spaces.base import Architecture


class RandomSearch(QueryMethod):
    """Draw cells uniformly, train each for a few epochs, and keep the one with the best validation accuracy."""

    name = "random-search"
    paper = "Li & Talwalkar: Random search and reproducibility for NAS. UAI 2019, arXiv:1902.07638"
    summary = "uniformly drawn cells, each trained briefly from scratch; no supernet"

    def ask(self, state: QueryState) -> Architecture:
        return state.space.sample(state.rng)
