"""BOHB: Hyperband whose cells are proposed by a model of kernel densities (Falkner, Klein & Hutter, ICML 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from harness.methods.base import Evaluation, Query, QueryMethod, QueryState
from harness.spaces.base import Architecture, SearchSpace

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int64]


class BOHB(QueryMethod):
    """Brackets of successive halving, each begun with cells that have a high ratio l / g of two densities.

    l is a density of good cells, g one of bad cells. The budgets are numbers of training epochs, ascending: those of
    the table (12 and 200 of NAS-Bench-201) or, where cells are trained, ``epochs_per_cell`` divided by powers of η.
    Each counts as η times the one before, whatever its number of epochs, so that two budgets make two brackets. The
    first bracket begins with the most cells, the last one evaluates all in full; then the brackets repeat.

    The densities are those of the largest budget with enough evaluations: products over edges of the kernel of
    Aitchison & Aitken for categories. Their bandwidths follow Scott's rule, 1.06 σ n^(-1/(4 + edges)), as in the
    paper's code. There σ is that of the operations' numbers, so that their order matters and bandwidths can exceed what
    the kernel allows; here it is √((1 - Σ p²) / 2), which is the same for two operations. For drawing, the paper widens
    every bandwidth, its code only those of numbers; here as in the paper. A cell drawn again is evaluated again, at the
    same cost. Without lower fidelities the method is this model alone, at one budget.
    """

    name = "bohb"
    paper = "Falkner, Klein & Hutter: BOHB. ICML 2018, arXiv:1807.01774"
    summary = (
        "Hyperband over two or more numbers of training epochs, with cells proposed by a density model; no supernet"
    )
    multi_fidelity = True

    eta: int = Field(3, ge=2, description="keep the best 1/η of the cells at each step")
    random_fraction: float = Field(
        1 / 3, ge=0, le=1, description="ρ, fraction of the proposed cells that are drawn uniformly"
    )
    samples: int = Field(
        64, ge=1, description="cells drawn from the model, of which the one with the highest l / g is evaluated"
    )
    top: float = Field(0.15, gt=0, lt=1, description="q, fraction of the evaluations that count as good")
    bandwidth_factor: float = Field(3.0, gt=0, description="b, factor by which bandwidths are widened for drawing")
    min_bandwidth: float = Field(1e-3, gt=0, description="smallest bandwidth, for edges on which all cells agree")
    epochs_per_cell: int = Field(
        9, ge=1, description="training epochs of the cells that remain at the end of a bracket"
    )

    def ask(self, state: QueryState) -> Query:
        budgets = [*state.lower_fidelities, None]
        results: dict[int | None, list[Evaluation]] = {budget: [] for budget in reversed(budgets)}
        left, previous = list(state.history), []  # the previous rung of the same bracket, whose best cells go on
        for budget, size in self.rungs(budgets):
            results[budget] += left[:size]
            if len(left) < size:
                break
            previous, left = ([] if budget is None else left[:size]), left[size:]
        if previous:
            return Query(by_accuracy(previous)[len(left)].architecture, budget)
        return Query(self.propose(state.space, list(results.values()), state.rng), budget)

    def rungs(self, budgets: Sequence[int | None]) -> Iterator[tuple[int | None, int]]:
        """Each rung of each bracket, without end: its budget and its number of cells (Hyperband's loops)."""
        while True:
            for s in reversed(range(len(budgets))):
                size = math.ceil(len(budgets) * self.eta**s / (s + 1))
                for i in range(s + 1):
                    yield budgets[len(budgets) - 1 - s + i], size // self.eta**i

    def lower_fidelities(self) -> Sequence[int]:
        epochs: list[int] = []
        while (fewer := self.epochs_per_cell // self.eta ** (len(epochs) + 1)) >= 1:
            epochs.append(fewer)
        return epochs[::-1]

    def propose(
        self, space: SearchSpace, results: Sequence[Sequence[Evaluation]], rng: torch.Generator
    ) -> Architecture:
        """A cell to begin a bracket with (algorithm 2); ``results`` is the history by budget, the largest first."""
        observed = self.observed(results, len(space.edges) + 1)
        if observed is None or float(torch.rand((), generator=rng)) < self.random_fraction:
            return space.sample(rng)
        operations = len(space.operations)
        good, bad = (Density(cells, operations, self.min_bandwidth) for cells in observed)
        drawn = possible(space, good.draw(self.samples, self.bandwidth_factor, rng), rng)
        return tuple(drawn[int(np.argmax(good(drawn) / bad(drawn)))].tolist())

    def observed(self, results: Sequence[Sequence[Evaluation]], least: int) -> tuple[Cells, Cells] | None:
        """The good and the bad cells (cells, edges) at the largest budget with ``least + 2`` evaluations (equation 3).

        Each has at least ``least`` cells, for which they may overlap. None where no budget has enough evaluations.
        """
        for evaluations in results:
            if (count := len(evaluations)) >= least + 2:
                cells = np.array([cell for cell, _ in by_accuracy(evaluations)])
                good = max(least, int(self.top * count))
                return cells[:good], cells[-max(least, count - good) :]
        return None


def possible(space: SearchSpace, drawn: Cells, rng: torch.Generator) -> Cells:
    """Cells of the space from operations drawn edge by edge, (cells, edges).

    Where a node keeps some of its edges, it keeps as many as the space says of those drawn with an operation, at
    random; where fewer were drawn, others with random operations join them.
    """
    if len(space.kept(space.architecture(0))) == len(space.edges):
        return drawn
    chosen = nn.functional.one_hot(torch.from_numpy(drawn), len(space.operations))
    scores = chosen + torch.rand(chosen.shape, generator=rng)
    return np.array([space.discretize(score, score) for score in scores])


def by_accuracy(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations, best first; of equals, the one evaluated first."""
    return sorted(evaluations, key=lambda evaluation: -evaluation.valid_accuracy)


class Density:
    """A kernel density over cells: the mean over its cells of the product of the kernels of all edges.

    The kernel of an edge is 1 - λ where operations are equal, else λ / (operations - 1). λ, (edges,), is the bandwidth;
    at its largest value, (operations - 1) / operations, all operations are equally probable.
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
