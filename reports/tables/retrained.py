"""Derived cells trained from scratch on the data searched on: their ranking, and how it agrees with the table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, variance

import numpy as np
from scipy import stats

from harness.reports.results.comparison import Comparison, MethodResults, SeedResult
from harness.reports.statistics.summary import BOOTSTRAP_FROM, summarize
from harness.reports.tables.report_table import Column, Sheet, Value

FEWEST_CELLS = 5
"""Distinct cells below which no correlation is given."""


def retrained_sheets(comparison: Comparison) -> list[Sheet]:
    """The ranking after retraining on each dataset; empty where nothing was retrained, or by different recipes."""
    if len(_recipes(comparison)) != 1:
        return []
    (recipe,) = _recipes(comparison)
    return [_sheet(comparison, dataset, recipe) for dataset in _datasets(comparison)]


def retrained_words(comparison: Comparison) -> list[str]:
    """What is to be said of the retrained cells, a sentence or two a dataset; empty where there are none."""
    recipes = _recipes(comparison)
    if len(recipes) > 1:
        return [
            f"Derived cells were retrained by {len(recipes)} different recipes ({'; '.join(recipes)}), which must not "
            "be ranked together; run the study's commands again with one --recipe."
        ]
    return [_correlation(comparison, dataset) for dataset in _datasets(comparison)]


def _recipes(comparison: Comparison) -> list[str]:
    found = [run.evaluation.get("recipe") for run in comparison.study.runs if run.evaluation and run.retrained]
    return sorted({recipe for recipe in found if recipe})


def _datasets(comparison: Comparison) -> list[str]:
    return sorted({dataset for run in comparison.study.runs for dataset in run.retrained})


def _values(seed: SeedResult, dataset: str) -> list[float]:
    """Test accuracies (%) of a seed's final cell by training seed; empty where it was not retrained."""
    return seed.run.retrained.get(dataset, [])


def _sheet(comparison: Comparison, dataset: str, recipe: str) -> Sheet:
    rows: list[tuple[float, list[Value]]] = []
    for method in comparison.methods:
        retrained = [values for seed in method.seeds if (values := _values(seed, dataset))]
        head: list[Value] = [method.label, f"{len(retrained)}/{len(method.seeds)}"]
        if not retrained:
            rows.append((float("inf"), [*head, *[None] * 9]))
            continue
        summary = summarize([fmean(values) for values in retrained])
        low, high = summary.interval or (None, None)
        measures: list[Value] = [summary.mean, summary.sd, low, high, summary.median, summary.worst, summary.best]
        trainings = sorted({len(values) for values in retrained})
        measures += [_training_sd(comparison, method, dataset), "–".join(map(str, trainings))]
        rows.append((-summary.mean, [*head, *measures]))
    return Sheet(
        f"accuracy-retrained-{dataset}",
        f"Accuracy on {dataset}, retrained",
        f"Test accuracy (%) of the final derived cell after training from scratch, recipe {recipe}, sorted by the "
        f"mean; protocol {comparison.protocol_name}.",
        "One observation is one search seed: the mean over its cell's training seeds. sd with ddof = 1 over search "
        f"seeds. Interval: 95 %, Student t, from {BOOTSTRAP_FROM} seeds on bootstrap. Training sd: of one cell between "
        "training seeds, pooled over the method's distinct cells; a difference of that size is retraining noise.",
        [
            Column("method", "Method", text=True),
            Column("retrained", "Runs"),
            Column("mean", "Mean", 2),
            Column("sd", "sd", 2),
            Column("interval_low", "95 % low", 2),
            Column("interval_high", "95 % high", 2),
            Column("median", "Median", 2),
            Column("worst", "Worst", 2),
            Column("best", "Best", 2),
            Column("training_sd", "Training sd", 2),
            Column("training_seeds", "Training seeds"),
        ],
        [row for _, row in sorted(rows, key=lambda pair: pair[0])],
    )


def _training_sd(comparison: Comparison, method: MethodResults, dataset: str) -> float | None:
    """Sd between training seeds, pooled over distinct cells; None where no cell has two."""
    by_cell = _by_cell(comparison, method.seeds, dataset).values()
    variances = [variance(values) for values, _ in by_cell if len(values) > 1]
    return float(np.sqrt(fmean(variances))) if variances else None


def _by_cell(
    comparison: Comparison, seeds: Sequence[SeedResult], dataset: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Retrained accuracies by training seed, and looked-up ones, of each distinct cell; isomorphic cells are one."""
    table = _table_dataset(comparison, dataset)
    found: dict[str, tuple[list[float], list[float]]] = {}
    for seed in seeds:
        values = _values(seed, dataset)
        if values and seed.cell is not None:
            form = comparison.space.canonical(comparison.space.parse(seed.cell))
            looked_up = found.setdefault(form, (values, []))[1]
            value = seed.final(table) if table else None
            if value is not None:
                looked_up.append(value)
    return found


def _table_dataset(comparison: Comparison, dataset: str) -> str | None:
    """The table's dataset that retrained accuracies are set against: the same, else the headline."""
    return dataset if dataset in comparison.datasets else comparison.headline


def _correlation(comparison: Comparison, dataset: str) -> str:
    table = _table_dataset(comparison, dataset)
    if table is None:
        return f"Nothing was looked up to compare the accuracies retrained on {dataset} with."
    seeds = [seed for method in comparison.methods for seed in method.seeds]
    cells = [(fmean(a), fmean(b)) for a, b in _by_cell(comparison, seeds, dataset).values() if b]
    what = f"the accuracy retrained on {dataset} with the one looked up on {table}"
    count = f"{len(cells)} distinct cell{'' if len(cells) == 1 else 's'}"
    if len(cells) < FEWEST_CELLS:
        return f"Too few distinct cells to correlate {what}: {count}, and {FEWEST_CELLS} are needed."
    retrained, looked_up = (np.array(column) for column in zip(*cells, strict=True))
    if np.ptp(retrained) == 0 or np.ptp(looked_up) == 0:
        return f"All {count} have the same accuracy on one side, so {what} has no correlation."
    tau, pearson = stats.kendalltau(retrained, looked_up).statistic, stats.pearsonr(retrained, looked_up).statistic
    return f"Correlation of {what}, over {count}: Kendall τ {tau:.2f}, Pearson {pearson:.2f}."
