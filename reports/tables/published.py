"""Published results for the methods of a study, beside the measured means and never ranked with them.

The facts are in ``published.csv``: a row a method, source and dataset, with the protocol of the published result.
"""

from __future__ import annotations

import csv
from importlib import resources

from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import by_accuracy
from harness.reports.tables.report_table import METHOD, Column, ReportTable, Value

SPACE = "nas-bench-201"
"""The search space of the published results."""


def published_table(comparison: Comparison) -> ReportTable | None:
    """Return a row a method and source; None where nothing is published for the study's methods, space or datasets.

    A method with changed hyper-parameters has another label and counts as another method.
    """
    if comparison.space.name != SPACE:
        return None
    sources: dict[tuple[str, str], list[dict[str, str]]] = {}
    for fact in facts():
        if fact["method"] in comparison.study.labels and fact["dataset"] in comparison.datasets:
            sources.setdefault((fact["method"], fact["citation"]), []).append(fact)
    if not sources:
        return None
    measured = {dataset: _means(comparison, dataset) for dataset in comparison.datasets}
    rows: list[list[Value]] = []
    for (method, citation), cited in sorted(sources.items(), key=lambda item: item[0][0]):
        row: list[Value] = [method]
        published = {fact["dataset"]: f"{fact['mean']} ± {fact['std']}" for fact in cited}
        for dataset in comparison.datasets:
            row += [published.get(dataset), measured[dataset].get(method)]
        rows.append([*row, cited[0]["seeds"] or None, f"{cited[0]['protocol']}.", citation])
    table = (comparison.table_provenance or {}).get("name", "a table")
    return ReportTable(
        "published",
        "Published elsewhere, under other protocols",
        f"Test accuracy (%), mean ± std over seeds, as published on NAS-Bench-201, beside the mean measured in this "
        f"study, which searched on {comparison.searched_on} under protocol {comparison.protocol_name} and looked cells "
        f"up in the table {table}. The two are not comparable. No ranking or test of this report uses published "
        "results.",
        "Numbers quoted from later papers may come from other versions of the benchmark's files, which differ by up to "
        "1.3 points for single cells on CIFAR-10. The one published std that could be recomputed divides by n; this "
        "report divides by n − 1. A dash under Seeds: the source does not say.",
        [
            METHOD,
            *[
                column
                for dataset in comparison.datasets
                for column in (
                    Column(f"{dataset}_published", f"{dataset} published"),
                    Column(f"{dataset}_measured", "measured here", 2),
                )
            ],
            Column("seeds", "Seeds"),
            Column("protocol", "Protocol of the published result", text=True, sentences=True),
            Column("citation", "Source", text=True, sentences=True),
        ],
        rows,
    )


def facts() -> list[dict[str, str]]:
    """Return the published results: method, dataset, mean (%), std, seeds, citation and protocol."""
    text = (resources.files("harness.reports.tables") / "published.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _means(comparison: Comparison, dataset: str) -> dict[str, float]:
    return {one.label: one.summary.mean for one in by_accuracy(comparison, dataset)}
