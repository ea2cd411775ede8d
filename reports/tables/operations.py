"""How often each operation is in the final cells, beside a uniformly random cell."""

from __future__ import annotations

from statistics import fmean

from harness.reports.figures.style import operation_name
from harness.reports.results.comparison import Comparison
from harness.reports.tables.report_table import Column, Sheet, Value


def operations_sheet(comparison: Comparison) -> Sheet | None:
    """Mean number of edges per operation over the finished seeds of each method; None where no run finished."""
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
    others = f" Besides, {absent} edges are left out and count as none." if absent else ""
    return Sheet(
        "operations",
        "Operations of the final cells",
        f"Mean number of edges, of {kept}, that hold each operation in the final cells of the finished runs; protocol "
        f"{comparison.protocol_name}.",
        f"A uniformly random cell has {expected:.2g} edges of each operation on average, with an sd of {spread:.2f} "
        f"from cell to cell.{others} The figure above shows the way there, with the runs that did not finish.",
        [
            Column("method", "Method", text=True),
            Column("finished", "Runs"),
            *[Column(operation, operation_name(operation), 2) for operation in operations],
        ],
        rows,
        [["uniformly random cell", None, *[expected if name in among else absent for name in operations]]],
    )
