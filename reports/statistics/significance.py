"""Tests of differences between methods: pure functions on arrays, without warnings and finite on ties.

The tests are exact. All but :func:`signed_rank_p` are unpaired: seeds are paired by design, but with fewer than six
seeds no paired test can reach p = 0.05. scipy offers exact tests without ties or resampling, which is why the ties are
counted here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.reports.statistics.summary import CONFIDENCE, RESAMPLES, Floats


def superiority(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the probability of superiority, P(A > B) + P(A = B) / 2, over all pairs of runs (Vargha & Delaney's A)."""
    x, y = np.asarray(a, dtype=float)[:, None], np.asarray(b, dtype=float)[None, :]
    return float(((x > y) + 0.5 * (x == y)).mean())


def permutation_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p of the exact permutation test of :func:`superiority`.

    1 where one group has no values or all values are equal. All relabellings are counted by their rank sum, not tried
    one by one, so that it is fast for any number of seeds. Without ties this is the exact Mann-Whitney test; with ties
    scipy's is approximate.
    """
    ranks = np.rint(2 * stats.rankdata([*a, *b])).astype(int)  # mid-ranks, doubled to be whole numbers
    counts = rank_sum_counts(ranks.tolist(), len(a))
    expected = len(a) * (len(ranks) + 1)
    distance = np.abs(np.arange(len(counts)) - expected)
    extreme = distance >= abs(int(ranks[: len(a)].sum()) - expected)
    return float(counts[extreme].sum() / counts.sum())


def rank_sum_counts(ranks: Sequence[int], size: int) -> Floats:
    """Count the choices of ``size`` of these positive whole ranks by their sum; the sum is the index, from 0."""
    counts = np.zeros((size + 1, sum(ranks) + 1))  # choices by their number of ranks and their sum
    counts[0, 0] = 1
    for rank in ranks:
        counts[1:, rank:] += counts[:-1, :-rank].copy()
    of_size: Floats = counts[-1]
    return of_size


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of the exact Wilcoxon signed-rank test of paired differences.

    1 where there are no differences or all are 0. It is exact with ties too: all choices of the signs are counted by
    their rank sum. Zeros are ranked and then dropped (Pratt 1959). Differences are compared to nine decimals.
    """
    rounded = np.round(np.asarray(differences, dtype=float), 9)
    ranks = np.rint(2 * stats.rankdata(np.abs(rounded))).astype(int)
    total = int(ranks[rounded != 0].sum())
    counts = np.zeros(total + 1)  # choices of the signs by the rank sum of the positive ones
    counts[0] = 1
    for rank in ranks[rounded != 0].tolist():
        counts[rank:] += counts[:-rank].copy()
    observed = int(ranks[rounded > 0].sum())
    extreme = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * observed - total)
    return float(counts[extreme].sum() / counts.sum())


def smallest_p(a: int, b: int) -> float:
    """Return the smallest p that :func:`permutation_p` can give for ``a`` and ``b`` seeds, at most 1.

    It is 2 / C(a + b, a) for equal numbers and 1 / C(a + b, a) for others: with ties, one end of the distribution of
    rank sums may have no counterpart at the other.
    """
    return min(1.0, (2 if a == b else 1) / math.comb(a + b, a))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p-values in the order of ``p``, to be compared with 0.05."""
    adjusted = [0.0] * len(p)
    worst = 0.0
    for smaller, index in enumerate(np.argsort(p, kind="stable").tolist()):
        worst = max(worst, min(1.0, (len(p) - smaller) * p[index]))
        adjusted[index] = worst
    return adjusted


def print_p(p: float) -> str:
    """Return a p-value for a sentence: ``p = 0.031``, ``p < 0.0001``."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


@dataclass(frozen=True)
class RankUncertainty:
    """The rank of a method over resampled seeds; 1 is the highest mean.

    Attributes:
        low: 2.5 % quantile of its rank.
        high: 97.5 % quantile.
        first: probability (%) of the highest mean; methods that share it share the probability.
    """

    low: float
    high: float
    first: float


def rank_uncertainty(values: Sequence[Sequence[float]], paired: bool) -> list[RankUncertainty]:
    """Rank the means of methods when their seeds are drawn again with replacement, with a fixed generator.

    Args:
        values: accuracies of each method, one a seed.
        paired: the methods have the same seeds in the same order; seeds are then drawn together.
    """
    random = np.random.default_rng(0)
    if paired:
        n = len(values[0])
        draws = random.integers(n, size=(RESAMPLES, n))
        means = [np.asarray(row, dtype=float)[draws].mean(axis=1) for row in values]
    else:
        sizes = [len(row) for row in values]
        means = [
            np.asarray(row, dtype=float)[random.integers(n, size=(RESAMPLES, n))].mean(axis=1)
            for row, n in zip(values, sizes, strict=True)
        ]
    table = np.round(np.stack(means, axis=1), 9)
    ranks = stats.rankdata(-table, axis=1)
    first = table == table.max(axis=1, keepdims=True)
    share = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = np.quantile(ranks, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return [RankUncertainty(float(a), float(b), 100 * float(p)) for a, b, p in zip(low, high, share, strict=True)]


def rate_interval(count: int, n: int) -> tuple[float, float]:
    """Return the exact (Clopper & Pearson) 95 % interval of a rate, in %. Raises ValueError for n = 0."""
    interval = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return 100 * float(interval.low), 100 * float(interval.high)


def seeds_needed(probability: float) -> int | None:
    """Return the seeds of each method that distinguish a superiority from 1/2 with 5 % error of either kind.

    After Noether (1987): half of his total for two equal groups. None where the probability is 1/2.
    """
    if probability == 0.5:
        return None
    z = 2 * stats.norm.ppf(0.95)  # one-sided alpha = beta = 0.05, as Bouthillier et al. (2021) use it
    return math.ceil(round(float(z**2 / (6 * (probability - 0.5) ** 2)), 9))
