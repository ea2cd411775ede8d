"""Methods whose result is selected by scoring candidates with shared weights, and the accuracy they are scored by."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.batches import AT_ONCE, SearchData, search_data
from harness.data import load_training_set
from harness.protocol import load_protocol
from harness.search import GradientSearch
from harness.streams import stream
from methods.base import Forward, GradientMethod, Search
from methods.darts import DARTS
from methods.darts_pt import DARTSPT, EXCLUDED
from methods.enas import ENAS, LAYERS, lstm_step
from methods.random_search_ws import RandomSearchWS
from methods.setn import SETN, most_probable
from spaces.base import Architecture, Mixture
from tests.toy import NAS_BENCH_201, OneEdge, TwoEdges, batch, build_again, build_search, copies, identical, step

CPU = torch.device("cpu")
PLAIN = ["diagnostics.gap=false", "diagnostics.hessian=false", "diagnostics.ranking_cells=0"]
TINY = ["data.images=48", "data.image_size=4", "search.batch_size=8", "search.epochs=3", *PLAIN]
METHODS: list[GradientMethod] = [
    RandomSearchWS(candidates=5),
    SETN(candidates=5),
    DARTSPT(selection=0.5),
    ENAS(candidates=5, hidden=4),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
every_scoring_method = pytest.mark.parametrize(
    "method", [method for method in METHODS if not isinstance(method, DARTSPT)], ids=lambda method: method.name
)


def quiet(_: float) -> None:
    pass


class Halves(NamedTuple):
    search: GradientSearch
    data: SearchData


def gradient_search(method: GradientMethod, *overrides: str) -> Halves:
    rules = load_protocol("quick", [*TINY, *overrides])
    data = search_data(load_training_set("digits"), rules, 0, CPU)
    return Halves(GradientSearch(method, NAS_BENCH_201, data, rules, 0, CPU), data)


def scores(search: Search) -> list[Mixture]:
    """Replace one-shot accuracies by a made-up one that grows with the cell's index; the mixtures asked for."""
    asked: list[Mixture] = []

    def validate(mixture: Mixture) -> float:
        asked.append(mixture)
        assert mixture.selected is not None
        return float(search.space.index(mixture.selected))

    search.validate = validate
    return asked


# The accuracy that candidates are scored by


