"""Regularized evolution: the tournament in which the oldest cell dies, not the worst (Real et al., AAAI 2019)."""

from __future__ import annotations

import torch
from pydantic import Field

from harness.methods.base import QueryMethod, QueryState
from harness.spaces.base import Architecture


class RegularizedEvolution(QueryMethod):
    """Mutate the best of a random sample of the population, which is the P cells evaluated last (algorithm 1).

    The sample is drawn with replacement. The child differs from its parent in one edge, and each neighbour is equally
    likely; NAS-Bench-201's code draws the node first and then one of its edges, so that it mutates the edges of early
    nodes more often. A child that has been evaluated before is evaluated again, at the same cost.
    """

    name = "regularized-evolution"
    paper = "Real, Aggarwal, Huang & Le: Regularized evolution. AAAI 2019, arXiv:1802.01548"
    summary = "mutate the best of a sample of the youngest cells; the oldest dies; no supernet"

    P: int = Field(10, ge=1, description="size of the population (NAS-Bench-201's code: 10; the paper: 100)")
    S: int = Field(3, ge=1, description="cells in a sample (NAS-Bench-201's code: 3; the paper: 25)")
    epochs_per_cell: int = Field(
        1,
        ge=1,
        description="training epochs of each proposed cell before it is validated; few, since evolution needs many "
        "cells",
    )

    def ask(self, state: QueryState) -> Architecture:
        if len(state.history) < self.P:
            return state.space.sample(state.rng)
        population = state.history[-self.P :]
        sample = [population[i] for i in torch.randint(self.P, (self.S,), generator=state.rng).tolist()]
        parent = max(sample, key=lambda evaluation: evaluation.valid_accuracy)
        children = state.space.neighbours(parent.architecture)
        return children[int(torch.randint(len(children), (), generator=state.rng))]
