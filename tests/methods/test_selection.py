"""Random search with weight sharing, SETN and DARTS-PT, each against its definition."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.methods.base import Forward, SearchState, WeightSharingMethod
from harness.methods.darts import DARTS
from harness.methods.darts_pt import DARTSPT, EXCLUDED
from harness.methods.random_search_ws import RandomSearchWS
from harness.methods.setn import SETN, most_probable
from harness.random_streams import stream
from harness.spaces.base import Architecture, Mixture, SearchSpace
from tests.support.one_shot import scores
from tests.support.small_search import gradient_search, quiet
from tests.support.toy import NAS_BENCH_201, OneEdge, TwoEdges, batch, build_again, build_search, identical, step

# Random search with weight sharing, and SETN's weight step


@pytest.mark.parametrize("method", [RandomSearchWS(), SETN()], ids=lambda method: method.name)
def test_every_weight_step_trains_one_uniformly_drawn_cell(
    method: WeightSharingMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = build_search(method, TwoEdges())
    drawn = Counter(method.weight_mixture(search).selected for _ in range(1800))
    assert len(drawn) == 9
    assert all(abs(count - 200) < 5 * 14 for count in drawn.values())  # the standard deviation is sqrt(1800 · 8 / 81)

    search, used = build_search(method), []
    forward = SearchState.forward

    def recording(self: SearchState, data: Any, mixture: Mixture) -> Forward:
        used.append(mixture)
        return forward(self, data, mixture)

    monkeypatch.setattr(SearchState, "forward", recording)
    expected = NAS_BENCH_201.sample(build_again(search).rng)
    method.weight_step(search, batch("train"))
    assert [mixture.selected for mixture in used] == [expected]
    assert torch.equal(used[0].weights, nn.functional.one_hot(torch.tensor(expected), 5).float())


def test_random_search_scores_the_cells_that_it_draws_next() -> None:
    method = RandomSearchWS(candidates=20)
    search = build_search(method, epochs=1)
    asked, rng = scores(search), build_again(search).rng
    method.derive(search)
    assert [mixture.selected for mixture in asked] == [NAS_BENCH_201.sample(rng) for _ in range(20)]


def test_random_search_shows_an_unscored_cell_before_the_last_epoch() -> None:
    search = build_search(RandomSearchWS(), epochs=3)
    assert RandomSearchWS().derive(search) == NAS_BENCH_201.sample(build_again(search).rng)
    assert search.passes.forward == 0


# SETN


def test_setn_trains_alpha_on_the_softmax_mixture() -> None:
    search = build_search(SETN())
    torch.testing.assert_close(SETN().mixture(search).weights, torch.softmax(search.alpha, dim=1))
    setn, darts = build_search(SETN()), build_search(DARTS())
    for one, method in ((setn, SETN()), (darts, DARTS())):
        method.alpha_step(one, batch("train"), batch("valid"))
    assert torch.equal(setn.alpha, darts.alpha)


def test_setn_scores_the_most_probable_cells() -> None:
    search = build_search(SETN(), TwoEdges(), epochs=1)
    asked = scores(search)
    with torch.no_grad():
        search.alpha.copy_(torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 1.5]]))
    SETN(candidates=3).derive(search)
    assert [mixture.selected for mixture in asked] == [(1, 0), (1, 2), (1, 1)]  # logits add to 5, 4.5 and 3; (2, 0): 3


def product_space(edges: int, operations: int) -> SearchSpace:
    """As many edges, each of as many operations."""

    class Product(OneEdge):
        def neighbours(self, architecture: Sequence[int]) -> list[Architecture]:
            cells = itertools.product(range(operations), repeat=edges)
            return [cell for cell in cells if sum(a != b for a, b in zip(cell, architecture, strict=True)) == 1]

    return Product()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(2, 4), st.integers(1, 300))
def test_the_most_probable_cells_are_those_of_a_full_list(seed: int, edges: int, operations: int, count: int) -> None:
    log_p = torch.randn(edges, operations, generator=stream(seed, "alpha"), dtype=torch.float64).log_softmax(dim=1)
    space = product_space(edges, operations)
    every = list(itertools.product(range(operations), repeat=edges))
    every.sort(key=lambda cell: -sum(float(log_p[edge, operation]) for edge, operation in enumerate(cell)))
    assert most_probable(space, log_p, count) == every[:count]


# DARTS-PT


def test_darts_pt_chooses_the_operation_whose_absence_hurts_most() -> None:
    method, search = DARTSPT(selection=1.0), build_search(DARTSPT(), OneEdge(), epochs=1)
    with torch.no_grad():
        search.alpha.copy_(torch.tensor([[0.0, 2.0, 1.0]]))
    before = search.alpha.detach().softmax(dim=1)
    asked: list[torch.Tensor] = []

    def validate(mixture: Mixture) -> float:
        asked.append(mixture.weights.clone())
        return [70.0, 60.0, 50.0][len(asked) - 1]

    search.validate = validate
    method.begin_epoch(search)
    for operation, weights in enumerate(asked):
        without = before.clone()
        without[0, operation] = 0
        torch.testing.assert_close(weights, without)
    assert len(asked) == 3
    assert search.alpha.tolist() == [[EXCLUDED, EXCLUDED, 0.0]]
    assert method.derive(search) == (2,)  # though operation 1 has the largest α
    assert method.mixture(search).weights.tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("epochs", "selection", "expected"),
    [
        (125, 0.2, {99: 0, 100: 1, 104: 1, 105: 2, 110: 3, 115: 4, 120: 5, 123: 5, 124: 6}),  # as in the authors' code
        (10, 0.2, {7: 0, 8: 1, 9: 6}),
        (1, 0.2, {0: 6}),
        (6, 1.0, {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}),
    ],
)
def test_darts_pt_decides_its_edges_at_equal_distances(epochs: int, selection: float, expected: dict[int, int]) -> None:
    method = DARTSPT(selection=selection)
    for epoch, decided in expected.items():
        assert method.decided_by(build_search(method, epochs=epochs, epoch=epoch)) == decided


def test_darts_pt_decides_every_edge_once_in_random_order_and_alpha_keeps_it() -> None:
    method = DARTSPT(selection=1.0)
    orders = set()
    for seed in range(4):
        search = build_search(method, epochs=6, seed=seed)
        search.validate = lambda mixture: float(mixture.weights[0].sum())
        order, chosen = [], {}
        for epoch in range(6):
            search.epoch = epoch
            before = (search.alpha.detach() > EXCLUDED / 2).all(dim=1)
            method.begin_epoch(search)
            (edge,) = (before & ~(search.alpha.detach() > EXCLUDED / 2).all(dim=1)).nonzero().flatten().tolist()
            order.append(edge)
            chosen[edge] = int(search.alpha[edge].argmax())
            step(method, search, epoch)
            weights = method.mixture(search).weights
            for decided, operation in chosen.items():
                assert weights[decided].tolist() == [float(other == operation) for other in range(5)]
        assert method.derive(search) == tuple(chosen[edge] for edge in range(6))
        orders.add(tuple(order))
    assert len(orders) > 1


def test_darts_pt_is_darts_until_the_selection_begins() -> None:
    ends = []
    for method in (DARTSPT(selection=0.5), DARTS()):
        found = gradient_search(method, "search.epochs=4")
        for epoch in range(2):
            found.run_epoch(epoch, quiet)
        ends.append([*found.state.supernet.parameters(), found.state.alpha])
    assert identical(*ends)
