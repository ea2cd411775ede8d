"""All pairs of methods: how much better, how surely, and how surely these seeds could have said so at all."""

from __future__ import annotations

from itertools import combinations

from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import by_accuracy, tell_apart
from harness.reports.statistics.significance import holm, permutation_p, seeds_needed, smallest_p, superiority
from harness.reports.tables.report_table import Column, Sheet, Value


def pairs_sheet(comparison: Comparison, dataset: str) -> Sheet | None:
    """Every pair of methods with finished runs on a dataset; None where there is no pair."""
    pairs = list(combinations(by_accuracy(comparison, dataset), 2))
    if not pairs:
        return None
    finals = [(a.method.finals(dataset), b.method.finals(dataset)) for a, b in pairs]
    p = [permutation_p(*both) for both in finals]
    rows: list[list[Value]] = []
    for (a, b), (x, y), alone, adjusted in zip(pairs, finals, p, holm(p), strict=True):
        better = superiority(x, y)
        row: list[Value] = [a.label, b.label, f"{len(x)} and {len(y)}", a.summary.mean - b.summary.mean]
        row += [better, alone, adjusted, smallest_p(len(x), len(y)), seeds_needed(better)]
        rows.append([*row, "told apart" if tell_apart(comparison, dataset, a, b) else "tie"])
    return Sheet(
        f"pairs-{dataset}",
        f"Differences on {dataset}, pair by pair",
        f"The first method of a pair has the higher mean; protocol {comparison.protocol_name}.",
        "Difference: of the mean test accuracies, in points. Superiority: the share of all pairs of runs in which the "
        "first is better, ties counted half. p: exact unpaired permutation test of superiority; Holm: corrected for "
        f"{len(pairs)} comparisons. Smallest p: what these numbers of seeds could give at best, uncorrected. Seeds "
        "needed, of each method, to tell this superiority from chance with 5 % error of either kind (Noether 1987). "
        "Verdict: told apart where the 95 % intervals are disjoint and the means further apart than retraining moves "
        "them.",
        [
            Column("method", "Method", text=True),
            Column("against", "Against", text=True),
            Column("seeds", "Seeds", text=True),
            Column("difference", "Difference", 2),
            Column("superiority", "Superiority", 2),
            Column("p", "p", 4),
            Column("p_holm", "p (Holm)", 4),
            Column("smallest_p", "Smallest p", 4),
            Column("seeds_needed", "Seeds needed"),
            Column("verdict", "Verdict", text=True),
        ],
        rows,
    )
