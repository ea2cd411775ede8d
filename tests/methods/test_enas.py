"""ENAS: its controller against PyTorch's LSTM, its loss against REINFORCE, its selection."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from harness.methods.base import Forward, SearchState
from harness.methods.darts_pt import DARTSPT
from harness.methods.enas import ENAS, LAYERS, lstm_step
from harness.methods.random_search_ws import RandomSearchWS
from harness.random_streams import stream
from harness.spaces.base import Architecture, Mixture
from tests.support.small_search import gradient_search
from tests.support.toy import OneEdge, TwoEdges, batch, build_search


def test_the_lstm_is_that_of_pytorch() -> None:
    cell = nn.LSTMCell(3, 3)
    weight = torch.cat([cell.weight_ih, cell.weight_hh], dim=1)
    x, h, c = torch.randn(3, 3, generator=stream(0, "lstm"))
    expected = cell(x[None], (h[None], c[None]))
    found = lstm_step(x, h, c, weight, cell.bias_ih + cell.bias_hh)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other[0])


def plain_controller(state: SearchState, method: ENAS, cell: Architecture) -> torch.Tensor:
    """log p (edges, operations) along a cell, by PyTorch's own LSTM."""
    theta, h = state.alphas, method.hidden
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

    def forward(self: SearchState, data: Any, mixture: Mixture) -> Forward:
        return Forward(torch.zeros(()), torch.tensor(4 if mixture.selected == (2,) else 1))

    monkeypatch.setattr(SearchState, "forward", forward)
    for _ in range(150):
        method.alpha_step(search, batch("train"), batch("valid"))
    assert method.derive(search) == (2,)
    _, log_p = method.unroll(search, lambda _, row: int(row.argmax()))
    assert log_p[0, 2].exp() > 0.6


def test_the_parameters_of_a_controller_are_in_no_record_of_alpha() -> None:
    assert gradient_search(ENAS()).alphas() == {}
    assert gradient_search(RandomSearchWS()).alphas() == {}
    assert list(gradient_search(DARTSPT()).alphas()) == ["alpha"]
