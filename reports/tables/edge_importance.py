"""The importance of each edge of each method's derived cells, by the table.

See :mod:`harness.reports.results.ablation` for the computation and :mod:`harness.reports.figures.edge_heatmaps` for the
figures.
"""

from __future__ import annotations

from statistics import fmean

from harness.reports.results.ablation import NONE, ablations, alpha_agreements, mean_lost, perturbation_agreements
from harness.reports.results.comparison import Comparison
from harness.reports.tables.report_table import METHOD, Column, ReportTable, Value


def edge_importance_table(comparison: Comparison) -> ReportTable | None:
    """Return the importance of each edge to each method's derived cells; None where no cell could be looked up."""
    space, rows = comparison.space, list[list[Value]]()
    for method in comparison.methods:
        cells = ablations(comparison, method)
        runs = f"{len(cells)}/{len(method.seeds)}"
        if not cells:
            rows.append([method.label, runs, *[None] * (len(space.edges) + 3)])
            continue
        best = fmean(float(cell.change.max()) for cell in cells)
        agreements = alpha_agreements(comparison, cells), perturbation_agreements(comparison, cells)
        taus = [fmean(values) if values else None for values in agreements]
        rows.append([method.label, runs, *mean_lost(comparison, cells).tolist(), best, *taus])
    if all(row[2] is None for row in rows):
        return None
    removed = "removed" if NONE in space.operations else "given another operation, mean over the other operations"
    return ReportTable(
        "edge-importance",
        "Edges of the derived cells",
        f"Means over finished runs, on {comparison.headline}; protocol {comparison.protocol_name}.",
        f"A column an edge: points of test accuracy, by the table, that the derived cell loses when the edge is "
        f"{removed}; below 0 the cell is better without it. Best change: points that the best single substitute of one "
        "operation would add; 0: no neighbour is better. τ: Kendall's τ-b between the search's scores of the "
        "operations of an edge and the table's accuracies of the cell with each of them, mean over the edges where "
        "neither is constant; 1: the table's order, 0: chance, −1: the reverse. Of α: its last values are the scores. "
        "Of perturbation: the scores are what the supernet loses without the operation. A dash: not available.",
        [
            METHOD,
            Column("ablated", "Runs"),
            *[
                Column(f"lost_without_{source}_{target}", name, 1)
                for (source, target), name in zip(space.edges, space.edge_names, strict=True)
            ],
            Column("best_change", "Best change", 2),
            Column("alpha_tau", "τ of α", 2),
            Column("perturbation_tau", "τ of perturbation", 2),
        ],
        rows,
    )
