"""Which differences a design can show: against exact integrals, scipy's own test, and where nothing can be shown."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from harness.reports.page.elements import Paragraph
from harness.reports.page.power_text import power_text
from harness.reports.page.sections import sections
from harness.reports.results import comparison
from harness.reports.statistics import power
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies


def words(writer: studies.StudyWriter) -> str:
    return power_text(comparison.make_comparison(load_study(writer.path)))


@pytest.mark.parametrize(("n", "alpha"), [(4, 0.05), (5, 0.05 / 6)])
def test_where_only_full_separation_is_rejected_it_is_an_integral(n: int, alpha: float) -> None:
    def is_significant(difference: float) -> float:
        """Probability that every one of n normal values is above all of n others, by the density of their maximum."""

        def density(x: float) -> float:
            maximum = n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1)
            return float(maximum * stats.norm.sf(x - difference) ** n)

        return float(integrate.quad(density, -8, 12)[0])

    exact = optimize.brentq(lambda difference: is_significant(difference) - 0.8, 0, 10)
    assert power.detectable_difference(n, alpha) == pytest.approx(exact, rel=0.015)


def test_scipys_test_rejects_in_four_of_five_such_samples() -> None:
    shift = power.detectable_difference(8, 0.01)
    assert shift is not None
    a, b = np.random.default_rng(1).standard_normal((2, 4000, 8))
    p = stats.mannwhitneyu(a + shift, b, axis=1, method="exact").pvalue
    assert (p <= 0.01).mean() == pytest.approx(0.8, abs=0.025)


def test_with_many_seeds_it_nears_the_t_test() -> None:
    # the noncentral t gives the t test's power; the rank test's asymptotic efficiency under normality is 3/pi
    def of_t(difference: float) -> float:
        critical = stats.t.ppf(0.975, 58)
        return float(stats.nct.sf(critical, 58, difference * math.sqrt(15)))

    t = optimize.brentq(lambda difference: of_t(difference) - 0.8, 0.01, 5)
    assert power.detectable_difference(30, 0.05) == pytest.approx(t * math.sqrt(math.pi / 3), rel=0.03)


def test_a_design_that_can_never_reach_alpha_detects_nothing() -> None:
    assert power.detectable_difference(3, 0.05) is None
    assert power.detectable_difference(1, 0.05) is None
    assert [power.fewest_seeds(alpha) for alpha in (0.05, 0.005, 1.0)] == [4, 6, 1]


def test_pooled_std() -> None:
    assert power.pooled_std([[1, 3], [10, 10, 10], [7]]) == pytest.approx(math.sqrt(2 / 3))
    assert power.pooled_std([[54.3] * 3, [93.1] * 2]) == 0
    assert power.pooled_std([[54.3], [93.1]]) is None


def scattered(writer: studies.StudyWriter, methods: int, seeds: int) -> None:
    for method in range(methods):
        for seed in range(seeds):
            writer.add(f"method-{method}", seed, [encoding.neighbours(studies.ALL_CONV3)[seed + method]])


def test_the_sentence_has_the_difference_in_points(writer: studies.StudyWriter) -> None:
    scattered(writer, 3, 6)
    finals = [
        [studies.accuracy(encoding.neighbours(studies.ALL_CONV3)[seed + method]) for seed in range(6)]
        for method in range(3)
    ]
    std = math.sqrt(np.mean([np.var(values, ddof=1) for values in finals]))
    alone, corrected = power.detectable_difference(6, 0.05), power.detectable_difference(6, 0.05 / 3)
    assert alone is not None
    assert corrected is not None
    text = words(writer)
    assert "with 6 finished seeds of each method," in text
    assert f"a difference of {alone * std:.2f} points in mean accuracy on cifar10" in text
    assert f"after Holm's correction for all 3 pairs (p up to 0.017) it shows {corrected * std:.2f} points" in text
    assert f"pooled: {std:.2f} points" in text


def test_the_fewest_seeds_count(writer: studies.StudyWriter) -> None:
    scattered(writer, 2, 7)
    writer.add("method-0", 7, [studies.ALL_CONV3])
    text = words(writer)
    assert "with 7 finished seeds of each method (the fewest of any method)" in text
    assert "Holm" not in text  # one pair needs no correction


def test_what_no_difference_can_show_is_said(writer: studies.StudyWriter) -> None:
    scattered(writer, 5, 3)
    assert words(writer) == (
        "Power: with 3 finished seeds of each method no difference, however large, gives p = 0.05 in the exact "
        "unpaired test. One pair chosen beforehand needs 4 seeds; after Holm's correction for all 10 pairs, 6 seeds "
        "are needed."
    )


def test_five_seeds_can_show_one_pair_and_not_ten(writer: studies.StudyWriter) -> None:
    scattered(writer, 5, 5)
    text = words(writer)
    assert (
        "for one pair chosen beforehand; after Holm's correction for all 10 pairs it shows no difference, however"
        in text
    )
    assert "that needs 6 seeds" in text
    study = comparison.make_comparison(load_study(writer.path))
    shown = [element for section in sections(study) for element in section.elements]
    assert Paragraph(text) in shown


@pytest.mark.parametrize("seeds", [1, 5])
def test_degenerate_data_give_a_sentence(writer: studies.StudyWriter, seeds: int) -> None:
    for seed in range(seeds):
        writer.add("darts", seed, [studies.ALL_SKIP])
        writer.add("gdas", seed, [studies.ALL_CONV3])
    text = words(writer)
    if seeds == 1:
        assert "with 1 finished seed of each method no difference, however large, gives p = 0.05" in text
    else:
        assert "no method's accuracy on cifar10 differs between its seeds" in text
        assert "the smallest possible p is 0.0079" in text


def test_one_method_has_no_power(writer: studies.StudyWriter) -> None:
    writer.add("gdas", 0, [studies.ALL_CONV3])
    assert words(writer) == ""
