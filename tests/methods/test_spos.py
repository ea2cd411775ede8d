"""SPOS against its algorithm: what is trained, and how cells evolve by made-up accuracies."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.methods.spos import SPOS, crossover, mutated
from harness.random_streams import stream
from tests.support.one_shot import scores
from tests.support.toy import NAS_BENCH_201, TwoEdges, build_again, build_search

CELLS = st.tuples(*[st.integers(0, 4)] * 6)


def test_every_weight_step_trains_one_uniformly_drawn_cell() -> None:
    search = build_search(SPOS(), TwoEdges())
    drawn = Counter(SPOS().weight_mixture(search).selected for _ in range(1800))
    assert len(drawn) == 9
    assert all(abs(count - 200) < 5 * 14 for count in drawn.values())  # the standard deviation is sqrt(1800 · 8 / 81)


def test_before_the_last_epoch_it_shows_the_first_cell_of_the_first_generation_unscored() -> None:
    search = build_search(SPOS(), epochs=3)
    asked = scores(search)
    assert SPOS().derive(search) == NAS_BENCH_201.sample(build_again(search).rng)
    assert not asked


def test_the_first_generation_is_drawn_uniformly_and_the_best_of_it_is_the_result() -> None:
    method = SPOS(population=30, generations=1)
    search = build_search(method, epochs=1)
    rng = build_again(search).rng
    expected = [NAS_BENCH_201.sample(rng) for _ in range(30)]
    asked = scores(search)  # the accuracy grows with the index
    assert method.derive(search) == max(expected, key=NAS_BENCH_201.index)
    assert [mixture.selected for mixture in asked] == list(dict.fromkeys(expected))


def test_no_cell_is_scored_twice_and_no_more_than_a_thousand_are() -> None:
    search = build_search(SPOS(), epochs=1)
    asked = [mixture.selected for mixture in (scores(search), SPOS().derive(search))[0]]
    assert 50 < len(asked) == len(set(asked)) <= 1000


def test_it_finds_the_best_cell_that_uniform_draws_do_not() -> None:
    found = []
    for method in (SPOS(), SPOS(population=1000, generations=1)):
        search = build_search(method, epochs=1)
        search.validate = lambda mixture: float((mixture.weights @ torch.arange(5.0)).sum())
        found.append(sum(method.derive(search)))
    assert found[0] == 24  # every edge has the best operation: one cell of 15,625
    assert found[1] < 24


def test_children_are_made_of_the_best_so_far_alone() -> None:
    method = SPOS(population=40, generations=2, parents=2, crossovers=20, mutations=20, mutation=0.0)
    search = build_search(method, epochs=1)
    rng = build_again(search).rng
    first = dict.fromkeys(NAS_BENCH_201.sample(rng) for _ in range(40))
    asked = scores(search)
    method.derive(search)
    one, other = sorted(first, key=NAS_BENCH_201.index)[-2:]
    children = [mixture.selected for mixture in asked[len(first) :]]
    assert children
    for child in children:
        assert child is not None
        assert all(operation in pair for operation, *pair in zip(child, one, other, strict=True))


@settings(deadline=None, max_examples=30)
@given(CELLS, CELLS, st.integers(0, 2**20))
def test_a_crossover_has_every_operation_from_either_parent(one: tuple[int], other: tuple[int], seed: int) -> None:
    child = crossover(one, other, NAS_BENCH_201, stream(seed, "noise"))
    assert all(operation in pair for operation, *pair in zip(child, one, other, strict=True))


def test_a_crossover_takes_each_side_and_a_mutation_each_edge_with_its_probability() -> None:
    rng = stream(0, "noise")
    ones = sum(sum(crossover((0,) * 6, (1,) * 6, NAS_BENCH_201, rng)) for _ in range(500))
    assert abs(ones - 1500) < 5 * 28  # the standard deviation is sqrt(3000 / 4)
    changed = sum(sum(op != 0 for op in mutated((0,) * 6, 0.1, NAS_BENCH_201, rng)) for _ in range(500))
    assert abs(changed - 240) < 5 * 15  # a tenth of 3000, of which a fifth are drawn as they were
    assert mutated((1, 2, 3, 4, 0, 1), 0.0, NAS_BENCH_201, rng) == (1, 2, 3, 4, 0, 1)
