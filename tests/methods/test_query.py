"""Query-based methods: each against its definition, and what they gain over random search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.config.protocol import load_protocol
from harness.methods.autokeras import AutoKeras
from harness.methods.base import Evaluation, QueryMethod
from harness.methods.bohb import BOHB
from harness.methods.local_search import LocalSearch
from harness.methods.nasnet import NASNet
from harness.methods.random_search import RandomSearch
from harness.methods.regularized_evolution import RegularizedEvolution
from harness.methods.reinforce import REINFORCE
from harness.random_streams import stream
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.query_by_lookup import LookupQuerySearch
from harness.spaces.base import Architecture, SearchSpace
from tests.support.toy import NAS_BENCH_201 as SPACE
from tests.support.toy import OneEdge, TwoEdges, proposed, query_state

Accuracy = Sequence[float] | np.ndarray
"""Accuracies (%) by official index."""

METHODS = [
    RegularizedEvolution(),
    LocalSearch(),
    LocalSearch(query_until_lower=True),
    REINFORCE(),
    NASNet(batch=5, hidden=8, learning_rate=0.01),
    AutoKeras(cooling=0.5),
    BOHB(),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label())

CELLS = np.array([SPACE.architecture(index) for index in range(SPACE.size)])
RUGGED = np.random.default_rng(0).permutation(SPACE.size) * 100 / SPACE.size  # no two cells are equal


def smooth() -> np.ndarray:
    """Accuracies (%) to which every edge and every pair of edges adds its part."""
    draw = np.random.default_rng(0)
    total = draw.normal(size=(6, 5))[np.arange(6), CELLS].sum(axis=1)
    for first in range(6):
        for second in range(first):
            total += 0.2 * draw.normal(size=(5, 5))[CELLS[:, first], CELLS[:, second]]
    return np.asarray(50 + 3 * total)


SMOOTH = smooth()


def search(
    method: QueryMethod, accuracy: Accuracy, count: int, seed: int = 0, space: SearchSpace = SPACE
) -> list[Evaluation]:
    """The first ``count`` evaluations of a search that a table answers."""
    state = query_state(method, space, seed=seed)
    for _ in range(count):
        cell = space.validate(proposed(method, state))
        state.history.append(Evaluation(cell, float(accuracy[space.index(cell)])))
        method.tell(state)
    return state.history


def differences(one: Architecture, other: Architecture) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def assert_frequencies(counts: Mapping[Any, int], expected: Mapping[Any, float]) -> None:
    """Whether counts are within five standard deviations of what their probabilities make of them."""
    draws = sum(counts.values())
    assert set(counts) <= set(expected)
    for outcome, probability in expected.items():
        deviation = abs(counts[outcome] - draws * probability)
        assert deviation < 5 * math.sqrt(draws * probability * (1 - probability)), outcome


# Regularized evolution


def test_evolution_starts_from_random_cells() -> None:
    rng = stream(0, "method")
    history = search(RegularizedEvolution(P=12), SMOOTH, 12)
    assert [seen.architecture for seen in history] == [SPACE.sample(rng) for _ in range(12)]


def test_the_parent_is_the_best_of_a_sample_with_replacement_from_the_youngest() -> None:
    oldest = Evaluation((4,) * 6, 99.0)  # the best, and dead
    history = [oldest] + [Evaluation((operation,) * 6, 10.0 + operation) for operation in (1, 2, 0)]
    method = RegularizedEvolution(P=3, S=2)
    state = query_state(method, history=history)
    parents: Counter[int] = Counter()
    for _ in range(2000):
        child = method.ask(state)
        [parent] = [seen for seen in history if differences(child, seen.architecture) == 1]
        parents[parent.architecture[0]] += 1
    assert_frequencies(parents, {2: 5 / 9, 1: 3 / 9, 0: 1 / 9})


def test_a_child_is_any_neighbour_of_its_parent() -> None:
    parent = (0, 1, 2, 3, 4, 0)
    method = RegularizedEvolution(P=1, S=1)
    state = query_state(method, history=[Evaluation(parent, 50.0)])
    children = Counter(method.ask(state) for _ in range(4000))
    assert_frequencies(children, dict.fromkeys(SPACE.neighbours(parent), 1 / 24))


# Local search


def climbs_to_the_best(cells: Iterator[Architecture], accuracy: Accuracy, space: SearchSpace) -> int:
    """Follow the paper's algorithm with restarts through the cells of a search; the number of starts."""
    seen: set[Architecture] = set()
    starts = 0
    for start in cells:
        assert start not in seen
        seen.add(start)
        starts, current, climbing = starts + 1, start, True
        while climbing:
            unseen = set(space.neighbours(current)) - seen
            while unseen:
                cell = next(cells, None)
                if cell is None:
                    return starts
                assert cell in unseen
                unseen.remove(cell)
                seen.add(cell)
            best = max(space.neighbours(current), key=lambda cell: accuracy[space.index(cell)])
            climbing = accuracy[space.index(best)] > accuracy[space.index(current)]
            current = best if climbing else current
    return starts


