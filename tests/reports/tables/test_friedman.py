"""Tests over blocks and the critical-difference diagram: against scikit-posthocs, by hand, and on degenerate data."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.reports.figures.critical_difference import critical_difference
from harness.reports.page.elements import Element, FigureElement, Paragraph, TableElement
from harness.reports.page.friedman_text import friedman_text
from harness.reports.page.sections import sections
from harness.reports.results import comparison
from harness.reports.results.friedman import friedman_of
from harness.reports.statistics import friedman
from harness.runs.results import load_study
from harness.runs.schema import Status
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies

SCORES = np.array(
    [
        [94.81, 93.99, 93.08, 92.85],
        [88.34, 87.34, 87.30, 86.06],
        [92.54, 92.78, 91.53, 90.35],
        [90.95, 90.75, 90.81, 89.00],
        [91.09, 91.17, 89.43, 89.16],
        [92.07, 91.30, 90.33, 90.05],
        [87.31, 88.83, 87.04, 86.05],
        [91.70, 91.34, 90.01, 89.06],
        [90.61, 89.97, 90.07, 89.11],
        [96.99, 96.89, 95.47, 94.47],
        [92.56, 91.96, 90.82, 89.91],
        [91.50, 89.40, 90.45, 89.74],
    ]
)
"""Twelve blocks of four methods without ties."""


def compared(writer: studies.StudyWriter) -> comparison.Comparison:
    return comparison.make_comparison(load_study(writer.path))


def differences(writer: studies.StudyWriter) -> list[Element]:
    """What the report's section on differences is made of."""
    return next(section.elements for section in sections(compared(writer)) if section.anchor == "differences")


def three_methods(writer: studies.StudyWriter, seeds: int) -> None:
    """darts is always worst, gdas and snas take turns."""
    for seed in range(seeds):
        writer.add("darts", seed, [studies.ALL_SKIP])
        writer.add("gdas", seed, [encoding.neighbours(studies.ALL_CONV3)[seed]])
        writer.add("snas", seed, [encoding.neighbours(studies.ALL_CONV3)[(seed + 1) % seeds]])


def test_against_scikit_posthocs() -> None:
    # scikit-posthocs 0.17.1 on scipy 1.17.1: posthoc_wilcoxon(list(SCORES.T)), the same with p_adjust="holm", and
    # _find_maximal_cliques((holm >= 0.05).astype(int)), which gave {1, 2}, {2, 3}, {4}
    found = friedman.friedman_tests("cifar10", list("abcd"), list(range(12)), SCORES, noise=0)
    p = [0.0771484375, 0.00048828125, 0.00048828125, 0.02685546875, 0.0009765625, 0.00048828125]
    holm = [0.0771484375, 0.0029296875, 0.0029296875, 0.0537109375, 0.0029296875, 0.0029296875]
    assert [pair.p for pair in found.pairs] == pytest.approx(p)
    assert [pair.holm for pair in found.pairs] == pytest.approx(holm)
    assert found.cliques == [[0, 1], [1, 2]]
    assert found.mean_ranks == pytest.approx([1.25, 2 + 1 / 12, 2.75, 3 + 11 / 12])
    assert found.labels == list("abcd")


def test_friedman_by_its_formula() -> None:
    # Demšar (2006): 12 n / (k (k + 1)) (sum of squared mean ranks - k (k + 1)^2 / 4), chi-squared with k - 1
    ranks = np.array([1.25, 2 + 1 / 12, 2.75, 3 + 11 / 12])
    statistic = 12 * 12 / 20 * ((ranks**2).sum() - 25)
    assert statistic == pytest.approx(27.4)
    assert friedman.friedman_p(SCORES) == pytest.approx(stats.chi2.sf(27.4, 3))


def test_a_difference_below_the_retraining_noise_is_none() -> None:
    found = friedman.friedman_tests("cifar10", list("abcd"), list(range(12)), SCORES, noise=100)
    assert not any(pair.significantly_different for pair in found.pairs)
    assert found.cliques == [[0, 1, 2, 3]]


def test_no_pair_is_significantly_different_where_friedmans_test_finds_nothing() -> None:
    # the last column is above the first in every block, the others hide it
    random = np.random.default_rng(0)
    scores = np.column_stack([np.zeros(12), random.normal(size=(12, 14)), np.full(12, 0.01)])
    found = friedman.friedman_tests("cifar10", [str(place) for place in range(16)], list(range(12)), scores, noise=0)
    assert found.p > 0.05
    assert found.cliques == [list(range(16))]


