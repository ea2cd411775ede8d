"""How often each operation is in the final cells, beside a uniformly random cell."""

from __future__ import annotations

from statistics import fmean

from reports.comparison import Comparison
from reports.export import Column, Sheet, Value
from reports.style import operation_name


def operations_sheet(comparison: Comparison) -> Sheet | None:
    """Mean number of edges per operation over the finished seeds of each method; None where no run finished."""
    operations, edges = comparison.space.operations, len(comparison.space.edges)
    rows: list[list[Value]] = []
    for method in comparison.methods:
        cells = [comparison.space.parse(seed.cell) for seed in method.finished if seed.cell is not None]
        if cells:
            means: list[Value] = [fmean(cell.count(op) for cell in cells) for op in range(len(operations))]
            rows.append([method.label, f"{len(cells)}/{len(method.seeds)}", *means])
    if not rows:
        return None
    expected = edges / len(operations)
    spread = (expected * (1 - 1 / len(operations))) ** 0.5
    return Sheet(
        "operations",
        "Operations of the final cells",
        f"Mean number of edges, of {edges}, that hold each operation in the final cells of the finished runs; protocol "
        f"{comparison.protocol_name}.",
        f"A uniformly random cell has {expected:.2g} edges of each operation on average, with an sd of {spread:.2f} "
        "from cell to cell. The figure above shows the way there, with the runs that did not finish.",
        [
            Column("method", "Method", text=True),
            Column("finished", "Runs"),
            *[Column(operation, operation_name(operation), 2) for operation in operations],
        ],
        rows,
        [["uniformly random cell", None, *[expected] * len(operations)]],
    )
