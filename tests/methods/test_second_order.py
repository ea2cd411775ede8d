"""Second-order DARTS against automatic differentiation through the unrolled step, in double precision."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from harness.methods.base import Batch, SearchState
from harness.methods.darts import DARTS, SecondOrderDARTS
from harness.spaces.base import Mixture
from tests.support.toy import SMALL, OneEdge, batch, build_search, copies, identical

TRAIN, VALID = batch("train", dtype=torch.float64), batch("valid", dtype=torch.float64)
EXACT = DARTS(order=2, epsilon=1e-6)  # small enough that no ReLU of this network changes sides


def prepared(batch_norm: Any = "batch", learning_rate: float = 0.3) -> SearchState:
    """A search after two weight steps, so that there is momentum, at a learning rate that differs from the initial."""
    search = build_search(EXACT, config=replace(SMALL, batch_norm=batch_norm), dtype=torch.float64)
    for _ in range(2):
        EXACT.weight_step(search, TRAIN)
    with torch.no_grad():
        search.alpha.copy_(torch.linspace(-1, 1, 30, dtype=torch.float64).view(6, 5).sin())
    search.weight_optimizer.param_groups[0].update(lr=learning_rate, weight_decay=0.02)
    return search


def through_the_step(state: SearchState) -> tuple[Tensor, Tensor]:
    """d L_val(w'(α), α) / dα with w' one step of SGD with momentum from w, and the same with w' taken as constant."""
    network = copy.deepcopy(state.supernet)
    alpha = state.alpha.detach().clone().requires_grad_()
    mixture = Mixture(alpha.softmax(dim=1))
    group = state.weight_optimizer.param_groups[0]
    w = dict(state.supernet.named_parameters())

    def loss(parameters: dict[str, Tensor], data: Batch) -> Tensor:
        return cross_entropy(functional_call(network, parameters, (data.images, mixture)), data.labels)

    gradients = torch.autograd.grad(loss(w, TRAIN), list(w.values()), create_graph=True)
    stepped = {}
    for (name, value), gradient in zip(w.items(), gradients, strict=True):
        momentum = state.weight_optimizer.state[value]["momentum_buffer"]
        stepped[name] = value - group["lr"] * (gradient + group["weight_decay"] * value + group["momentum"] * momentum)
    (total,) = torch.autograd.grad(loss(stepped, VALID), alpha, retain_graph=True)
    constant = {name: value.detach() for name, value in stepped.items()}
    (direct,) = torch.autograd.grad(loss(constant, VALID), alpha)
    return total, direct


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_the_gradient_is_that_through_the_unrolled_step(batch_norm: str) -> None:
    search = prepared(batch_norm)
    total, direct = through_the_step(search)
    EXACT.alpha_step(search, TRAIN, VALID)
    assert search.alpha.grad is not None
    implicit = total - direct
    assert implicit.norm() > 0.05 * total.norm()  # the look-ahead matters here
    torch.testing.assert_close(search.alpha.grad - direct, implicit, rtol=1e-6, atol=1e-8)


def test_momentum_weight_decay_and_learning_rate_enter_the_step() -> None:
    found = []
    for change in ({}, {"momentum": 0.0}, {"weight_decay": 0.0}, {"lr": 0.1}):
        search = prepared()
        search.weight_optimizer.param_groups[0].update(change)
        total, _ = through_the_step(search)
        EXACT.alpha_step(search, TRAIN, VALID)
        assert search.alpha.grad is not None
        torch.testing.assert_close(search.alpha.grad, total, rtol=1e-6, atol=1e-8)
        found.append(search.alpha.grad)
    assert all((found[0] - other).norm() > 1e-3 * other.norm() for other in found[1:])


@pytest.mark.parametrize("steps", [0, 2])
def test_weights_statistics_and_optimiser_are_left_as_they_were(steps: int) -> None:
    search = build_search(SecondOrderDARTS(), config=replace(SMALL, batch_norm="running"))
    train, valid = batch("train"), batch("valid")
    for _ in range(steps):
        SecondOrderDARTS().weight_step(search, train)
    weights, _ = copies(search)
    buffers = [value.clone() for value in search.supernet.buffers()]
    optimiser = copy.deepcopy(search.weight_optimizer.state_dict())
    rng = search.rng.get_state()
    SecondOrderDARTS().alpha_step(search, train, valid)
    assert identical(weights, list(search.supernet.parameters()))
    assert identical(buffers, list(search.supernet.buffers()))
    after = search.weight_optimizer.state_dict()
    assert after["param_groups"] == optimiser["param_groups"]
    assert after["state"].keys() == optimiser["state"].keys()
    for number, state in optimiser["state"].items():
        assert torch.equal(state["momentum_buffer"], after["state"][number]["momentum_buffer"])
    assert torch.equal(search.rng.get_state(), rng)


def test_a_validation_loss_that_does_not_depend_on_w_looks_nowhere_ahead() -> None:
    method = SecondOrderDARTS()
    search = build_search(method, OneEdge(), dtype=torch.float64)
    train = batch("train", classes=2, dtype=torch.float64)
    valid = Batch(torch.zeros_like(train.images), train.labels)  # the output is 0 whatever w is
    weights, _ = copies(search)
    forward = method.alpha_step(search, train, valid)
    assert forward is not None
    assert forward.loss.isfinite()
    assert search.alpha.grad is not None
    assert (search.alpha.grad == 0).all()
    assert search.alpha.isfinite().all()
    assert identical(weights, list(search.supernet.parameters()))


def test_the_two_orders_cost_one_and_four_passes() -> None:
    for method, passes in ((DARTS(), 1), (SecondOrderDARTS(), 4)):
        search = build_search(method)
        method.alpha_step(search, batch("train"), batch("valid"))
        assert (search.passes.forward, search.passes.backward) == (passes, passes)


def test_order_two_is_the_same_method_under_either_name() -> None:
    results = []
    for method in (DARTS(order=2), SecondOrderDARTS()):
        search = build_search(method)
        method.alpha_step(search, batch("train"), batch("valid"))
        results.append([search.alpha.detach()])
    assert identical(*results)
