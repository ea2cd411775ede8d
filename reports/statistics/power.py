"""Power: the smallest difference of means that a number of seeds can show.

The power is calculated, not observed. The accuracies of both methods are taken as normal with one common standard
deviation, and compared by the exact rank-sum test of
:func:`harness.reports.statistics.significance.permutation_p`. Simulation gives the power, because with few seeds the
test's p-values are too coarse for the usual approximation (Noether 1987). The power at the observed difference is not
computed: it says no more than p does (Hoenig & Heisey 2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from harness.reports.statistics.significance import rank_sum_counts, smallest_p

POWER = 0.8
"""Probability with which a difference is to be shown."""

_HELD_AT_ONCE = 4_000_000
"""Simulated differences between two runs that are held in memory."""


def pooled_std(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation within groups, each about its own mean (n - 1 degrees of freedom a group).

    Exactly 0 for constant groups; None where no group has two values.
    """
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    squares = sum(float(np.var(group)) * len(group) for group in groups if min(group) < max(group))
    return math.sqrt(squares / freedom)


@cache
def detectable_difference(n: int, alpha: float) -> float | None:
    """Return the smallest difference of means that two groups of ``n`` show with probability :data:`POWER`.

    The unit is the standard deviation within a group. To show a difference is to reach a two-sided exact p of at most
    ``alpha``; None where ``n`` seeds never reach it. The simulation has a fixed generator and is accurate to 1 % up to
    14 seeds and to 3 % beyond. Rejections in the wrong direction, which hardly occur, are not counted.
    """
    if smallest_p(n, n) > alpha:
        return None
    tail = np.cumsum(rank_sum_counts(range(1, 2 * n + 1), n)[n * (n + 1) // 2 :]) * 2 / math.comb(2 * n, n)
    inversions = int((tail <= alpha * (1 + 1e-9)).sum()) - 1  # the most pairs of runs in wrong order that are rejected
    draws = max(2_000, min(20_000, _HELD_AT_ONCE // n**2))
    worse, better = np.random.default_rng(0).standard_normal((2, draws, n))
    gaps = (worse[:, :, None] - better[:, None, :]).reshape(draws, n * n)
    # Moving the better group up by more than a gap puts that pair of runs right.
    needed = np.partition(gaps, -1 - inversions, axis=1)[:, -1 - inversions]
    return float(np.quantile(needed, POWER))


def fewest_seeds(alpha: float) -> int:
    """Return the fewest seeds of each of two methods with which a two-sided exact p of ``alpha`` is possible."""
    n = 1
    while smallest_p(n, n) > alpha:
        n += 1
    return n
