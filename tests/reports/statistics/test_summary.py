"""Statistics over seeds: hand-computed values, and what must hold for any seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.statistics import summary as stats

ACCURACIES = st.lists(st.floats(0, 100), min_size=1, max_size=12)


def summary(*values: float) -> stats.Summary:
    return stats.summarize(list(values))


def test_five_seeds_by_hand() -> None:
    # mean 93, deviations -2 -1 0 1 2: std = sqrt(10 / 4); t(0.975, 4) = 2.7764; half = 2.7764 sqrt(2.5) / sqrt(5)
    found = summary(91, 92, 93, 94, 95)
    assert (found.n, found.mean, found.median, found.best, found.worst) == (5, 93, 93, 95, 91)
    assert found.iqm == 93  # one value cut at each end
    assert found.std == pytest.approx(math.sqrt(2.5))
    assert found.interval == pytest.approx((93 - 1.96324, 93 + 1.96324), abs=1e-4)


def test_interquartile_mean_ignores_one_collapse_of_five() -> None:
    assert summary(10, 93, 93, 94, 95).iqm == pytest.approx(280 / 3)


def test_one_seed_has_neither_spread_nor_interval() -> None:
    assert summary(54.3) == stats.Summary(1, 54.3, 54.3, 54.3, None, 54.3, 54.3, None)


def test_equal_seeds_have_exactly_no_spread() -> None:
    found = summary(*[54.3] * 5)
    assert found.std == 0
    assert found.mean == 54.3
    assert found.interval == (54.3, 54.3)


def test_no_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        stats.summarize([])


def test_from_ten_seeds_the_interval_is_bootstrapped_and_repeatable() -> None:
    values = np.array([90.0] * 9 + [80.0])
    low, high = stats.confidence_interval(values)
    assert (low, high) == stats.confidence_interval(values)
    assert high <= 90  # Student's t would pass the largest value: 89 + 2.26
    assert 86 < low < 89


@given(ACCURACIES)
def test_summaries_are_finite_and_in_order(values: list[float]) -> None:
    found = stats.summarize(values)
    assert found.worst <= found.median <= found.best
    assert found.worst - 1e-9 <= found.iqm <= found.best + 1e-9
    if found.interval is not None:
        assert found.interval[0] - 1e-9 <= found.mean <= found.interval[1] + 1e-9
    numbers = [found.mean, found.median, found.iqm, found.std or 0.0, *(found.interval or ())]
    assert all(math.isfinite(number) for number in numbers)


def test_smallest_paired_p() -> None:
    assert [stats.smallest_paired_p(n) for n in (0, 1, 3, 5, 6)] == [1, 1, 0.25, 0.0625, 0.03125]


def test_told_apart_needs_disjoint_intervals_and_more_than_noise() -> None:
    good, poor = summary(93.0, 93.2, 93.1), summary(54.3, 54.3, 54.3)
    assert stats.significantly_different(good, poor, noise=0.17)
    assert stats.significantly_different(poor, good, noise=0.17)
    assert not stats.significantly_different(good, summary(90.0, 93.0, 96.0), noise=0.17)
    assert not stats.significantly_different(summary(93.0), poor, noise=0.17)
    close = summary(93.1, 93.1, 93.1)
    assert stats.significantly_different(close, summary(93.2, 93.2, 93.2), noise=0)
    assert not stats.significantly_different(close, summary(93.2, 93.2, 93.2), noise=0.17)


def test_percentile_counts_strictly_worse_cells() -> None:
    table = np.array([10.0, 50.0, 50.0, 90.0])
    assert stats.percentile(table, [50.0]) == 25
    assert stats.percentile(table, [50.0, 90.0]) == 50
    assert stats.percentile(table, [10.0]) == 0


def test_normalised_score() -> None:
    table = np.array([80.0, 90.0, 100.0])
    assert stats.normalized(table, 90) == 0
    assert stats.normalized(table, 100) == 1
    assert stats.normalized(table, 70) == -2
    assert stats.normalized(np.array([80.0, 80.0]), 80) is None


def test_pareto_front_by_hand() -> None:
    gain, cost = [93.0, 94.0, 92.0, 94.0, 50.0], [10.0, 20.0, 15.0, 30.0, 1.0]
    assert stats.pareto_front(gain, cost) == [True, True, False, False, True]
    assert stats.pareto_front([1.0, 1.0], [2.0, 2.0]) == [True, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_whatever_is_off_the_front_is_beaten_by_something_on_it(points: list[tuple[int, int]]) -> None:
    front = stats.pareto_front([gain for gain, _ in points], [cost for _, cost in points])
    kept = [point for point, on in zip(points, front, strict=True) if on]
    for point, on in zip(points, front, strict=True):
        beaten = any(other != point and other[0] >= point[0] and other[1] <= point[1] for other in kept)
        assert beaten != on


def test_agreement_by_hand() -> None:
    # edge 0: 3 of 3; edge 1: 2 of 3
    assert stats.agreement([(1, 1), (1, 1), (1, 2)]) == pytest.approx((1 + 2 / 3) / 2)
    assert stats.agreement([(0, 1, 2)]) == 1
