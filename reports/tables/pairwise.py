"""Every pair of methods: the difference, its p-value, and the smallest p-value that these seeds could give."""

from __future__ import annotations

from itertools import combinations

from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import by_accuracy, is_significant
from harness.reports.statistics.significance import holm, permutation_p, seeds_needed, smallest_p, superiority
from harness.reports.tables.report_table import (
    AGAINST,
    DIFFERENCE,
    METHOD,
    P_HOLM,
    SMALLEST_P,
    VERDICT,
    Column,
    P,
    ReportTable,
    Value,
    verdict,
)


def pairwise_table(comparison: Comparison, dataset: str) -> ReportTable | None:
    """Return every pair of methods with finished runs on a dataset; None where there is no pair."""
    pairs = list(combinations(by_accuracy(comparison, dataset), 2))
    if not pairs:
        return None
    finals = [(a.method.finals(dataset), b.method.finals(dataset)) for a, b in pairs]
    p = [permutation_p(*both) for both in finals]
    rows: list[list[Value]] = []
    for (a, b), (x, y), own, corrected in zip(pairs, finals, p, holm(p), strict=True):
        share = superiority(x, y)
        row: list[Value] = [a.label, b.label, f"{len(x)} and {len(y)}", a.summary.mean - b.summary.mean]
        row += [share, own, corrected, smallest_p(len(x), len(y)), seeds_needed(share)]
        rows.append([*row, verdict(is_significant(comparison, dataset, a, b))])
    return ReportTable(
        f"pairs-{dataset}",
        f"Differences on {dataset}, pair by pair",
        f"The first method of a pair has the higher mean; protocol {comparison.protocol_name}.",
        "Difference: between the mean test accuracies, in points. Superiority: share of all pairs of runs in which the "
        "first method is better; a tie counts half. p: exact unpaired permutation test of superiority. Holm: corrected "
        f"for {len(pairs)} comparisons. Smallest p: the smallest that these numbers of seeds can give, uncorrected. "
        "Seeds needed: of each method, to distinguish this superiority from chance with 5 % error of either kind "
        "(Noether 1987). Verdict: different if the 95 % intervals do not overlap and the means differ by more than "
        "retraining moves them.",
        [
            METHOD,
            AGAINST,
            Column("seeds", "Seeds", text=True),
            DIFFERENCE,
            Column("superiority", "Superiority", 2),
            P,
            P_HOLM,
            SMALLEST_P,
            Column("seeds_needed", "Seeds needed"),
            VERDICT,
        ],
        rows,
    )
