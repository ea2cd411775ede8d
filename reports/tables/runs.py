"""What every run came to, as tables: the derived cells, and every single run."""

from __future__ import annotations

from statistics import fmean

from harness.reports.results.comparison import Comparison
from harness.reports.tables.report_table import Column, Sheet, Value


def outcomes_sheet(comparison: Comparison) -> Sheet:
    """Every derived cell of every method, how often and by which seeds it was derived, and its accuracies."""
    rows: list[list[Value]] = []
    for method in comparison.methods:
        by_cell: dict[str, list[int]] = {}
        for place, seed in enumerate(method.seeds):
            if seed.finished and seed.cell is not None:
                by_cell.setdefault(seed.cell, []).append(place)
        for cell, places in sorted(by_cell.items(), key=lambda item: (-len(item[1]), item[1])):
            first = method.seeds[places[0]]
            seeds = ", ".join(str(method.seeds[place].run.seed) for place in places)
            rows.append([method.label, cell, len(places), seeds, *map(first.final, comparison.datasets)])
    return Sheet(
        "outcomes",
        "Derived cells",
        "Final cells of the finished runs, and the seeds that derived them. Identical outcomes are normal. "
        f"Accuracies in %; protocol {comparison.protocol_name}.",
        "",
        [
            Column("method", "Method", text=True),
            Column("cell", "Cell", text=True),
            Column("count", "Runs"),
            Column("seeds", "Seeds", text=True),
            *[Column(dataset, dataset, 2) for dataset in comparison.datasets],
        ],
        rows,
    )


def runs_sheet(comparison: Comparison) -> Sheet:
    """Every run, whatever became of it."""
    retrained = sorted({dataset for run in comparison.study.runs for dataset in run.retrained})
    rows: list[list[Value]] = []
    for method in comparison.methods:
        for seed in method.seeds:
            result = seed.run.result
            reason = result["reason"] if result else "no result yet; the same command goes on"
            row: list[Value] = [method.label, seed.run.seed, seed.run.status, seed.cell]
            row += [seed.final(dataset) for dataset in comparison.datasets]
            row += [fmean(found[name]) if name in (found := seed.run.retrained) else None for name in retrained]
            rows.append([*row, seed.seconds, len(seed.run.trace), reason or None])
    return Sheet(
        "runs",
        "Every run",
        f"Test accuracies in % of the final derived cell; protocol {comparison.protocol_name}.",
        "",
        [
            Column("method", "Method", text=True),
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
