"""The ranking of derived cells that were trained from scratch on the data searched on."""

from __future__ import annotations

from statistics import fmean

from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.results.retrained import recipes, retrained_accuracies, retrained_datasets, training_std
from harness.reports.statistics.summary import BOOTSTRAP_FROM, summarize
from harness.reports.tables.report_table import MEAN_STD_INTERVAL, METHOD, Column, ReportTable, Value


def retrained_tables(comparison: Comparison) -> list[ReportTable]:
    """Return the ranking after retraining, a table a dataset.

    Empty where nothing was retrained, or where recipes differ.
    """
    used = recipes(comparison)
    if len(used) != 1:
        return []
    return [_table(comparison, dataset, used[0]) for dataset in retrained_datasets(comparison)]


def _table(comparison: Comparison, dataset: str, recipe: str) -> ReportTable:
    rows = sorted((_row(comparison, method, dataset) for method in comparison.methods), key=lambda row: row[0])
    return ReportTable(
        f"accuracy-retrained-{dataset}",
        f"Accuracy on {dataset}, retrained",
        f"Test accuracy (%) of the final derived cell after training from scratch, recipe {recipe}, sorted by the "
        f"mean; protocol {comparison.protocol_name}.",
        "One observation is one search seed: the mean over its cell's training seeds. std: with ddof = 1 over search "
        f"seeds. Interval: 95 %, Student t, or bootstrap from {BOOTSTRAP_FROM} seeds on. Training std: of one cell "
        "between training seeds, pooled over the method's distinct cells; differences of that size are retraining "
        "noise.",
        [
            METHOD,
            Column("retrained", "Runs"),
            *MEAN_STD_INTERVAL,
            Column("median", "Median", 2),
            Column("worst", "Worst", 2),
            Column("best", "Best", 2),
            Column("training_std", "Training std", 2),
            Column("training_seeds", "Training seeds"),
        ],
        [row for _, row in rows],
    )


def _row(comparison: Comparison, method: MethodResults, dataset: str) -> tuple[float, list[Value]]:
    """Return the negative mean accuracy of a method, by which rows are sorted, and its row."""
    retrained = [values for seed in method.seeds if (values := retrained_accuracies(seed, dataset))]
    head: list[Value] = [method.label, f"{len(retrained)}/{len(method.seeds)}"]
    if not retrained:
        return float("inf"), [*head, *[None] * 9]
    summary = summarize([fmean(values) for values in retrained])
    low, high = summary.interval or (None, None)
    measures: list[Value] = [summary.mean, summary.std, low, high, summary.median, summary.worst, summary.best]
    trainings = sorted({len(values) for values in retrained})
    measures += [training_std(comparison, method, dataset), "–".join(map(str, trainings))]
    return -summary.mean, [*head, *measures]
