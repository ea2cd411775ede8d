"""Diagnostics of single runs: what their traces and files hold, joined with the table after the search.

See :mod:`harness.search.diagnostics` for how they are measured. Old runs, runs with diagnostics switched off and runs
of query-based methods have recorded less, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy import stats

from harness.reports.results.comparison import Comparison, SeedResult
from harness.runs.folder import RunFolder
from harness.runs.schema import TraceRow
from harness.spaces.base import Architecture, SearchSpace

SKIP = "skip_connect"
"""The operation that returns its input unchanged."""

Field = Callable[[TraceRow], float | None]
"""A number of a row of the trace; None where it was not recorded."""


def discretization_gap(row: TraceRow) -> float | None:
    """Accuracy of the mixture minus that of the derived cell, in points; None where not measured after this epoch."""
    return row["mixture_accuracy"] - row["derived_accuracy"] if "mixture_accuracy" in row else None


def eigenvalue(row: TraceRow) -> float | None:
    """Largest eigenvalue of the Hessian with respect to α; None where not measured after this epoch, or not finite."""
    return row.get("hessian_eigenvalue")


def recorded(seed: SeedResult, field: Field) -> dict[int, float]:
    """Return the recorded values of a field by epoch, from 1."""
    return {row["epoch"]: value for row in seed.run.trace if (value := field(row)) is not None}


def last_recorded(seed: SeedResult, field: Field) -> float | None:
    """Return the value of a field after the last epoch; None where it was not recorded."""
    return field(seed.run.trace[-1]) if seed.run.trace else None


def rank_quality(comparison: Comparison, seed: SeedResult) -> tuple[float | None, float] | None:
    """Return Kendall's τ-b between supernet and table over the sampled cells, and the overlap (%) of their top fifths.

    None where the run ranked no cells or there is no table; τ is None where either ranking is constant. Cells of equal
    accuracy keep the order of the sample.
    """
    ranking = RunFolder(seed.run.path).ranking
    column = comparison.column(comparison.headline) if comparison.headline else None
    if ranking is None or column is None:
        return None
    supernet, table = np.array(ranking["accuracies"]), column[ranking["indices"]]
    count = max(1, len(supernet) // 5)
    tops = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (supernet, table)]
    constant = min(len(set(values.tolist())) for values in (supernet, table)) < 2
    tau = None if constant else float(stats.kendalltau(supernet, table).statistic)
    return tau, 100 * len(tops[0] & tops[1]) / count


def ranked_cells(seed: SeedResult) -> int | None:
    """Return the number of cells that the run's supernet ranked; None where it ranked none."""
    ranking = RunFolder(seed.run.path).ranking
    return None if ranking is None else len(ranking["indices"])


def identity_paths(space: SearchSpace, cell: Architecture) -> int:
    """Count the paths from an input node of a cell to its output nodes whose edges are all ``skip_connect``.

    Input nodes are those that no edge enters.
    """
    skips = [edge for edge, operation in zip(space.edges, cell, strict=True) if space.operations[operation] == SKIP]
    return count_paths(space, skips)


def count_paths(space: SearchSpace, edges: Sequence[tuple[int, int]]) -> int:
    """Count the paths along some of the edges of a space from an input to an output."""
    inputs = {source for source, _ in space.edges} - {target for _, target in space.edges}

    @cache
    def leading_to(node: int) -> int:
        return (node in inputs) + sum(leading_to(source) for source, target in edges if target == node)

    return sum(map(leading_to, space.outputs))


def collapsed_since(history: list[bool]) -> int | None:
    """Return the epoch, from 1, since which a seed stayed collapsed to the end; None where it ended otherwise."""
    if not history[-1]:
        return None
    return len(history) - (history[::-1].index(False) if False in history else len(history)) + 1