@pytest.mark.parametrize("images", [48, 2 * AT_ONCE + 100])
def test_the_accuracy_is_that_of_a_plain_loop_over_the_whole_validation_half(images: int) -> None:
    found, data = gradient_search(SETN(), f"data.images={images}")
    search, valid = found.search, data.valid
    for epoch, mixture in enumerate([SETN().mixture(search), Mixture.of((1, 2, 3, 0, 1, 3), 5)]):
        search.epoch = epoch
        pixels = (valid.images.float() - valid.mean) / valid.sd
        parts = pixels.chunk(-(-len(valid) // AT_ONCE))
        with torch.no_grad():
            guessed = torch.cat([search.supernet(part, mixture).argmax(dim=1) for part in parts])
        assert search.validate(mixture) == 100 * (guessed == valid.labels).sum().item() / (images // 2)


def test_measuring_an_accuracy_changes_nothing_but_the_counts() -> None:
    found, data = gradient_search(DARTS(), "supernet.batch_norm=running", f"data.images={2 * AT_ONCE + 2}")
    search = found.search
    before = {name: value.clone() for name, value in search.supernet.state_dict().items()}
    assert any("running" in name for name in before)
    streams, alphas = found.streams.state_dict(), copies(search)[1]
    search.validate(DARTS().mixture(search))
    after = search.supernet.state_dict()
    assert identical(list(before.values()), list(after.values()))
    assert identical(alphas, list(search.alphas.values()))
    assert identical(list(streams.values()), list(found.streams.state_dict().values()))
    assert all(parameter.grad is None for parameter in search.supernet.parameters())
    assert vars(search.passes) == {"forward": 2, "backward": 0, "examples": len(data.valid)}


def test_the_accuracy_is_the_same_however_the_training_batches_are_cut() -> None:
    mixture = Mixture.of((3, 1, 3, 1, 3, 1), 5)
    accuracies = [
        gradient_search(DARTS(), f"search.batch_size={size}").search.search.validate(mixture) for size in (5, 24)
    ]
    assert accuracies[0] == accuracies[1]


@every_method
def test_selection_is_charged_as_derivation_and_its_passes_are_counted(method: GradientMethod) -> None:
    found, data = gradient_search(method)
    rows = [found.run_epoch(epoch, quiet) for epoch in range(3)]
    training = [0] + [row["examples"] for row in rows]
    per_epoch = [after - before for before, after in itertools.pairwise(training)]
    plain = (2 if method.bilevel else 1) * len(data.train)
    selected = [(examples - plain) // len(data.valid) for examples in per_epoch]
    assert all((examples - plain) % len(data.valid) == 0 for examples in per_epoch)
    if isinstance(method, DARTSPT):
        assert selected == [0, 5, 25]
    else:
        assert selected[:2] == [0, 0]
        assert 1 < selected[2] <= 5
    assert rows[2]["derivation_seconds"] > rows[1]["derivation_seconds"] > 0


@every_method
def test_a_search_goes_on_bit_for_bit_from_any_epoch(method: GradientMethod) -> None:
    whole = gradient_search(method).search
    rows, states = [], []
    for epoch in range(3):
        rows.append(whole.run_epoch(epoch, quiet))
        states.append(copy.deepcopy(whole.state_dict()))
    for stop in (1, 2):
        second = gradient_search(method).search
        second.load_state_dict(states[stop - 1])
        resumed = [second.run_epoch(epoch, quiet) for epoch in range(stop, 3)]
        assert [row["architecture"] for row in resumed] == [row["architecture"] for row in rows[stop:]]
        assert [row["examples"] for row in resumed] == [row["examples"] for row in rows[stop:]]
        assert identical(list(second.search.supernet.parameters()), list(whole.search.supernet.parameters()))
        assert identical(list(second.search.alphas.values()), list(whole.search.alphas.values()))


# What the scoring methods share


@every_scoring_method
def test_only_the_last_epoch_scores_candidates_and_keeps_the_best(method: GradientMethod) -> None:
    search = build_search(method, epochs=3)
    asked = scores(search)
    for epoch in range(2):
        search.epoch = epoch
        step(method, search, epoch)
        assert NAS_BENCH_201.validate(method.derive(search))
    assert not asked
    search.epoch = 2
    noise = search.noise.get_state()
    cell = method.derive(search)
    assert 1 < len(asked) <= 5
    assert NAS_BENCH_201.index(cell) == max(NAS_BENCH_201.index(m.selected) for m in asked if m.selected)
    assert torch.equal(search.noise.get_state(), noise)


def test_of_equally_good_cells_the_first_is_kept_and_each_is_scored_once() -> None:
    search = build_search(RandomSearchWS(), TwoEdges())
    asked: list[Architecture | None] = []
    accuracies = {(0, 0): 10.0, (1, 2): 50.0, (2, 1): 50.0}

    def validate(mixture: Mixture) -> float:
        asked.append(mixture.selected)
        return accuracies[mixture.selected or ()]

    search.validate = validate
    assert search.best_by_validation([(0, 0), (1, 2), (2, 1), (1, 2), (0, 0)]) == (1, 2)
    assert asked == [(0, 0), (1, 2), (2, 1)]


# Random search with weight sharing, and SETN's weight step


@pytest.mark.parametrize("method", [RandomSearchWS(), SETN()], ids=lambda method: method.name)
def test_every_weight_step_trains_one_uniformly_drawn_cell(
    method: GradientMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = build_search(method, TwoEdges())
    drawn = Counter(method.weight_mixture(search).selected for _ in range(1800))
    assert len(drawn) == 9
    assert all(abs(count - 200) < 5 * 14 for count in drawn.values())  # the standard deviation is sqrt(1800 · 8 / 81)

    search, used = build_search(method), []
    forward = Search.forward

    def recording(self: Search, data: Any, mixture: Mixture) -> Forward:
        used.append(mixture)
        return forward(self, data, mixture)

    monkeypatch.setattr(Search, "forward", recording)
    expected = NAS_BENCH_201.sample(build_again(search).noise)
    method.weight_step(search, batch("train"))
    assert [mixture.selected for mixture in used] == [expected]
    assert torch.equal(used[0].weights, nn.functional.one_hot(torch.tensor(expected), 5).float())


def test_random_search_scores_the_cells_that_it_draws_next() -> None:
    method = RandomSearchWS(candidates=20)
    search = build_search(method, epochs=1)
    asked, noise = scores(search), build_again(search).noise
    method.derive(search)
    assert [mixture.selected for mixture in asked] == [NAS_BENCH_201.sample(noise) for _ in range(20)]


def test_random_search_shows_an_unscored_cell_before_the_last_epoch() -> None:
    search = build_search(RandomSearchWS(), epochs=3)
    assert RandomSearchWS().derive(search) == NAS_BENCH_201.sample(build_again(search).noise)
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


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(2, 4), st.integers(1, 300))
def test_the_most_probable_cells_are_those_of_a_full_list(seed: int, edges: int, operations: int, count: int) -> None:
    log_p = torch.randn(edges, operations, generator=stream(seed, "alpha"), dtype=torch.float64).log_softmax(dim=1)
    every = list(itertools.product(range(operations), repeat=edges))
    every.sort(key=lambda cell: -sum(float(log_p[edge, operation]) for edge, operation in enumerate(cell)))
    assert most_probable(log_p, count) == every[:count]


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
        found = gradient_search(method, "search.epochs=4").search
        for epoch in range(2):
            found.run_epoch(epoch, quiet)
        ends.append([*found.search.supernet.parameters(), found.search.alpha])
    assert identical(*ends)


# ENAS


def test_the_lstm_is_that_of_pytorch() -> None:
    cell = nn.LSTMCell(3, 3)
    weight = torch.cat([cell.weight_ih, cell.weight_hh], dim=1)
    x, h, c = torch.randn(3, 3, generator=stream(0, "lstm"))
    expected = cell(x[None], (h[None], c[None]))
    found = lstm_step(x, h, c, weight, cell.bias_ih + cell.bias_hh)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other[0])


def plain_controller(search: Search, method: ENAS, cell: Architecture) -> torch.Tensor:
    """log p (edges, operations) along a cell, by PyTorch's own LSTM."""
    theta, h = search.alphas, method.hidden
    lstm = nn.LSTM(h, h, num_layers=LAYERS)
    weights = {}
    for layer in range(LAYERS):
        weights[f"weight_ih_l{layer}"], weights[f"weight_hh_l{layer}"] = theta[f"lstm_{layer}"].split(h, dim=1)
        weights[f"bias_ih_l{layer}"] = theta[f"bias_{layer}"]
        weights[f"bias_hh_l{layer}"] = torch.zeros(4 * h)
    inputs = torch.stack([theta["start"], *(theta["embedding"][operation] for operation in cell[:-1])])
    outputs, _ = torch.func.functional_call(lstm, weights, (inputs,))
    return (2.5 * torch.tanh(outputs @ theta["output"].T / 5.0)).log_softmax(dim=1)


@pytest.mark.parametrize("baseline", [(0.0, 0.0), (0.3, 0.6)])
def test_enas_descends_the_reinforce_loss(baseline: tuple[float, float]) -> None:
    method = ENAS(hidden=4, entropy_weight=0.1)
    search = build_search(method)
    with torch.no_grad():
        for value in search.alphas.values():
            value.mul_(10)  # far from uniform
        search.alphas["baseline"].copy_(torch.tensor(baseline))
    cell, accuracy = (0, 4, 2, 1, 3, 3), 0.75
    log_p = plain_controller(search, method, cell)
    entropy = -(log_p.detach().exp() * log_p.detach()).sum()
    average = baseline[0] / baseline[1] if baseline[1] else accuracy
    log_p_cell = torch.stack([log_p[edge, operation] for edge, operation in enumerate(cell)]).sum()
    expected = -log_p_cell * (accuracy + 0.1 * entropy - average)
    found = method.reinforce_loss(search, cell, accuracy)
    torch.testing.assert_close(found, expected)
    theta = [value for name, value in search.alphas.items() if name != "baseline"]
    for one, other in zip(torch.autograd.grad(found, theta), torch.autograd.grad(expected, theta), strict=True):
        torch.testing.assert_close(one, other)


def test_enas_draws_cells_with_the_probabilities_of_its_controller() -> None:
    method = ENAS(hidden=3)
    search = build_search(method, TwoEdges())
    with torch.no_grad():
        for value in search.alphas.values():
            value.mul_(15)
    drawn = Counter(method.mixture(search).selected for _ in range(1000))
    for cell in itertools.product(range(3), repeat=2):
        log_p = plain_controller(search, method, cell).detach()
        p = float(log_p[[0, 1], list(cell)].sum().exp())
        assert abs(drawn[cell] - 1000 * p) < 5 * (1000 * p * (1 - p)) ** 0.5


def test_the_baseline_is_the_moving_average_of_the_accuracies_before() -> None:
    method = ENAS(hidden=4, baseline_decay=0.5)
    search = build_search(method)
    accuracies = []
    for seed in range(3):
        valid = batch(f"valid {seed}")
        forward = method.alpha_step(search, batch("train"), valid)
        assert forward is not None
        accuracies.append(float(forward.correct) / len(valid.labels))
    total, weight = search.alphas["baseline"].tolist()
    one, two, three = accuracies
    assert total / weight == pytest.approx((one + 2 * two + 4 * three) / 7)


def test_enas_learns_to_draw_the_operation_that_is_rewarded(monkeypatch: pytest.MonkeyPatch) -> None:
    method = ENAS(hidden=8, eta=0.05)
    search = build_search(method, OneEdge())

    def forward(self: Search, data: Any, mixture: Mixture) -> Forward:
        return Forward(torch.zeros(()), torch.tensor(4 if mixture.selected == (2,) else 1))

    monkeypatch.setattr(Search, "forward", forward)
    for _ in range(150):
        method.alpha_step(search, batch("train"), batch("valid"))
    assert method.derive(search) == (2,)
    _, log_p = method.unroll(search, lambda _, row: int(row.argmax()))
    assert log_p[0, 2].exp() > 0.6


def test_the_parameters_of_a_controller_are_in_no_record_of_alpha() -> None:
    assert gradient_search(ENAS()).search.alphas() == {}
    assert gradient_search(RandomSearchWS()).search.alphas() == {}
    assert list(gradient_search(DARTSPT()).search.alphas()) == ["alpha"]
