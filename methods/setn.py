"""SETN: one-shot architecture search via a self-evaluated template network (Dong & Yang, ICCV 2019)."""

from __future__ import annotations

import heapq

from pydantic import Field
from torch import Tensor

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Architecture, Mixture, SearchSpace


class SETN(WeightSharingMethod):
    """w learns on one uniformly drawn cell per batch, α on the softmax(α) mixture of all operations.

    The result is the best by one-shot accuracy of the ``candidates`` cells that are most probable under
    p(cell) = ∏ softmax(α). All are scored on the same whole search-validation half; the released code scores each on
    another mini-batch. Before the last epoch nothing is scored, and the cell is that of the space's rule on α.
    """

    name = "setn"
    paper = "Dong & Yang: One-shot NAS via self-evaluated template network. ICCV 2019, arXiv:1910.05733"
    summary = "w trained on uniformly drawn cells, α on the softmax mixture; the best of the most probable cells"
    group = "weight-sharing"

    candidates: int = Field(
        100, ge=1, description="number of the most probable cells that are scored after the last epoch"
    )

    def weight_mixture(self, state: SearchState) -> Mixture:
        return Mixture.of(state.space.sample(state.rng), len(state.space.operations))

    def derive(self, state: SearchState) -> Architecture:
        if not state.in_last_epoch:
            return super().derive(state)
        log_p = state.alpha.detach().log_softmax(dim=1)
        return state.best_by_validation(most_probable(state.space, log_p, self.candidates))


def most_probable(space: SearchSpace, log_p: Tensor, count: int) -> list[Architecture]:
    """The ``count`` cells with the highest sum of log p over the edges, best first; all cells where there are fewer.

    The next most probable cell is always a neighbour of one before it, since in every other cell one edge, or one of
    the edges that a node keeps, can be exchanged for a more probable one.

    Args:
        space: the search space.
        log_p: (edges, operations).
        count: at least 1.
    """
    rows = log_p.double().tolist()

    def surprise(cell: Architecture) -> float:
        return -sum(float(row[operation]) for row, operation in zip(rows, cell, strict=True))

    best = space.discretize(log_p)
    while surprise(better := min(space.neighbours(best), key=surprise)) < surprise(best):
        best = better
    waiting, seen, cells = [(surprise(best), best)], {best}, list[Architecture]()
    while waiting and len(cells) < count:
        cells.append(heapq.heappop(waiting)[1])
        for cell in space.neighbours(cells[-1]):
            if cell not in seen:
                seen.add(cell)
                heapq.heappush(waiting, (surprise(cell), cell))
    return cells
