"""Tests of all methods over blocks: Friedman's, and Wilcoxon's signed-rank test of every pair after it.

A block is a search seed that every method of the study finished: the same split, initial weights and batches for all.
With fewer than ten blocks or three methods these tests are not made: Demšar (2006) asks for more than ten blocks before
the chi-squared approximation of Friedman's test is trusted, and two methods have a test of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import networkx
import numpy as np
from scipy import stats

from harness.reports.results.comparison import Comparison
from harness.reports.statistics.significance import holm, print_p, signed_rank_p
from harness.reports.statistics.summary import Floats, smallest_paired_p
from harness.reports.tables.report_table import Column, Sheet, Value

LEAST_METHODS = 3
LEAST_BLOCKS = 10
ALPHA = 0.05


@dataclass(frozen=True)
class PairTest:
    """Two methods over all blocks, by their places in :attr:`BlockTests.labels`; ``first`` has the better mean rank.

    Attributes:
        difference: of the mean accuracies, in points.
        wins: blocks in which the first is better by any amount.
        losses: blocks in which the second is.
        p: of the exact Wilcoxon signed-rank test.
        holm: that p, corrected for all pairs.
        apart: whether the methods are told apart; see :func:`block_tests`.
    """

    first: int
    second: int
    difference: float
    wins: int
    losses: int
    p: float
    holm: float
    apart: bool


@dataclass(frozen=True)
class BlockTests:
    """What the blocks say of all methods on one dataset.

    Attributes:
        labels: the methods, the best mean rank first.
        mean_ranks: in the same order; 1 is best, and equal accuracies share their ranks.
        seeds: the blocks.
        friedman: p of Friedman's test.
        pairs: every pair of methods.
        cliques: the largest sets of two methods or more of which no two are told apart, as places in ``labels``.
    """

    dataset: str
    labels: list[str]
    mean_ranks: list[float]
    seeds: list[int]
    friedman: float
    pairs: list[PairTest]
    cliques: list[list[int]]


def block_tests(comparison: Comparison) -> tuple[BlockTests | None, str]:
    """The tests on the headline dataset, and what they say in sentences; no tests, and why, where the design has none.

    Two methods are told apart where Friedman's test and then their own, corrected for all pairs after Holm, reject at
    5 %, and their mean accuracies differ by more than retraining moves them.
    """
    dataset = comparison.headline
    if dataset is None:
        return None, "No test over blocks: there are no accuracies."
    if len(comparison.methods) < LEAST_METHODS:
        return None, f"No test over blocks: it needs {LEAST_METHODS} methods, and here is {len(comparison.methods)}."
    by_seed = [
        {seed.run.seed: value for seed in method.seeds if (value := seed.final(dataset)) is not None}
        for method in comparison.methods
    ]
    seeds = sorted(set.intersection(*(set(finals) for finals in by_seed)))
    if len(seeds) < LEAST_BLOCKS:
        return None, (
            f"No test over blocks and no critical-difference diagram: they need {LEAST_BLOCKS} search seeds that every "
            f"method finished, and here is {len(seeds)}."
        )
    scores = np.round([[finals[seed] for finals in by_seed] for seed in seeds], 9)
    labels = [method.label for method in comparison.methods]
    tests = over_blocks(dataset, labels, seeds, scores, comparison.noise(dataset))
    return tests, _words(tests)


def over_blocks(dataset: str, labels: list[str], seeds: list[int], scores: Floats, noise: float) -> BlockTests:
    """The tests of accuracies (%), blocks × methods; means no further apart than ``noise`` are never told apart."""
    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    order = sorted(range(len(labels)), key=lambda place: (ranks[place], labels[place]))
    scores = scores[:, order]
    friedman = friedman_p(scores)
    places = list(combinations(range(len(order)), 2))
    p = [signed_rank_p((scores[:, a] - scores[:, b]).tolist()) for a, b in places]
    pairs = []
    for (a, b), alone, adjusted in zip(places, p, holm(p), strict=True):
        difference = float(scores[:, a].mean() - scores[:, b].mean())
        wins, losses = int((scores[:, a] > scores[:, b]).sum()), int((scores[:, a] < scores[:, b]).sum())
        apart = friedman < ALPHA and adjusted < ALPHA and abs(difference) > noise
        pairs.append(PairTest(a, b, difference, wins, losses, alone, adjusted, apart))
    alike = [
        {other for pair in pairs if not pair.apart for other in _other(pair, place)} for place in range(len(order))
    ]
    cliques = sorted(sorted(clique) for clique in maximal_cliques(alike) if len(clique) > 1)
    mean_ranks = [float(ranks[place]) for place in order]
    return BlockTests(dataset, [labels[place] for place in order], mean_ranks, seeds, friedman, pairs, cliques)


def _other(pair: PairTest, place: int) -> set[int]:
    """The partner of a method in a pair; nothing where the method is not in it."""
    return {pair.first, pair.second} - {place} if place in {pair.first, pair.second} else set()


def friedman_p(scores: Floats) -> float:
    """p of Friedman's test of scores, blocks × methods, by its chi-squared approximation with ties taken into account.

    1 where in every block all methods are equal, of which scipy makes nan.
    """
    if (scores == scores[:, :1]).all():
        return 1.0
    return float(stats.friedmanchisquare(*scores.T).pvalue)


def maximal_cliques(neighbours: list[set[int]]) -> list[set[int]]:
    """Every set of mutual neighbours that no further one can join, of a graph without loops."""
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(neighbours)))
    graph.add_edges_from((node, other) for node, others in enumerate(neighbours) for other in others)
    return [set(clique) for clique in networkx.find_cliques(graph)]


def _words(tests: BlockTests) -> str:
    blocks = (
        f"Over {len(tests.seeds)} blocks on {tests.dataset} (a block is a search seed that all {len(tests.labels)} "
        "methods finished: one split, one set of initial weights, one order of batches)"
    )
    if all(pair.wins == pair.losses == 0 for pair in tests.pairs):
        return f"{blocks} all methods have the same accuracy in every block, so there is nothing to test."
    if tests.friedman >= ALPHA:
        return f"{blocks} Friedman's test tells no method from the others ({print_p(tests.friedman)}): all are tied."
    apart = sum(pair.apart for pair in tests.pairs)
    groups = "; ".join(", ".join(tests.labels[place] for place in clique) for clique in tests.cliques)
    return (
        f"{blocks} Friedman's test finds that the methods differ ({print_p(tests.friedman)}). Wilcoxon signed-rank "
        f"tests with Holm's correction tell apart {apart} of {len(tests.pairs)} pairs; "
        + (f"not told apart: {groups}." if groups else "no two methods are left together.")
    )


def blocks_sheet(comparison: Comparison, tests: BlockTests) -> Sheet:
    """Every pair of methods over the blocks."""
    n = len(tests.seeds)
    label, rank = tests.labels, tests.mean_ranks
    rows: list[list[Value]] = []
    for one in tests.pairs:
        row: list[Value] = [label[one.first], label[one.second], rank[one.first], rank[one.second], one.difference]
        row += [one.wins, n - one.wins - one.losses, one.losses, one.p, one.holm, smallest_paired_p(n)]
        rows.append([*row, "told apart" if one.apart else "tie"])
    return Sheet(
        f"blocks-{tests.dataset}",
        f"Differences on {tests.dataset} over {n} blocks",
        f"A block is a search seed that every method finished; protocol {comparison.protocol_name}.",
        "Rank: mean over blocks, 1 is best. Difference: of the mean test accuracies over the blocks, in points. Wins, "
        "ties, losses: blocks, by any amount. p: exact two-sided Wilcoxon signed-rank test, zero differences ranked "
        f"and then dropped (Pratt); Holm: corrected for {len(tests.pairs)} comparisons; smallest p: what {n} blocks "
        "could give at best, uncorrected. Verdict: told apart where p of Friedman's test over all methods "
        f"({print_p(tests.friedman)}) and the corrected p are below 0.05 and the means further apart than retraining "
        "moves them.",
        [
            Column("method", "Method", text=True),
            Column("against", "Against", text=True),
            Column("rank", "Rank", 2),
            Column("rank_against", "Its rank", 2),
            Column("difference", "Difference", 2),
            Column("wins", "Wins"),
            Column("ties", "Ties"),
            Column("losses", "Losses"),
            Column("p", "p", 4),
            Column("p_holm", "p (Holm)", 4),
            Column("smallest_p", "Smallest p", 4),
            Column("verdict", "Verdict", text=True),
        ],
        rows,
    )
