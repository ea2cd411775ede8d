"""SETN: one-shot architecture search via a self-evaluated template network (Dong & Yang, ICCV 2019)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from methods.base import GradientMethod, Search
from spaces.base import Architecture, Mixture


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
        return search.best_by_validation(most_probable(search.alpha.detach().log_softmax(dim=1), self.candidates))


def most_probable(log_p: Tensor, count: int) -> list[Architecture]:
    """The ``count`` cells with the highest sum of log p over the edges, best first; all cells where there are fewer.

    Edge by edge, only the ``count`` best beginnings are kept. That is exact: a beginning that ``count`` others beat
    is beaten by as many whichever way it goes on.

    Args:
        log_p: (edges, operations).
        count: at least 1.
    """
    operations = log_p.shape[1]
    cells: list[Architecture] = [()]
    sums = torch.zeros(1, dtype=torch.float64)
    for edge in log_p.double().cpu():
        ordered = (sums[:, None] + edge).flatten().sort(descending=True, stable=True)
        sums, best = ordered.values[:count], ordered.indices[:count].tolist()
        cells = [(*cells[i // operations], i % operations) for i in best]
    return cells
