"""Power: how large a difference must be for the seeds of a study to show it.

Calculated, not observed: the accuracies of both methods of a pair are taken as normal, with the sd that the study's
methods have within themselves (pooled), and the pair is given the test that the report makes
(:func:`harness.reports.statistics.significance.permutation_p`). That is the power of the exact rank-sum test against a
normal shift, found by simulation because with few seeds its p-values are too coarse for the usual approximation
(Noether 1987). The power at the difference that was observed is not given: it would say no more than p does (Hoenig &
Heisey 2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import by_accuracy
from harness.reports.statistics.significance import rank_sum_counts, smallest_p

ALPHA = 0.05
POWER = 0.8
_NUMBERS = 4_000_000
"""Simulated differences between two runs that are held at once."""


def pooled_sd(groups: Sequence[Sequence[float]]) -> float | None:
    """The sd within groups, each about its own mean; exactly 0 for constant groups, None where none has two values."""
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    squares = sum(float(np.var(group)) * len(group) for group in groups if min(group) < max(group))
    return math.sqrt(squares / freedom)


@cache
def detectable(n: int, alpha: float) -> float | None:
    """The smallest difference of means, in sd, that two groups of ``n`` show with a probability of :data:`POWER`.

    To show is to have a two-sided exact p of at most ``alpha``; None where ``n`` seeds never have it. By simulation
    with a fixed generator, good to 1 % up to 14 seeds and to 3 % beyond. What is rejected in the wrong direction, which
    is next to nothing, is not counted.
    """
    if smallest_p(n, n) > alpha:
        return None
    tail = np.cumsum(rank_sum_counts(range(1, 2 * n + 1), n)[n * (n + 1) // 2 :]) * 2 / math.comb(2 * n, n)
    inversions = int((tail <= alpha * (1 + 1e-9)).sum()) - 1  # the most pairs of runs in wrong order that are rejected
    draws = max(2_000, min(20_000, _NUMBERS // n**2))
    worse, better = np.random.default_rng(0).standard_normal((2, draws, n))
    gaps = (worse[:, :, None] - better[:, None, :]).reshape(draws, n * n)
    # Moving the better group up by more than a gap puts that pair of runs right.
    needed = np.partition(gaps, -1 - inversions, axis=1)[:, -1 - inversions]
    return float(np.quantile(needed, POWER))


def seeds_for(alpha: float) -> int:
    """The fewest seeds of each of two methods with which a two-sided exact p of ``alpha`` is possible at all."""
    n = 1
    while smallest_p(n, n) > alpha:
        n += 1
    return n


def power_words(comparison: Comparison) -> str:
    """What differences on the headline dataset the study's seeds could show, in sentences; empty for one method."""
    dataset = comparison.headline
    ranked = by_accuracy(comparison, dataset) if dataset else []
    if dataset is None or len(ranked) < 2:
        return ""
    groups = [one.method.finals(dataset) for one in ranked]
    n = min(map(len, groups))
    count = len(groups) * (len(groups) - 1) // 2
    fewest = " (the fewest of any)" if n < max(map(len, groups)) else ""
    seeds = f"with {n} finished {'seed' if n == 1 else 'seeds'} of each method{fewest}"
    corrected = f"after Holm's correction for all {count} pairs"
    if smallest_p(n, n) > ALPHA:
        need = f"from {seeds_for(ALPHA)} seeds on it can for one pair named beforehand"
        need += f", and from {seeds_for(ALPHA / count)} on {corrected}" if count > 1 else ""
        return f"Power: {seeds} no difference, however large, can give p = {ALPHA} in the exact unpaired test; {need}."
    sd = pooled_sd(groups)
    if not sd:
        return (
            f"Power: no method's accuracy on {dataset} differs between its seeds, so there is no scatter to calculate "
            f"from; {seeds} the smallest possible p is {smallest_p(n, n):.2g}."
        )
    sds = [pooled_sd([group]) or 0.0 for group in groups]
    text = (
        f"Power: {seeds}, the exact unpaired test at 5 % would show, with a probability of 80 %, a difference of "
        f"{(detectable(n, ALPHA) or 0.0) * sd:.2f} points in mean accuracy on {dataset} between one pair named "
        "beforehand"
    )
    if count > 1:
        large = detectable(n, ALPHA / count)
        if large is None:
            text += f"; {corrected} no difference, however large (from {seeds_for(ALPHA / count)} seeds on it could)"
        else:
            text += f", and of {large * sd:.2f} points {corrected} (p up to {ALPHA / count:.2g})"
    return (
        f"{text}. Calculated for normal accuracies with the sd that seeds have within a method, pooled: {sd:.2f} "
        f"points; the methods' own are {min(sds):.2f} to {max(sds):.2f}. It does not hold for a method that sometimes "
        "collapses."
    )
