"""Every pair of methods after Friedman's test."""

from __future__ import annotations

from harness.reports.results.comparison import Comparison
from harness.reports.statistics.friedman import FriedmanTests
from harness.reports.statistics.significance import print_p
from harness.reports.statistics.summary import smallest_paired_p
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


def friedman_table(comparison: Comparison, tests: FriedmanTests) -> ReportTable:
    """Return every pair of methods over the blocks."""
    n = len(tests.seeds)
    label, rank = tests.labels, tests.mean_ranks
    rows: list[list[Value]] = []
    for pair in tests.pairs:
        a, b = pair.first, pair.second
        row: list[Value] = [label[a], label[b], rank[a], rank[b], pair.difference]
        row += [pair.wins, n - pair.wins - pair.losses, pair.losses, pair.p, pair.holm, smallest_paired_p(n)]
        rows.append([*row, verdict(pair.significantly_different)])
    return ReportTable(
        f"friedman-{tests.dataset}",
        f"Differences on {tests.dataset} over {n} blocks",
        f"A block is a search seed that every method finished; protocol {comparison.protocol_name}.",
        "Rank: mean over blocks, 1 is best. Difference: between the mean test accuracies over the blocks, in points. "
        "Wins, ties, losses: blocks, by any amount. p: exact two-sided Wilcoxon signed-rank test; zero differences are "
        f"ranked and then dropped (Pratt). Holm: corrected for {len(tests.pairs)} comparisons. Smallest p: the "
        f"smallest that {n} blocks can give, uncorrected. Verdict: different if p of Friedman's test over all methods "
        f"({print_p(tests.p)}) and the corrected p are below 0.05, and the means differ by more than retraining moves "
        "them.",
        [
            METHOD,
            AGAINST,
            Column("rank", "Rank", 2),
            Column("rank_against", "Its rank", 2),
            DIFFERENCE,
            Column("wins", "Wins"),
            Column("ties", "Ties"),
            Column("losses", "Losses"),
            P,
            P_HOLM,
            SMALLEST_P,
            VERDICT,
        ],
        rows,
    )
