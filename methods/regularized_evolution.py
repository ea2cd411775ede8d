"""Regularized evolution: the tournament in which the oldest cell dies, not the worst (Real et al., AAAI 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field

from harness.methods.base import Evaluation, QueryMethod
from harness.spaces.base import Architecture, SearchSpace


class RegularizedEvolution(QueryMethod):
    """Mutate the best of a random sample of the population, the P cells evaluated last (algorithm 1).

    The sample is drawn with replacement, and the child differs from its parent in one edge: each neighbour is equally
    likely. NAS-Bench-201's code draws the node first and then one of its edges, so that it mutates the edges of early
    nodes more often. A child that has been evaluated before is evaluated, and paid for, again.
    """

    name = "regularized-evolution"
    paper = "Real, Aggarwal, Huang & Le: Regularized evolution. AAAI 2019, arXiv:1802.01548"
    summary = "mutate the best of a sample of the youngest cells; the oldest dies; no supernet"

    P: int = Field(10, ge=1, description="size of the population (NAS-Bench-201's code: 10; the paper: 100)")
    S: int = Field(3, ge=1, description="cells in a sample (NAS-Bench-201's code: 3; the paper: 25)")
    epochs_per_cell: int = Field(
        1,
        ge=1,
        description="epochs each proposed cell is trained before it is validated; 1: evolution needs many cells",
    )

    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        if len(history) < self.P:
            return space.sample(rng)
        population = history[-self.P :]
        sample = [population[i] for i in torch.randint(self.P, (self.S,), generator=rng).tolist()]
        parent = max(sample, key=lambda evaluation: evaluation.valid_accuracy)
        children = space.neighbours(parent.architecture)
        return children[int(torch.randint(len(children), (), generator=rng))]
