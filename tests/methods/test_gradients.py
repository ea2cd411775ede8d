"""The gradients of the methods, derived by hand, which α they reach, and the search state they are taken in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from harness.methods.base import Batch, WeightSharingMethod
from harness.methods.darts import DARTS
from harness.methods.gdas import GDAS
from harness.methods.pc_darts import PCDARTS
from harness.methods.snas import SNAS, BilevelSNAS
from harness.spaces.base import Mixture, SearchSpace
from harness.spaces.darts.space import DARTSSpace
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support.by_hand import (
    TRAIN,
    VALID,
    ByHand,
    assert_gradient,
    assert_telling_gradient,
    gradient_of_weights,
    softmax,
    through_softmax,
    toy,
)
from tests.support.toy import OneEdge, TwoEdges, batch, build_again, build_search


def test_darts_by_hand() -> None:
    search, alpha, _ = toy(DARTS(), OneEdge())
    p = softmax(alpha)
    DARTS().alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, through_softmax(p, ByHand(search, VALID, p).weights))


def test_snas_by_hand() -> None:
    search, alpha, rng = toy(SNAS(), OneEdge())
    temperature = 1 - 0.97 * 3 / 9
    z = softmax((alpha + rng) / temperature)
    expected = ByHand(search, TRAIN, z)
    SNAS().weight_step(search, TRAIN)
    assert_telling_gradient(search.alpha, through_softmax(z, expected.weights) / temperature)
    assert_telling_gradient(search.supernet.w, expected.w)


def test_bilevel_snas_by_hand() -> None:
    method = BilevelSNAS()
    search, alpha, rng = toy(method, OneEdge())
    temperature = 10 - 9 * 3 / 9
    z = softmax((alpha + rng) / temperature)
    method.alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, through_softmax(z, ByHand(search, VALID, z).weights) / temperature)


@pytest.mark.parametrize("space", [OneEdge(), TwoEdges()], ids=["one edge", "two edges"])
@pytest.mark.parametrize("nonselected", ["ones", "none"])
def test_gdas_by_hand(nonselected: Any, space: OneEdge) -> None:
    method = GDAS(nonselected_grad=nonselected)
    seen = set()
    for seed in range(8):
        search, alpha, rng = toy(method, space, seed=seed)
        tau = 10 - 9.9 * 3 / 9
        p = softmax((np.log(softmax(alpha)) + rng) / tau)
        selected = tuple(p.argmax(axis=1).tolist())
        hard = np.eye(3)[list(selected)]
        by_hand = ByHand(search, VALID, hard, selected=selected)
        of_h = by_hand.weights + ((1 - hard) * by_hand.bias[:, None] if nonselected == "ones" else 0)
        assert method.mixture(build_again(search)).selected == selected
        method.alpha_step(search, TRAIN, VALID)
        assert_gradient(search.alpha, through_softmax(p, of_h) / tau)
        seen.update(selected)
    assert seen == {0, 1, 2}


def test_pc_darts_by_hand() -> None:
    method = PCDARTS()
    search, alpha, _ = toy(method, TwoEdges())
    beta = search.alphas["beta"].detach().numpy().copy()
    p, f = softmax(alpha), softmax(beta)
    expected = ByHand(search, VALID, p, f)
    method.alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, through_softmax(p, expected.weights))
    assert_telling_gradient(search.alphas["beta"], through_softmax(f, expected.edge_weights))


# Which α a gradient reaches


@pytest.mark.parametrize("method", [DARTS(), SNAS(), BilevelSNAS(), PCDARTS()], ids=lambda method: method.name)
def test_soft_mixtures_send_a_gradient_to_every_operation_but_none(method: WeightSharingMethod) -> None:
    _, gradient = gradient_of_weights(method)
    assert (gradient[:, 0] == 0).all()
    assert (gradient[:, 1:] != 0).all()


def test_gdas_without_the_extra_term_sends_a_gradient_to_selected_operations_only() -> None:
    mixture, gradient = gradient_of_weights(GDAS(nonselected_grad="none"))
    assert mixture.edge_bias is None
    assert mixture.selected is not None
    unselected = torch.ones(6, 5, dtype=torch.bool)
    unselected[range(6), mixture.selected] = False
    assert (gradient[unselected] == 0).all()
    assert (gradient != 0).any()


@pytest.mark.parametrize("nonselected", ["ones", "none"])
def test_gdas_on_an_edge_that_sampled_none(nonselected: Any) -> None:
    method = GDAS(nonselected_grad=nonselected)
    search, _, _ = toy(method, OneEdge(), epoch=0)
    with torch.no_grad():
        search.alpha.copy_(torch.tensor([[50.0, 0, 0]]))
    assert method.mixture(build_again(search)).selected == (0,)
    method.alpha_step(search, TRAIN, VALID)
    assert search.alpha.grad is not None
    assert bool((search.alpha.grad != 0).all()) == (nonselected == "ones")
    assert bool((search.alpha.grad == 0).all()) == (nonselected == "none")


def test_gdas_changes_no_value_by_its_extra_term() -> None:
    mixture = GDAS().mixture(build_search(GDAS()))
    assert mixture.edge_bias is not None
    assert mixture.selected is not None
    assert (mixture.edge_bias == 0).all()
    expected = torch.nn.functional.one_hot(torch.tensor(mixture.selected), 5).float()
    torch.testing.assert_close(mixture.weights, expected)


# The search state


def test_only_gradients_of_w_are_clipped() -> None:
    norms = {}
    for clip in (None, 1e-3):
        search = build_search(SNAS(), clip_norm=clip)
        SNAS().weight_step(search, batch("train"))
        norms[clip] = [
            torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).norm().item()
            for parameters in (search.alphas.values(), search.supernet.parameters())
        ]
    assert norms[1e-3][0] == norms[None][0] > 1e-3
    assert norms[1e-3][1] == pytest.approx(1e-3, rel=1e-4)
    assert norms[None][1] > 0.1


def test_gradients_of_what_the_loss_does_not_depend_on_are_zero() -> None:
    search = build_search(DARTS())
    loss = search.forward(batch("train"), Mixture.of((0,) * 6, 5)).loss
    gradients = search.gradients(loss, [search.alpha, *search.supernet.parameters()])
    assert (gradients[0] == 0).all()
    assert len(gradients) == 1 + len(list(search.supernet.parameters()))
    assert any((gradient != 0).any() for gradient in gradients)


@pytest.mark.parametrize("method", [DARTS(), GDAS(), PCDARTS()], ids=lambda method: method.name)
@pytest.mark.parametrize("space", [NASBench201(), DARTSSpace()], ids=lambda space: space.name)
def test_mixed_precision_computes_about_the_same_and_its_gradients_in_single(
    space: SearchSpace, method: WeightSharingMethod
) -> None:
    found = []
    for mixed in (False, True):
        search = build_search(method, space, epochs=10, epoch=9)
        search.mixed_precision = mixed
        loss = search.forward(batch("train"), method.mixture(search)).loss
        gradients = search.gradients(loss, [search.alpha, *search.supernet.parameters()])
        assert {tensor.dtype for tensor in (loss, *gradients)} == {torch.float32}
        found.append((loss.item(), torch.cat([gradient.flatten() for gradient in gradients])))
    (loss, gradient), (about, other) = found
    assert about != loss
    assert about == pytest.approx(loss, rel=0.05)
    assert torch.cosine_similarity(gradient, other, dim=0) > 0.8


def test_forward_says_loss_and_how_many_were_right() -> None:
    search = build_search(DARTS(), OneEdge(), dtype=torch.float64)
    data = Batch(torch.ones(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 0, 0, 1]))
    w = search.supernet.w.detach()[0, 2].item()
    forward = search.forward(data, Mixture(torch.tensor([[0.0, 0.0, 1.0]])))
    assert int(forward.correct) == 3
    assert forward.loss.item() == pytest.approx((3 * math.log1p(math.exp(-w)) + math.log1p(math.exp(w))) / 4)
