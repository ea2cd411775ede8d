"""Friedman's test of several methods, and Wilcoxon's signed-rank test of every pair after it.

Both compare methods within blocks. A block is a search seed that every method finished: one split, one set of initial
weights and one order of batches for all methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import networkx
from scipy import stats

from harness.reports.statistics.significance import holm, signed_rank_p
from harness.reports.statistics.summary import Floats

ALPHA = 0.05
"""Level at which the tests reject."""


@dataclass(frozen=True)
class PairTest:
    """Two methods over all blocks, as indices into :attr:`FriedmanTests.labels`; ``first`` has the better mean rank.

    Attributes:
        difference: of the mean accuracies, in points.
        wins: blocks in which the first method is better by any amount.
        losses: blocks in which the second method is better.
        p: of the exact Wilcoxon signed-rank test.
        holm: that p, corrected for all pairs.
        significantly_different: the verdict; see :func:`friedman_tests`.
    """

    first: int
    second: int
    difference: float
    wins: int
    losses: int
    p: float
    holm: float
    significantly_different: bool


@dataclass(frozen=True)
class FriedmanTests:
    """The tests of all methods on one dataset.

    Attributes:
        labels: the methods, the best mean rank first.
        mean_ranks: in the same order; 1 is best, and equal accuracies share their ranks.
        seeds: the blocks.
        p: of Friedman's test.
        pairs: every pair of methods.
        cliques: the largest sets of two methods or more without a significantly different pair, as indices into
            ``labels``.
    """

    dataset: str
    labels: list[str]
    mean_ranks: list[float]
    seeds: list[int]
    p: float
    pairs: list[PairTest]
    cliques: list[list[int]]


def friedman_tests(dataset: str, labels: list[str], seeds: list[int], scores: Floats, noise: float) -> FriedmanTests:
    """Test accuracies (%) of shape (blocks, methods).

    Two methods are significantly different where Friedman's test rejects at :data:`ALPHA`, then their own test,
    corrected for all pairs after Holm, rejects too, and their means differ by more than ``noise`` points.
    """
    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    order = sorted(range(len(labels)), key=lambda method: (ranks[method], labels[method]))
    scores = scores[:, order]
    p = friedman_p(scores)
    pairs = _pair_tests(scores, p, noise)
    neighbours: list[set[int]] = [set() for _ in order]
    for pair in pairs:
        if not pair.significantly_different:
            neighbours[pair.first].add(pair.second)
            neighbours[pair.second].add(pair.first)
    cliques = sorted(sorted(clique) for clique in maximal_cliques(neighbours) if len(clique) > 1)
    mean_ranks = [float(ranks[method]) for method in order]
    return FriedmanTests(dataset, [labels[method] for method in order], mean_ranks, seeds, p, pairs, cliques)


def _pair_tests(scores: Floats, p: float, noise: float) -> list[PairTest]:
    """Test every pair of columns; ``p`` is that of Friedman's test."""
    indices = list(combinations(range(scores.shape[1]), 2))
    uncorrected = [signed_rank_p((scores[:, a] - scores[:, b]).tolist()) for a, b in indices]
    pairs = []
    for (a, b), own, corrected in zip(indices, uncorrected, holm(uncorrected), strict=True):
        difference = float(scores[:, a].mean() - scores[:, b].mean())
        wins, losses = int((scores[:, a] > scores[:, b]).sum()), int((scores[:, a] < scores[:, b]).sum())
        different = p < ALPHA and corrected < ALPHA and abs(difference) > noise
        pairs.append(PairTest(a, b, difference, wins, losses, own, corrected, different))
    return pairs


def friedman_p(scores: Floats) -> float:
    """Return p of Friedman's test of scores (blocks, methods), by the chi-squared approximation corrected for ties.

    1 where all methods are equal in every block, for which scipy returns nan.
    """
    if (scores == scores[:, :1]).all():
        return 1.0
    return float(stats.friedmanchisquare(*scores.T).pvalue)


def maximal_cliques(neighbours: list[set[int]]) -> list[set[int]]:
    """Return every maximal clique of a graph without loops, given the neighbours of each node."""
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(neighbours)))
    graph.add_edges_from((node, other) for node, others in enumerate(neighbours) for other in others)
    return [set(clique) for clique in networkx.find_cliques(graph)]
