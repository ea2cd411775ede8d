"""Accuracies of derived cells after training from scratch, as the runs recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple

import numpy as np
from scipy import stats

from harness.reports.results.comparison import Comparison, MethodResults, SeedResult

FEWEST_CELLS = 5
"""Fewest distinct cells for which a correlation is computed."""


def recipes(comparison: Comparison) -> list[str]:
    """Return the recipes by which cells were retrained."""
    used = [run.evaluation.get("recipe") for run in comparison.study.runs if run.evaluation and run.retrained]
    return sorted({recipe for recipe in used if recipe})


def retrained_datasets(comparison: Comparison) -> list[str]:
    """Return the datasets on which cells were retrained."""
    return sorted({dataset for run in comparison.study.runs for dataset in run.retrained})


def retrained_accuracies(seed: SeedResult, dataset: str) -> list[float]:
    """Return the test accuracies (%) of a seed's final cell by training seed; empty where it was not retrained."""
    return seed.run.retrained.get(dataset, [])


def training_std(comparison: Comparison, method: MethodResults, dataset: str) -> float | None:
    """Return the standard deviation between training seeds, pooled over distinct cells; None where no cell has two."""
    by_cell = _by_cell(comparison, method.seeds, dataset).values()
    variances = [variance(values) for values, _ in by_cell if len(values) > 1]
    return float(np.sqrt(fmean(variances))) if variances else None


class Correlation(NamedTuple):
    """Agreement of retrained and looked-up accuracies over distinct cells.

    Attributes:
        table: the table's dataset; None where nothing was looked up.
        cells: number of distinct cells with both accuracies.
        tau: Kendall's τ-b.
        pearson: Pearson's correlation; None, as ``tau``, for fewer cells than :data:`FEWEST_CELLS` or where either
            accuracy is the same for all cells.
    """

    table: str | None
    cells: int
    tau: float | None
    pearson: float | None


def correlation(comparison: Comparison, dataset: str) -> Correlation:
    """Correlate the accuracies retrained on a dataset with those of the table on the same, else the headline one."""
    table = _table_dataset(comparison, dataset)
    seeds = [seed for method in comparison.methods for seed in method.seeds]
    cells = [(fmean(a), fmean(b)) for a, b in _by_cell(comparison, seeds, dataset).values() if b]
    if len(cells) < FEWEST_CELLS:
        return Correlation(table, len(cells), None, None)
    retrained, looked_up = (np.array(column) for column in zip(*cells, strict=True))
    if np.ptp(retrained) == 0 or np.ptp(looked_up) == 0:
        return Correlation(table, len(cells), None, None)
    tau, pearson = stats.kendalltau(retrained, looked_up).statistic, stats.pearsonr(retrained, looked_up).statistic
    return Correlation(table, len(cells), float(tau), float(pearson))


def _table_dataset(comparison: Comparison, dataset: str) -> str | None:
    return dataset if dataset in comparison.datasets else comparison.headline


def _by_cell(
    comparison: Comparison, seeds: Sequence[SeedResult], dataset: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Return retrained accuracies by training seed, and looked-up ones, of each cell; isomorphic cells are one."""
    table = _table_dataset(comparison, dataset)
    cells: dict[str, tuple[list[float], list[float]]] = {}
    for seed in seeds:
        values = retrained_accuracies(seed, dataset)
        if values and seed.cell is not None:
            form = comparison.space.canonical(comparison.space.parse(seed.cell))
            looked_up = cells.setdefault(form, (values, []))[1]
            value = seed.final(table) if table else None
            if value is not None:
                looked_up.append(value)
    return cells