@given(st.lists(st.booleans(), min_size=10, max_size=10))
def test_cliques_are_the_maximal_sets_of_mutual_neighbours(edges: list[bool]) -> None:
    pairs = {pair for pair, edge in zip(combinations(range(5), 2), edges, strict=True) if edge}
    neighbours = [{b for b in range(5) if (min(a, b), max(a, b)) in pairs} for a in range(5)]
    sets = [set(chosen) for size in range(1, 6) for chosen in combinations(range(5), size)]
    joined = [one for one in sets if all(pair in pairs for pair in combinations(sorted(one), 2))]
    maximal = [one for one in joined if not any(one < other for other in joined)]
    found = list(friedman.maximal_cliques(neighbours))
    assert sorted(map(sorted, found)) == sorted(map(sorted, maximal))


def test_a_study_with_enough_seeds_gets_tests_a_diagram_and_a_table(writer: studies.StudyWriter) -> None:
    three_methods(writer, 12)
    writer.add("gdas", 12, [studies.ALL_CONV3])  # no block: the others did not run it
    found, _ = friedman_of(compared(writer))
    assert found is not None
    sentence = friedman_text(found)
    assert found.seeds == list(range(12))
    assert found.labels[-1] == "darts"
    assert [[found.labels[place] for place in clique] for clique in found.cliques] == [found.labels[:2]]
    assert "compares all 3 methods on cifar10 over 12 blocks. A block is a search seed that every method" in sentence
    assert "2 of 3 pairs differ significantly" in sentence
    shown = differences(writer)
    assert Paragraph(sentence) in shown
    assert FigureElement("critical-difference") in shown
    tables = {element.table.name: element.table for element in shown if isinstance(element, TableElement)}
    verdicts = {frozenset(map(str, row[:2])): row[-1] for row in tables["friedman-cifar10"].rows}
    different = {frozenset(("darts", "gdas")): "different", frozenset(("darts", "snas")): "different"}
    assert verdicts == different | {frozenset(("gdas", "snas")): "tie"}


def test_too_few_seeds_leave_the_reason_in_the_report(writer: studies.StudyWriter) -> None:
    three_methods(writer, 5)
    shown = differences(writer)
    assert any(isinstance(one, Paragraph) and "they need 10 search seeds" in one.text for one in shown)
    assert not any(isinstance(one, FigureElement) for one in shown)


def test_the_diagram_names_every_method_and_has_a_bar_a_clique(writer: studies.StudyWriter) -> None:
    three_methods(writer, 10)
    figure = critical_difference(compared(writer))
    assert figure is not None
    text = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert all(f"{label} " in f"{text} " for label in ("darts", "gdas", "snas"))
    assert "3.00  darts" in text
    bars = [line for line in figure.axes[0].lines if str(line.get_gid()).startswith("clique")]
    assert len(bars) == 1
    assert max(np.asarray(bars[0].get_xdata(), dtype=float)) < 3


@pytest.mark.parametrize(
    ("methods", "seeds", "failed", "reason"),
    [
        (2, 12, 0, "it needs 3 methods"),
        (3, 9, 0, "they need 10 search seeds that every method finished, and this study has 9"),
        (3, 12, 3, "and this study has 9"),
    ],
)
def test_where_the_design_allows_no_test_the_reason_is_said(
    writer: studies.StudyWriter, methods: int, seeds: int, failed: int, reason: str
) -> None:
    for seed in range(seeds):
        for method in range(methods):
            status: Status = "failed" if method == 0 and seed < failed else "finished"
            writer.add(f"method-{method}", seed, [studies.ALL_CONV3], status=status)
    tests, sentence = friedman_of(compared(writer))
    assert tests is None
    assert reason in sentence
    assert critical_difference(compared(writer)) is None


def test_without_accuracies_there_is_no_test(writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    studies.use_no_table(monkeypatch)
    writer.add("gdas", 0, [studies.ALL_CONV3], datasets=())
    assert friedman_of(compared(writer)) == (None, "There is no Friedman test: there are no accuracies.")


def test_all_equal_data_give_a_sentence(writer: studies.StudyWriter) -> None:
    for seed in range(10):
        for method in ("darts", "gdas", "snas"):
            writer.add(method, seed, [studies.ALL_SKIP])
    tests, _ = friedman_of(compared(writer))
    assert tests is not None
    assert "All methods have the same accuracy in every block, so there is nothing to test" in friedman_text(tests)
    assert (tests.p, tests.mean_ranks, tests.cliques) == (1, [2, 2, 2], [[0, 1, 2]])
    assert critical_difference(compared(writer)) is not None
