"""SETN: one-shot architecture search via a self-evaluated template network (Dong & Yang, ICCV 2019)."""

from __future__ import annotations

import heapq

from harness.methods.base import GradientMethod
from harness.methods.search_state import Search
from harness.spaces.base import Architecture, Mixture, SearchSpace
from pydantic import Field
from torch import Tensor


class SETN(GradientMethod):
    """w learns on one uniformly drawn cell a batch, α on the softmax(α) mixture of all operations.

    The result is, of the ``candidates`` cells that are most probable under p(cell) = ∏ softmax(α), the best by
    one-shot accuracy. All are scored on the same whole search-validation half; the released code scores each on another
    mini-batch. Before the last epoch nothing is scored, and the cell is the space's rule on α.
    """

    name = "setn"
    paper = "Dong & Yang: One-shot NAS via self-evaluated template network. ICCV 2019, arXiv:1910.05733"
    summary = "w trained on uniformly drawn cells, α on the softmax mixture; the best of α's top cells by validation"

    candidates: int = Field(100, ge=1, description="most probable cells scored after the last epoch")

    def mixture(self, search: Search) -> Mixture:
        return Mixture(search.alpha.softmax(dim=1))

    def weight_mixture(self, search: Search) -> Mixture:
        return Mixture.of(search.space.sample(search.noise), len(search.space.operations))

    def derive(self, search: Search) -> Architecture:
        if not search.in_last_epoch:
            return super().derive(search)
        log_p = search.alpha.detach().log_softmax(dim=1)
        return search.best_by_validation(most_probable(search.space, log_p, self.candidates))


def most_probable(space: SearchSpace, log_p: Tensor, count: int) -> list[Architecture]:
    """The ``count`` cells with the highest sum of log p over the edges, best first; all cells where there are fewer.

    From the most probable cell on, the next is always a neighbour of one before it: in each less probable cell one
    edge, or one of the edges that a node keeps, can be exchanged for a more probable one.

    Args:
        space: whose cells are meant.
        log_p: (edges, operations).
        count: at least 1.
    """
    rows = log_p.double().tolist()

    def surprise(cell: Architecture) -> float:
        return -sum(float(row[operation]) for row, operation in zip(rows, cell, strict=True))

    best = space.discretise(log_p)
    while surprise(better := min(space.neighbours(best), key=surprise)) < surprise(best):
        best = better
    waiting, seen, found = [(surprise(best), best)], {best}, list[Architecture]()
    while waiting and len(found) < count:
        found.append(heapq.heappop(waiting)[1])
        for cell in space.neighbours(found[-1]):
            if cell not in seen:
                seen.add(cell)
                heapq.heappush(waiting, (surprise(cell), cell))
    return found
