"""The frequency of each operation in the final cells, beside that in a uniformly random cell."""

from __future__ import annotations

from statistics import fmean

from harness.reports.results.comparison import Comparison
from harness.reports.tables.report_table import METHOD, Column, ReportTable, Value
from harness.spaces.labels import operation_label


def operations_table(comparison: Comparison) -> ReportTable | None:
    """Return the mean number of edges with each operation over the finished seeds of each method.

    None where no run finished.
    """
    operations, kept = comparison.space.operations, comparison.kept_edges
    absent = len(comparison.space.edges) - kept
    among = [name for name in operations if name != "none" or not absent]
    rows: list[list[Value]] = []
    for method in comparison.methods:
        cells = [comparison.space.parse(seed.cell) for seed in method.finished if seed.cell is not None]
        if cells:
            means: list[Value] = [fmean(cell.count(op) for cell in cells) for op in range(len(operations))]
            rows.append([method.label, f"{len(cells)}/{len(method.seeds)}", *means])
    if not rows:
        return None
    expected = kept / len(among)
    spread = (expected * (1 - 1 / len(among))) ** 0.5
    others = f" The other {absent} edges are left out and count as none." if absent else ""
    return ReportTable(
        "operations",
        "Operations of the final cells",
        f"Mean number of edges, of {kept}, with each operation in the final cells of the finished runs; protocol "
        f"{comparison.protocol_name}.",
        f"A uniformly random cell has {expected:.2g} edges with each operation on average, with an std of {spread:.2f} "
        f"between cells.{others} The figure above shows all epochs, and unfinished runs too.",
        [
            METHOD,
            Column("finished", "Runs"),
            *[Column(operation, operation_label(operation), 2) for operation in operations],
        ],
        rows,
        [["uniformly random cell", None, *[expected if name in among else absent for name in operations]]],
    )
