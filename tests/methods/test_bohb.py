"""BOHB: Hyperband's brackets against its table, the density model by hand, and searches over two budgets."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from harness.config.protocol import load_protocol
from harness.methods.base import Evaluation
from harness.methods.bohb import BOHB, Density
from harness.methods.random_search import RandomSearch
from harness.random_streams import stream
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.query_by_lookup import LookupQuerySearch
from harness.search.query_by_training import TrainingQuerySearch
from tests.methods.test_query import CELLS, RUGGED, SMOOTH, assert_frequencies, search
from tests.support.small_search import CPU, data, protocol, quiet
from tests.support.toy import NAS_BENCH_201 as SPACE

SHORT = np.asarray(SMOOTH + np.random.default_rng(1).normal(0, 3, SPACE.size))
ACCURACIES = BenchmarkQuery(SMOOTH, np.full(SPACE.size, 200.0), {12: BenchmarkQuery(SHORT, np.full(SPACE.size, 12.0))})


def table_search(method: BOHB, *settings: str, seed: int = 0) -> LookupQuerySearch:
    rules = load_protocol("quick", ["search.epochs=4", "queries.answers=table", "queries.seconds=4000", *settings])
    return LookupQuerySearch(method, SPACE, ACCURACIES, rules, seed)


def run(searched: LookupQuerySearch, epochs: range) -> list[Any]:
    return [searched.run_epoch(epoch, quiet) for epoch in epochs]


# Hyperband


def test_the_brackets_are_those_of_hyperbands_table() -> None:
    # Li et al., JMLR 2018, table 1: R = 81, η = 3
    budgets = [1, 3, 9, 27, None]
    assert BOHB(epochs_per_cell=81).lower_fidelities() == budgets[:-1]
    brackets = [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]]
    expected = [rung for sizes in brackets for rung in zip(budgets[-len(sizes) :], sizes, strict=True)]
    rungs = list(itertools.islice(BOHB().rungs(budgets), 2 * len(expected)))
    assert rungs == expected * 2


def test_two_budgets_make_two_brackets_whose_best_cells_go_on() -> None:
    searched = table_search(BOHB())
    run(searched, range(4))
    cells = [seen.architecture for seen in searched.history]
    whole = len(cells) // 6 * 6
    assert whole >= 18
    for begin in range(0, whole, 6):
        assert searched.epochs[begin : begin + 6] == [12, 12, 12, None, None, None]
        assert cells[begin + 3] == max(cells[begin : begin + 3], key=lambda cell: SHORT[SPACE.index(cell)])


# The model


def test_the_density_and_its_ratio_are_those_by_hand() -> None:
    good, bad = Density(np.array([[0, 1], [0, 2]]), 3, 0.01), Density(np.array([[1, 1], [2, 1], [0, 1]]), 3, 0.01)
    spread = 1.06 * 0.5 * 2 ** (-1 / 6)  # half of the cells have either operation
    np.testing.assert_allclose(good.bandwidth, [0.01, spread])
    third = 1.06 * np.sqrt(1 / 3) * 3 ** (-1 / 6)
    np.testing.assert_allclose(bad.bandwidth, [third, 0.01])
    cell = np.array([[0, 2]])
    l = 0.99 * ((spread / 2) + (1 - spread)) / 2  # noqa: E741
    g = (0.01 / 2) * (2 * third / 2 + (1 - third)) / 3
    assert good(cell) / bad(cell) == pytest.approx(l / g)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_densities_sum_to_one_and_do_not_depend_on_the_order_of_operations(count: int) -> None:
    every = np.array(list(itertools.product(range(5), repeat=3)))
    drawn = np.random.default_rng(count).integers(5, size=(count, 3))
    density = Density(drawn, 5, 1e-3)
    assert density(every).sum() == pytest.approx(1)
    assert (density.bandwidth <= 4 / 5).all()
    renumbered = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(Density(renumbered[drawn], 5, 1e-3)(renumbered[every]), density(every))


def test_cells_are_drawn_from_the_widened_density() -> None:
    density = Density(np.array([[0, 1], [0, 1], [0, 2]]), 3, 0.05)
    wide = Density(density.cells, 3, 0.05)
    wide.bandwidth = np.minimum(3 * density.bandwidth, 2 / 3)
    every = list(itertools.product(range(3), repeat=2))
    drawn = Counter(map(tuple, density.draw(4000, 3.0, stream(0, "method")).tolist()))
    assert_frequencies(drawn, dict(zip(every, wide(np.array(every)).tolist(), strict=True)))


@pytest.mark.parametrize(("count", "good", "bad"), [(9, 7, 7), (20, 7, 13), (100, 15, 85)])
def test_the_model_is_of_the_best_and_the_rest_at_the_largest_budget_with_enough(
    count: int, good: int, bad: int
) -> None:
    evaluations = [Evaluation(tuple(CELLS[i]), float(RUGGED[i])) for i in range(count)]
    order = CELLS[np.argsort(-RUGGED[:count])]
    found = BOHB().observed([evaluations[:8], evaluations, evaluations * 2], 7)
    assert found is not None
    assert np.array_equal(found[0], order[:good])
    assert np.array_equal(found[1], order[-bad:])
    assert BOHB().observed([evaluations[:8]], 7) is None


def test_it_proposes_what_the_model_prefers_but_for_a_random_fraction() -> None:
    results = [search(RandomSearch(), SMOOTH, 200)]

    def mean(fraction: float) -> float:
        method, rng = BOHB(random_fraction=fraction), stream(0, "method")
        return float(np.mean([SMOOTH[SPACE.index(method.propose(SPACE, results, rng))] for _ in range(60)]))

    assert mean(1.0) == pytest.approx(SMOOTH.mean(), abs=1.5)
    assert mean(0.0) > SMOOTH.mean() + 5


# Searches


def test_each_training_costs_its_own_seconds_and_the_full_ones_decide() -> None:
    searched = table_search(BOHB())
    rows = run(searched, range(4))
    full = [seen for seen, epochs in zip(searched.history, searched.epochs, strict=True) if epochs is None]
    assert set(searched.epochs) == {12, None}
    assert rows[-1]["simulated_seconds"] == 200 * len(full) + 12 * searched.epochs.count(12)
    best = max(full, key=lambda seen: seen.valid_accuracy)
    assert rows[-1]["architecture"] == SPACE.format(best.architecture)
    assert rows[-1]["valid_accuracy"] == best.valid_accuracy == SMOOTH[SPACE.index(best.architecture)]
    noted = [evaluation.get("epochs") for evaluation in searched.alphas()["evaluations"]]
    assert noted == searched.epochs


def test_a_broken_search_over_two_budgets_goes_on_with_the_same_cells() -> None:
    whole, first, second = (table_search(BOHB()) for _ in range(3))
    run(whole, range(4))
    run(first, range(2))
    second.load_state_dict(first.state_dict())
    run(second, range(2, 4))
    assert (second.history, second.epochs) == (whole.history, whole.epochs)
    assert table_search(BOHB(), seed=1).proposed() != table_search(BOHB()).proposed()


def test_where_cells_are_trained_budgets_are_epochs() -> None:
    rules = protocol("search.epochs=4")
    searched = TrainingQuerySearch(BOHB(eta=2, epochs_per_cell=2), SPACE, data(rules), rules, 0, CPU)
    rows = [searched.run_epoch(epoch, quiet) for epoch in range(4)]
    assert searched.epochs == [1, 1, None]  # 2 + 2 + 3 of 8 passes over a half
    assert rows[-1]["examples"] == 16 * 7
    assert rows[1]["valid_accuracy"] == max(seen.valid_accuracy for seen in searched.history[:2])
    assert rows[-1]["valid_accuracy"] == searched.history[2].valid_accuracy
