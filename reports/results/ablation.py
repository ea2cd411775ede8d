"""Ablation of derived cells by the table: each edge's operation is replaced by every other one, and looked up.

A substitute that computes the same function as the cell for all weights, for example on an edge that leads nowhere,
changes nothing by definition. A table that trained both cells may differ by the noise of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.reports.results.alphas import last_alpha
from harness.reports.results.comparison import Comparison, MethodResults, SeedResult
from harness.reports.statistics.summary import Floats
from harness.runs.folder import RunFolder
from harness.spaces.base import Architecture, SearchSpace

NONE = "none"
"""The operation that removes an edge."""


@dataclass(frozen=True)
class Ablation:
    """The derived cell of one seed.

    Attributes:
        seed: the run that derived the cell.
        chosen: (edges, operations), true where the cell has the operation on the edge.
        change: (edges, operations), points of test accuracy that the operation adds when it replaces the chosen one; 0
            for the chosen one, and for one that changes nothing.
        same: (edges, operations), true where the cell computes the same function with the operation.
    """

    seed: SeedResult
    chosen: npt.NDArray[np.bool_]
    change: Floats
    same: npt.NDArray[np.bool_]


def ablations(comparison: Comparison, method: MethodResults) -> list[Ablation]:
    """Return the ablations of a method's finished seeds on the headline dataset; none without a table."""
    column = comparison.column(comparison.headline) if comparison.headline else None
    cells = []
    for seed in method.finished:
        if column is not None and seed.cell is not None:
            cell = comparison.space.parse(seed.cell)
            indices, same = substitutes(comparison.space, cell)
            change = np.where(same, 0.0, column[indices] - column[comparison.space.index(cell)])
            chosen = np.arange(len(comparison.space.operations)) == np.array(cell)[:, None]
            cells.append(Ablation(seed, chosen, change, same))
    return cells


@lru_cache(maxsize=1000)
def substitutes(space: SearchSpace, cell: Architecture) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the official index of the cell with each operation on each edge, and whether its function stays the same.

    Both are (edges, operations), cached and not to be changed.
    """
    form = space.canonical(cell)
    cells = [
        [(*cell[:edge], operation, *cell[edge + 1 :]) for operation in range(len(space.operations))]
        for edge in range(len(space.edges))
    ]
    indices = np.array([[space.index(one) for one in row] for row in cells])
    return indices, np.array([[space.canonical(one) == form for one in row] for row in cells])


def lost_without(space: SearchSpace, ablation: Ablation) -> Floats:
    """Return the points that the cell loses without each edge, (edges,).

    In a space without ``none`` the mean substitute stands for a removed edge.
    """
    if NONE in space.operations:
        return -ablation.change[:, space.operations.index(NONE)]
    lost: Floats = -ablation.change.sum(axis=1) / (ablation.change.shape[1] - 1)
    return lost


def perturbation(comparison: Comparison, seed: SeedResult) -> Floats | None:
    """Return the points that the seed's supernet loses without each operation; None where not recorded.

    The shape is (edges, operations).
    """
    lost = np.array(RunFolder(seed.run.path).last_diagnostics.get("perturbation", []), dtype=float)
    shape = (len(comparison.space.edges), len(comparison.space.operations))
    return lost if lost.shape == shape and np.isfinite(lost).all() else None


def mean_lost(comparison: Comparison, cells: Sequence[Ablation]) -> Floats:
    """Return the points lost without each edge, mean over seeds: (edges,)."""
    mean: Floats = np.mean([lost_without(comparison.space, cell) for cell in cells], axis=0)
    return mean


def alpha_agreements(comparison: Comparison, cells: Sequence[Ablation]) -> list[float]:
    """Return how far the last α orders operations as the table does, a value a seed; see :func:`within_edges`.

    Seeds without α, or without an order, are left out.
    """
    return _agreements([(last_alpha(comparison, cell.seed), cell) for cell in cells])


def perturbation_agreements(comparison: Comparison, cells: Sequence[Ablation]) -> list[float]:
    """Return the same for the supernet's perturbation; seeds that did not record it are left out."""
    return _agreements([(perturbation(comparison, cell.seed), cell) for cell in cells])


def _agreements(scores: Sequence[tuple[Floats | None, Ablation]]) -> list[float]:
    taus = [within_edges(values, cell.change) for values, cell in scores if values is not None]
    return [tau for tau in taus if tau is not None]


def within_edges(scores: Floats, values: Floats) -> float | None:
    """Return Kendall's τ-b between two scores of an edge's operations, mean over edges.

    Both are (edges, operations). Edges on which either is constant have no τ and are left out; None where all are.
    """
    taus = [
        float(stats.kendalltau(score, value).statistic)
        for score, value in zip(scores, values, strict=True)
        if np.ptp(score) > 0 and np.ptp(value) > 0
    ]
    return float(np.mean(taus)) if taus else None