def climbs_to_the_first_better(cells: Iterator[Architecture], accuracy: Accuracy, space: SearchSpace) -> int:
    """The same with the variant that moves to a better neighbour as soon as one is known."""
    seen: set[Architecture] = set()
    starts = 0
    for start in cells:
        assert start not in seen
        seen.add(start)
        starts, current = starts + 1, start
        while True:
            known = [cell for cell in space.neighbours(current) if cell in seen]
            best = max(known, key=lambda cell: accuracy[space.index(cell)], default=current)
            if accuracy[space.index(best)] > accuracy[space.index(current)]:
                current = best
            elif len(known) == len(space.neighbours(current)):
                break
            else:
                cell = next(cells, None)
                if cell is None:
                    return starts
                assert cell in set(space.neighbours(current)) - seen
                seen.add(cell)
    return starts


def test_local_search_climbs_and_restarts_at_local_optima() -> None:
    cells = [seen.architecture for seen in search(LocalSearch(), RUGGED, 250)]
    assert climbs_to_the_best(iter(cells), RUGGED, SPACE) > 2
    cells = [seen.architecture for seen in search(LocalSearch(query_until_lower=True), RUGGED, 250)]
    assert climbs_to_the_first_better(iter(cells), RUGGED, SPACE) > 2
    with pytest.raises(AssertionError):
        climbs_to_the_best(iter(cells), RUGGED, SPACE)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([10.0, 20.0, 30.0, 40.0]), min_size=9, max_size=9), st.integers(0, 2**32))
def test_climbs_share_what_they_know_and_stop_on_plateaus(accuracy: list[float], seed: int) -> None:
    cells = [seen.architecture for seen in search(LocalSearch(), accuracy, 9, seed, TwoEdges())]
    assert climbs_to_the_best(iter(cells), accuracy, TwoEdges())
    cells = [seen.architecture for seen in search(LocalSearch(query_until_lower=True), accuracy, 9, seed, TwoEdges())]
    assert climbs_to_the_first_better(iter(cells), accuracy, TwoEdges())


# REINFORCE


def policy(method: REINFORCE, space: SearchSpace, history: Sequence[Evaluation]) -> np.ndarray:
    """θ (edges, operations) after the evaluations of a history."""
    return np.asarray(query_state(method, space, history).memory["theta"].detach())


@pytest.mark.parametrize(("learning_rate", "momentum"), [(0.01, 0.9), (0.5, 0.0), (0.2, 0.5)])
def test_the_policy_follows_the_policy_gradient_by_adam(learning_rate: float, momentum: float) -> None:
    history = search(RandomSearch(), SMOOTH, 25)
    theta = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([theta], lr=learning_rate)
    rewards: list[float] = []
    for cell, reward in history:
        rewards.append(reward)
        weights = [momentum**age for age in range(len(rewards))]
        baseline = np.average(rewards[::-1], weights=weights)
        probability = torch.stack([row.softmax(0)[operation] for row, operation in zip(theta, cell, strict=True)])
        adam.zero_grad()
        (-(reward - baseline) * probability.prod().log()).backward()
        adam.step()
    learnt = policy(REINFORCE(learning_rate=learning_rate, momentum=momentum), SPACE, history)
    np.testing.assert_allclose(learnt, theta.detach().numpy(), rtol=1e-6, atol=1e-9)
    assert (np.abs(learnt).max() > 0.05) == (momentum > 0)  # without memory, the baseline is the reward


