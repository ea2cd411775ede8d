"""BOHB: Hyperband whose cells are proposed by a model of kernel densities (Falkner, Klein & Hutter, ICML 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from harness.methods.base import Evaluation, Query, QueryMethod
from harness.spaces.base import Architecture, SearchSpace

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int64]


class BOHB(QueryMethod):
    """Brackets of successive halving; the cells that begin one have a high ratio l / g of good to bad cells' densities.

    The budgets are the lengths of training that there are, ascending, of a table (12 and 200 epochs of NAS-Bench-201)
    or, where cells are trained, ``epochs_per_cell`` divided by powers of η. Each stands for η times the one before,
    whatever their numbers of epochs, so that two budgets make two brackets. Brackets follow each other from the one
    that begins with the most cells to the one that evaluates all in full, then anew.

    The densities are those of the largest budget with enough evaluations: products over edges of the kernel of
    Aitchison & Aitken for categories. Their bandwidths are Scott's rule, 1.06 σ n^(-1/(4 + edges)), as in the paper's
    code, but there σ is of the operations' numbers, so that their order matters and bandwidths can pass what the kernel
    allows; here it is √((1 - Σ p²) / 2), the same where there are two operations. The paper widens every bandwidth to
    draw from, its code only those of numbers; here as in the paper. A cell drawn again is evaluated, and paid for,
    again. Asked without shorter trainings it is this model alone, at one budget.
    """

    name = "bohb"
    paper = "Falkner, Klein & Hutter: BOHB. ICML 2018, arXiv:1807.01774"
    summary = "Hyperband over two or more lengths of training, with a density model to propose cells; no supernet"
    multi_fidelity = True

    eta: int = Field(3, ge=2, description="η: one of so many cells goes on to the next budget")
    random_fraction: float = Field(1 / 3, ge=0, le=1, description="ρ: of the cells that are drawn uniformly")
    samples: int = Field(64, ge=1, description="cells drawn, of which the one with the highest l / g is evaluated")
    top: float = Field(0.15, gt=0, lt=1, description="q: fraction of the evaluations that are good")
    bandwidth_factor: float = Field(3.0, gt=0, description="b: bandwidths to draw from, in those of the density")
    min_bandwidth: float = Field(1e-3, gt=0, description="least bandwidth, where all cells agree on an edge")
    epochs_per_cell: int = Field(9, ge=1, description="epochs a cell that comes through a bracket is trained at last")

    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        return self.query(space, history, rng, ()).architecture

    def query(
        self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator, shorter: Sequence[int]
    ) -> Query:
        told: dict[int | None, list[Evaluation]] = {budget: [] for budget in (None, *reversed(shorter))}
        left, rung = list(history), []  # the rung is the one before in its bracket: its best go on
        for budget, size in self.rungs([*shorter, None]):
            told[budget] += left[:size]
            if len(left) < size:
                break
            rung, left = ([] if budget is None else left[:size]), left[size:]
        if rung:
            return Query(by_accuracy(rung)[len(left)].architecture, budget)
        return Query(self.propose(space, list(told.values()), rng), budget)

    def rungs(self, budgets: Sequence[int | None]) -> Iterator[tuple[int | None, int]]:
        """Each rung of each bracket, without end: its budget and how many cells it evaluates (Hyperband's loops)."""
        while True:
            for s in reversed(range(len(budgets))):
                size = math.ceil(len(budgets) * self.eta**s / (s + 1))
                for i in range(s + 1):
                    yield budgets[len(budgets) - 1 - s + i], size // self.eta**i

    def shorter_trainings(self) -> Sequence[int]:
        epochs: list[int] = []
        while (fewer := self.epochs_per_cell // self.eta ** (len(epochs) + 1)) >= 1:
            epochs.append(fewer)
        return epochs[::-1]

    def propose(self, space: SearchSpace, told: Sequence[Sequence[Evaluation]], rng: torch.Generator) -> Architecture:
        """A cell to begin a bracket with (algorithm 2); ``told`` is the history by budget, the largest first."""
        observed = self.observed(told, len(space.edges) + 1)
        if observed is None or float(torch.rand((), generator=rng)) < self.random_fraction:
            return space.sample(rng)
        operations = len(space.operations)
        good, bad = (Density(cells, operations, self.min_bandwidth) for cells in observed)
        drawn = possible(space, good.draw(self.samples, self.bandwidth_factor, rng), rng)
        return tuple(drawn[int(np.argmax(good(drawn) / bad(drawn)))].tolist())

    def observed(self, told: Sequence[Sequence[Evaluation]], least: int) -> tuple[Cells, Cells] | None:
        """The good and the bad cells (cells, edges), at the largest budget with ``least + 2`` evaluations (equation 3).

        Both are ``least`` at least, and then overlap. None where no budget has as many evaluations.
        """
        for evaluations in told:
            if (count := len(evaluations)) >= least + 2:
                cells = np.array([seen.architecture for seen in by_accuracy(evaluations)])
                good = max(least, int(self.top * count))
                return cells[:good], cells[-max(least, count - good) :]
        return None


def possible(space: SearchSpace, drawn: Cells, rng: torch.Generator) -> Cells:
    """What was drawn edge by edge, (cells, edges), as cells of the space.

    Where a node keeps some of its edges, it keeps of those drawn with an operation the space's number, at random; if
    fewer were drawn, others with operations at random join them.
    """
    if len(space.kept(space.architecture(0))) == len(space.edges):
        return drawn
    chosen = nn.functional.one_hot(torch.from_numpy(drawn), len(space.operations))
    scores = chosen + torch.rand(chosen.shape, generator=rng)
    return np.array([space.discretize(score, score) for score in scores])


def by_accuracy(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The best first; of equals, the one evaluated first."""
    return sorted(evaluations, key=lambda seen: -seen.valid_accuracy)


class Density:
    """A kernel density over cells: the mean over the cells it is made of, of the product over edges.

    The kernel of an edge is 1 - λ where operations are equal, else λ / (operations - 1); λ, (edges,), is its bandwidth,
    at most (operations - 1) / operations, with which every operation is as likely.
    """

    def __init__(self, cells: Cells, operations: int, min_bandwidth: float) -> None:
        self.cells, self.operations = cells, operations
        count, edges = cells.shape
        frequency = (cells[:, :, None] == np.arange(operations)).mean(axis=0)
        spread = np.sqrt((1 - (frequency**2).sum(axis=1)) / 2)
        self.bandwidth = self._allowed(np.maximum(1.06 * spread * count ** (-1 / (4 + edges)), min_bandwidth))

    def _allowed(self, bandwidth: Floats) -> Floats:
        return np.minimum(bandwidth, (self.operations - 1) / self.operations)

    def __call__(self, cells: Cells) -> Floats:
        """The density at each of ``cells``, (cells,)."""
        equal = cells[:, None, :] == self.cells[None, :, :]
        kernels = np.where(equal, 1 - self.bandwidth, self.bandwidth / (self.operations - 1))
        return np.asarray(kernels.prod(axis=2).mean(axis=1))

    def draw(self, count: int, factor: float, rng: torch.Generator) -> Cells:
        """Cells (count, edges) from the density with bandwidths ``factor`` times as wide."""
        centre = self.cells[torch.randint(len(self.cells), (count,), generator=rng).numpy()]
        bandwidth = self._allowed(factor * self.bandwidth)
        moves = torch.rand(centre.shape, generator=rng).numpy() < bandwidth
        steps = torch.randint(1, self.operations, centre.shape, generator=rng).numpy()
        return np.asarray(np.where(moves, (centre + steps) % self.operations, centre))
