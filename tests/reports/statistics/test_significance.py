"""Statistics of differences: against scipy's own tests, published values and hand-computed cases, on any data."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.reports.statistics import significance

FEW = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@given(FEW, FEW)
def test_superiority_counts_pairs(a: list[int], b: list[int]) -> None:
    counted = sum((x > y) + (x == y) / 2 for x, y in product(a, b)) / (len(a) * len(b))
    assert significance.superiority(a, b) == pytest.approx(counted)
    assert significance.superiority(a, b) + significance.superiority(b, a) == pytest.approx(1)


@given(FEW, FEW)
def test_permutation_p_is_the_share_of_relabellings_at_least_as_extreme(a: list[int], b: list[int]) -> None:
    pool = a + b
    observed = abs(significance.superiority(a, b) - 0.5)
    extreme = total = 0
    for chosen in combinations(range(len(pool)), len(a)):
        first = [pool[i] for i in chosen]
        second = [pool[i] for i in range(len(pool)) if i not in chosen]
        total += 1
        extreme += abs(significance.superiority(first, second) - 0.5) >= observed - 1e-9
    assert significance.permutation_p(a, b) == pytest.approx(extreme / total)
    assert significance.permutation_p(a, b) >= significance.smallest_p(len(a), len(b)) - 1e-12


def test_without_ties_it_is_the_exact_mann_whitney_test() -> None:
    a, b = [93.1, 92.8, 93.6, 92.2, 93.3], [92.9, 91.0, 93.0, 90.5, 92.1]
    assert significance.permutation_p(a, b) == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)


def test_collapse_against_separate_values_does_not_fall_below_the_exact_minimum() -> None:
    # scipy's default falls back to a normal approximation on ties and gives 0.0075, below what is possible
    assert significance.permutation_p([93, 94, 95, 96, 97], [54.3] * 5) == pytest.approx(2 / 252)


def test_degenerate_data_give_1() -> None:
    assert significance.permutation_p([54.3] * 5, [54.3] * 5) == 1
    assert significance.permutation_p([93.0], [54.3]) == 1
    assert significance.permutation_p([], [54.3]) == 1


SIGNED = st.lists(st.integers(-3, 3), max_size=8)


@given(SIGNED)
def test_signed_rank_p_is_the_share_of_signs_at_least_as_extreme(given_differences: list[int]) -> None:
    values = np.array(given_differences, dtype=float)
    ranks = stats.rankdata(abs(values)) * (values != 0)
    observed = abs((np.sign(values) * ranks).sum())
    signs = product((-1, 1), repeat=len(values))
    share = np.mean([abs((np.array(sign) * ranks).sum()) >= observed - 1e-9 for sign in signs])
    assert significance.signed_rank_p(given_differences) == pytest.approx(share)


def test_without_ties_and_zeros_it_is_the_exact_wilcoxon_test() -> None:
    values = [1.2, -0.4, 2.5, 0.9, -3.1, 0.3, 4.0, 1.1, 2.2, 0.7, -0.2]
    assert significance.signed_rank_p(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_signed_ranks_with_ties_and_zeros_agree_with_scipys_permutations() -> None:
    values = [0.0, 0.0, 0.5, 0.5, -0.5, 1.0, 2.0, 2.0, -3.0, 4.0]
    scipy = stats.wilcoxon(values, zero_method="pratt", method=stats.PermutationMethod(n_resamples=5000))
    assert significance.signed_rank_p(values) == pytest.approx(scipy.pvalue)


def test_differences_equal_but_for_rounding_are_ties() -> None:
    # 93.1 - 92.8 and 94.1 - 93.8 differ in the last bits
    assert significance.signed_rank_p([93.1 - 92.8, 93.8 - 94.1]) == 1


def test_paired_values_without_a_difference_give_1() -> None:
    assert significance.signed_rank_p([]) == significance.signed_rank_p([0.0] * 12) == 1


def test_smallest_p_of_the_usual_designs() -> None:
    found = [round(significance.smallest_p(n, n), 5) for n in (1, 3, 5, 6, 8)]
    assert found == [1, 0.1, 0.00794, 0.00216, 0.00016]


def test_holm_by_hand() -> None:
    # sorted 0.005 0.01 0.03 0.04: times 4, 3, 2, 1, and never falling
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([]) == []
    assert significance.holm([0.6, 0.9]) == [1, 1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_never_lowers_a_p_and_keeps_their_order(p: list[float]) -> None:
    adjusted = significance.holm(p)
    assert all(p <= q <= 1 for p, q in zip(p, adjusted, strict=True))
    assert sorted(zip(p, adjusted, strict=True)) == sorted(zip(sorted(p), sorted(adjusted), strict=True))


def test_ranks_of_methods_that_are_apart_are_certain() -> None:
    best, middle, worst = significance.rank_uncertainty([[93, 94], [80, 81], [54, 54]], paired=True)
    assert [(each.low, each.high, each.first) for each in (best, middle, worst)] == [(1, 1, 100), (2, 2, 0), (3, 3, 0)]


def test_equal_methods_share_their_rank() -> None:
    ranks = significance.rank_uncertainty([[1, 2, 3], [1, 2, 3]], paired=True)
    assert [(each.low, each.high, each.first) for each in ranks] == [(1.5, 1.5, 50)] * 2


def test_pairing_takes_out_what_seeds_have_in_common() -> None:
    easy_and_hard = np.array([50.0, 60, 70, 80, 90])
    values = [(easy_and_hard + 1).tolist(), easy_and_hard.tolist()]
    assert significance.rank_uncertainty(values, paired=True)[0].first == 100
    assert significance.rank_uncertainty(values, paired=False)[0].first < 70


def test_one_of_two_seeds_leads_in_three_of_four_resamples() -> None:
    # means over two draws of {0, 10} are 0, 5, 10 with probability 1/4, 1/2, 1/4; the other method has always 4
    found = significance.rank_uncertainty([[0, 10], [4, 4]], paired=False)
    assert found[0].first == pytest.approx(75, abs=2)


@given(st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=5), min_size=2, max_size=4))
def test_rank_probabilities_sum_to_100(values: list[list[float]]) -> None:
    found = significance.rank_uncertainty(values, paired=False)
    assert sum(each.first for each in found) == pytest.approx(100)
    assert all(1 <= each.low <= each.high <= len(values) for each in found)


def test_rate_intervals_of_clopper_and_pearson() -> None:
    assert significance.rate_interval(0, 5) == pytest.approx((0, 52.18), abs=0.01)
    assert significance.rate_interval(5, 5) == pytest.approx((47.82, 100), abs=0.01)
    low, high = significance.rate_interval(2, 10)
    # the definition: at each end of the interval, a result at least as extreme has probability 2.5 %
    assert stats.binom.sf(1, 10, low / 100) == pytest.approx(0.025)
    assert stats.binom.cdf(2, 10, high / 100) == pytest.approx(0.025)


def test_seeds_needed_as_published() -> None:
    assert [significance.seeds_needed(p) for p in (0.75, 0.8, 0.9, 0.95, 1.0)] == [29, 21, 12, 9, 8]
    assert significance.seeds_needed(0.25) == 29
    assert significance.seeds_needed(0.5) is None
    assert math.isfinite(significance.seeds_needed(0.501) or math.inf)
