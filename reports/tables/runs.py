"""Tables of the derived cells and of every run."""

from __future__ import annotations

from statistics import fmean

from harness.reports.results.comparison import Comparison
from harness.reports.tables.report_table import METHOD, Column, ReportTable, Value


def outcomes_table(comparison: Comparison) -> ReportTable:
    """Return every derived cell of every method: how often and by which seeds it was derived, and its accuracies."""
    rows: list[list[Value]] = []
    for method in comparison.methods:
        by_cell: dict[str, list[int]] = {}
        for index, seed in enumerate(method.seeds):
            if seed.finished and seed.cell is not None:
                by_cell.setdefault(seed.cell, []).append(index)
        for cell, indices in sorted(by_cell.items(), key=lambda item: (-len(item[1]), item[1])):
            first = method.seeds[indices[0]]
            seeds = ", ".join(str(method.seeds[index].run.seed) for index in indices)
            rows.append([method.label, cell, len(indices), seeds, *map(first.final, comparison.datasets)])
    return ReportTable(
        "outcomes",
        "Derived cells",
        "Final cells of the finished runs, and the seeds that derived them. Several seeds often derive the same cell. "
        f"Accuracies in %; protocol {comparison.protocol_name}.",
        "",
        [
            METHOD,
            Column("cell", "Cell", text=True),
            Column("count", "Runs"),
            Column("seeds", "Seeds", text=True),
            *[Column(dataset, dataset, 2) for dataset in comparison.datasets],
        ],
        rows,
    )


def runs_table(comparison: Comparison) -> ReportTable:
    """Return every run, finished or not."""
    retrained = sorted({dataset for run in comparison.study.runs for dataset in run.retrained})
    rows: list[list[Value]] = []
    for method in comparison.methods:
        for seed in method.seeds:
            result = seed.run.result
            reason = result["reason"] if result else "no result yet; the same command resumes it"
            row: list[Value] = [method.label, seed.run.seed, seed.run.status, seed.cell]
            row += [seed.final(dataset) for dataset in comparison.datasets]
            row += [fmean(values) if (values := seed.run.retrained.get(name)) else None for name in retrained]
            rows.append([*row, seed.seconds, len(seed.run.trace), reason or None])
    return ReportTable(
        "runs",
        "Every run",
        f"Test accuracies in % of the final derived cell; protocol {comparison.protocol_name}.",
        "",
        [
            METHOD,
            Column("seed", "Seed"),
            Column("status", "Status", text=True),
            Column("cell", "Cell", text=True),
            *[Column(dataset, dataset, 2) for dataset in comparison.datasets],
            *[Column(f"retrained-{dataset}", f"{dataset} retrained", 2) for dataset in retrained],
            Column("search_seconds", "Seconds", 1),
            Column("epochs", "Epochs"),
            Column("reason", "Reason", text=True),
        ],
        rows,
    )
