"""ENAS: its controller against PyTorch's LSTM of two layers, its loss against REINFORCE, its selection."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from harness.methods.base import Forward, SearchState
from harness.methods.darts_pt import DARTSPT
from harness.methods.enas import ENAS, LAYERS
from harness.methods.random_search_ws import RandomSearchWS
from harness.spaces.base import Architecture, Mixture
from tests.support.small_search import gradient_search
from tests.support.toy import OneEdge, TwoEdges, batch, build_again, build_search


def set_far_from_uniform(state: SearchState, factor: float) -> None:
    with torch.no_grad():
        for parameter in state.memory["controller"].parameters():
            parameter.mul_(factor)


def plain_controller(state: SearchState, method: ENAS, cell: Architecture) -> torch.Tensor:
    """log p (edges, operations) along a cell, by PyTorch's LSTM of two layers."""
    controller, h = state.memory["controller"], method.hidden
    lstm = nn.LSTM(h, h, num_layers=LAYERS)
    weights = {
        f"{name}_l{layer}": parameter
        for layer, one in enumerate(controller.lstm)
        for name, parameter in one.named_parameters()
    }
    assert weights.keys() == dict(lstm.named_parameters()).keys()
    inputs = controller.embedding.weight[[len(state.space.operations), *cell[:-1]]]
    outputs, _ = torch.func.functional_call(lstm, weights, (inputs,))
    return (2.5 * torch.tanh(outputs @ controller.output.weight.T / 5.0)).log_softmax(dim=1)


@pytest.mark.parametrize("baseline", [(0.0, 0.0), (0.3, 0.6)])
def test_enas_descends_the_reinforce_loss(baseline: tuple[float, float]) -> None:
    method = ENAS(hidden=4, entropy_weight=0.1)
    state = build_search(method)
    set_far_from_uniform(state, 10)
    state.memory["baseline"].load_state_dict(dict(zip(("total", "weight"), baseline, strict=True)))
    cell, accuracy = (0, 4, 2, 1, 3, 3), 0.75
    log_p = plain_controller(state, method, cell)
    entropy = -(log_p.detach().exp() * log_p.detach()).sum()
    average = baseline[0] / baseline[1] if baseline[1] else accuracy
    log_p_cell = torch.stack([log_p[edge, operation] for edge, operation in enumerate(cell)]).sum()
    expected = -log_p_cell * (accuracy + 0.1 * entropy - average)
    loss = method.reinforce_loss(state, cell, accuracy)
    torch.testing.assert_close(loss, expected)
    theta = list(state.memory["controller"].parameters())
    for one, other in zip(torch.autograd.grad(loss, theta), torch.autograd.grad(expected, theta), strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_is_adam_without_momentum_on_the_reinforce_loss() -> None:
    method = ENAS(hidden=4, eta=0.02, entropy_weight=0.1)
    state, reference = build_search(method), build_search(method)
    adam = torch.optim.Adam(reference.memory["controller"].parameters(), lr=0.02, betas=(0.0, 0.999), eps=1e-3)
    for seed in range(3):
        drawn = method.mixture(build_again(state)).selected
        valid = batch(f"valid {seed}")
        forward = method.alpha_step(state, batch("train"), valid)
        assert drawn is not None
        assert forward is not None
        accuracy = float(forward.correct) / len(valid.labels)
        adam.zero_grad()
        method.reinforce_loss(reference, drawn, accuracy).backward()
        adam.step()
        reference.memory["baseline"].add(accuracy)
    steps = zip(*(each.memory["controller"].parameters() for each in (state, reference)), strict=True)
    for one, other in steps:
        torch.testing.assert_close(one, other)


def test_enas_draws_cells_with_the_probabilities_of_its_controller() -> None:
    method = ENAS(hidden=3)
    state = build_search(method, TwoEdges())
    set_far_from_uniform(state, 15)
    drawn = Counter(method.mixture(state).selected for _ in range(1000))
    for cell in itertools.product(range(3), repeat=2):
        log_p = plain_controller(state, method, cell).detach()
        p = float(log_p[[0, 1], list(cell)].sum().exp())
        assert abs(drawn[cell] - 1000 * p) < 5 * (1000 * p * (1 - p)) ** 0.5


def test_the_initial_parameters_are_uniform() -> None:
    parameters = build_search(ENAS()).memory["controller"].parameters()
    values = torch.cat([parameter.detach().flatten() for parameter in parameters])
    assert 0.099 < values.max() <= 0.1
    assert -0.1 <= values.min() < -0.099
    assert abs(values.mean()) < 3e-3


def test_the_baseline_is_the_moving_average_of_the_accuracies_before() -> None:
    method = ENAS(hidden=4, baseline_decay=0.5)
    state = build_search(method)
    accuracies = []
    for seed in range(3):
        valid = batch(f"valid {seed}")
        forward = method.alpha_step(state, batch("train"), valid)
        assert forward is not None
        accuracies.append(float(forward.correct) / len(valid.labels))
    one, two, three = accuracies
    assert state.memory["baseline"].mean(otherwise=0) == pytest.approx((one + 2 * two + 4 * three) / 7)


def test_enas_learns_to_draw_the_operation_that_is_rewarded(monkeypatch: pytest.MonkeyPatch) -> None:
    method = ENAS(hidden=8, eta=0.05)
    search = build_search(method, OneEdge())

    def forward(self: SearchState, data: Any, mixture: Mixture) -> Forward:
        return Forward(torch.zeros(()), torch.tensor(4 if mixture.selected == (2,) else 1))

    monkeypatch.setattr(SearchState, "forward", forward)
    for _ in range(150):
        method.alpha_step(search, batch("train"), batch("valid"))
    assert method.derive(search) == (2,)
    assert plain_controller(search, method, (2,))[0, 2].exp() > 0.6


def test_the_parameters_of_a_controller_are_in_no_record_of_alpha() -> None:
    assert gradient_search(ENAS()).state.alphas == {}
    assert gradient_search(ENAS()).alphas() == {}
    assert gradient_search(RandomSearchWS()).alphas() == {}
    assert list(gradient_search(DARTSPT()).alphas()) == ["alpha"]