def test_cells_are_sampled_from_the_policy() -> None:
    method, space = REINFORCE(learning_rate=0.1), TwoEdges()
    history = [Evaluation((0, 1), 10.0), Evaluation((2, 1), 60.0), Evaluation((1, 0), 20.0)]
    for seen in ([], history):
        first, second = torch.from_numpy(policy(method, space, seen)).softmax(dim=1).tolist()
        state = query_state(method, space, seen)
        drawn = Counter(method.ask(state) for _ in range(2000))
        assert_frequencies(drawn, {(a, b): first[a] * second[b] for a in range(3) for b in range(3)})
        assert (first == second == [1 / 3] * 3) == (not seen)


def test_the_policy_learns_what_is_rewarded() -> None:
    method = REINFORCE(learning_rate=0.1)
    history = search(method, [10.0, 90.0, 20.0], 100, space=OneEdge())
    assert policy(method, OneEdge(), history).argmax() == 1
    assert [seen.architecture for seen in history[-20:]].count((1,)) >= 18


# All of them


@every_method
def test_a_broken_search_goes_on_with_the_same_cells(method: QueryMethod) -> None:
    rules = load_protocol("quick", ["search.epochs=4", "queries.answers=table", "queries.evaluations=60"])
    searches = [LookupQuerySearch(method, SPACE, BenchmarkQuery(RUGGED, None), rules, 0) for _ in range(3)]
    whole, first, second = searches
    for epoch in range(4):
        whole.run_epoch(epoch, lambda done: None)
    for epoch in range(2):
        first.run_epoch(epoch, lambda done: None)
    second.load_state_dict(first.state_dict())
    for epoch in range(2, 4):
        second.run_epoch(epoch, lambda done: None)
    assert len(whole.history) == 60
    assert second.history == whole.history


@every_method
@pytest.mark.parametrize("space", [OneEdge(), TwoEdges()], ids=lambda space: space.name)
def test_it_searches_other_spaces_and_goes_on_when_all_cells_are_known(method: QueryMethod, space: SearchSpace) -> None:
    history = search(method, np.linspace(10, 90, space.size), 40, space=space)
    assert method.derive(history) == space.architecture(space.size - 1)


@pytest.mark.parametrize(
    ("method", "count", "seeds"),
    [(RegularizedEvolution(), 100, 20), (LocalSearch(), 100, 20), (BOHB(), 100, 20), (AutoKeras(cooling=0.5), 50, 6)],
    ids=lambda value: getattr(value, "name", None),
)
def test_it_finds_better_cells_than_random_search_at_equal_budget(method: QueryMethod, count: int, seeds: int) -> None:
    def mean(method: QueryMethod) -> float:
        results = [method.derive(search(method, SMOOTH, count, seed)) for seed in range(seeds)]
        return float(np.mean([SMOOTH[SPACE.index(cell)] for cell in results]))

    assert mean(method) > mean(RandomSearch()) + 0.5


@pytest.mark.parametrize(
    ("method", "setting", "refused"),
    [
        (RegularizedEvolution, "P", 0),
        (RegularizedEvolution, "S", 0),
        (REINFORCE, "learning_rate", 0),
        (REINFORCE, "momentum", 1),
        (LocalSearch, "epochs_per_cell", 0),
        (NASNet, "learning_rate", 0),
        (NASNet, "clip", 1),
        (NASNet, "batch", 0),
        (AutoKeras, "cooling", 1),
        (AutoKeras, "noise_variance", 0),
        (BOHB, "eta", 1),
        (BOHB, "top", 0),
        (BOHB, "random_fraction", 1.5),
    ],
)
def test_settings_out_of_range_are_refused(method: type[QueryMethod], setting: str, refused: int) -> None:
    with pytest.raises(ValidationError, match=setting):
        method(**{setting: refused})
