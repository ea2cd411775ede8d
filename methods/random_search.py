"""Random search: the baseline every search method has to beat (Li & Talwalkar, UAI 2019; Yang et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harness.methods.base import Evaluation, QueryMethod
from harness.spaces.base import Architecture, SearchSpace


class RandomSearch(QueryMethod):
    """Draw cells uniformly, train each for a few epochs, keep the one with the best validation accuracy."""

    name = "random-search"
    paper = "Li & Talwalkar: Random search and reproducibility for NAS. UAI 2019, arXiv:1902.07638"
    summary = "uniformly drawn cells, each trained briefly from scratch, at equal budget; no supernet"

    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        return space.sample(rng)
