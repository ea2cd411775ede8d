"""The gradients of the methods, derived by hand, which α they reach, and the search state they are taken in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.streams import stream
from methods.base import Batch, GradientMethod, Search
from methods.darts import DARTS
from methods.gdas import GDAS
from methods.pc_darts import PCDARTS
from methods.snas import SNAS, BilevelSNAS
from spaces.base import Mixture
from tests.toy import OneEdge, TwoEdges, batch, build_again, build_search, lit

Array = NDArray[np.float64]
TRAIN, VALID = lit("train"), lit("valid")


# Gradients derived by hand: operation o of edge e multiplies x by w[e, o]; the loss is that of the logits (y, 0)


class ByHand:
    """The gradients of the toy supernet's loss with respect to whatever enters the mixture."""

    def __init__(self, search: Search, data: Batch, m: Array, f: Array | None = None, selected: Any = None) -> None:
        x = data.images.numpy().mean(axis=(1, 2, 3))
        w = search.supernet.w.detach().numpy().copy()
        w[:, 0] = 0
        f = np.ones(len(w)) if f is None else f
        used = np.ones_like(w) if selected is None else np.eye(3)[list(selected)]
        outputs = (used * m * w).sum(axis=1)[:, None] * x  # (edges, batch)
        y = f @ outputs
        slope = (1 / (1 + np.exp(-y)) - (data.labels.numpy() == 0)) / len(x)
        self.weights = used * w * f[:, None] * (slope @ x)
        self.bias = f * slope.sum()
        self.edge_weights = outputs @ slope
        self.w = used * (np.arange(3) > 0) * m * f[:, None] * (slope @ x)


def softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def through_softmax(p: Array, gradient: Array) -> Array:
    """Gradient with respect to the scores whose softmax p is."""
    return p * (gradient - (p * gradient).sum(axis=-1, keepdims=True))


def toy(method: GradientMethod, space: OneEdge, epoch: int = 3, seed: int = 0) -> tuple[Search, Array, Array]:
    """A search of 10 epochs on a toy space with α far from uniform, its α, and the Gumbel noise it draws next."""
    search = build_search(method, space, epochs=10, epoch=epoch, seed=seed, dtype=torch.float64)
    with torch.no_grad():
        for name, value in search.alphas.items():
            value.copy_(torch.randn(value.shape, generator=stream(1, name)))
    noise = -(-torch.rand(search.alpha.shape, generator=build_again(search).noise).log()).log()
    return search, search.alpha.detach().numpy().copy(), noise.double().numpy()


def assert_gradient(parameter: Any, expected: Array) -> None:
    np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def assert_telling_gradient(parameter: Any, expected: Array) -> None:
    assert_gradient(parameter, expected)
    assert np.abs(expected).max() > 1e-5


def test_darts_by_hand() -> None:
    search, alpha, _ = toy(DARTS(), OneEdge())
    p = softmax(alpha)
    DARTS().alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, through_softmax(p, ByHand(search, VALID, p).weights))


def test_snas_by_hand() -> None:
    search, alpha, noise = toy(SNAS(), OneEdge())
    temperature = 1 - 0.97 * 3 / 9
    z = softmax((alpha + noise) / temperature)
    expected = ByHand(search, TRAIN, z)
    SNAS().weight_step(search, TRAIN)
    assert_telling_gradient(search.alpha, through_softmax(z, expected.weights) / temperature)
    assert_telling_gradient(search.supernet.w, expected.w)


def test_bilevel_snas_by_hand() -> None:
    method = BilevelSNAS()
    search, alpha, noise = toy(method, OneEdge())
    temperature = 10 - 9 * 3 / 9
    z = softmax((alpha + noise) / temperature)
    method.alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, through_softmax(z, ByHand(search, VALID, z).weights) / temperature)


@pytest.mark.parametrize("space", [OneEdge(), TwoEdges()], ids=["one edge", "two edges"])
@pytest.mark.parametrize("nonselected", ["ones", "none"])
def test_gdas_by_hand(nonselected: Any, space: OneEdge) -> None:
    method = GDAS(nonselected_grad=nonselected)
    seen = set()
    for seed in range(8):
        search, alpha, noise = toy(method, space, seed=seed)
        tau = 10 - 9.9 * 3 / 9
        p = softmax((np.log(softmax(alpha)) + noise) / tau)
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


def gradient_of_weights(method: GradientMethod) -> tuple[Mixture, Tensor]:
    """A mixture of the last epoch, and the gradient of the validation loss with respect to its weights."""
    search = build_search(method, epochs=10, epoch=9)
    mixture = method.mixture(search)
    loss = search.forward(batch("valid"), mixture).loss
    found = torch.autograd.grad(loss, mixture.weights, retain_graph=True, allow_unused=True)[0]
    assert found is not None
    return mixture, found


@pytest.mark.parametrize("method", [DARTS(), SNAS(), BilevelSNAS(), PCDARTS()], ids=lambda method: method.name)
def test_soft_mixtures_send_a_gradient_to_every_operation_but_none(method: GradientMethod) -> None:
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


def test_forward_says_loss_and_how_many_were_right() -> None:
    search = build_search(DARTS(), OneEdge(), dtype=torch.float64)
    data = Batch(torch.ones(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 0, 0, 1]))
    w = search.supernet.w.detach()[0, 2].item()
    found = search.forward(data, Mixture(torch.tensor([[0.0, 0.0, 1.0]])))
    assert int(found.correct) == 3
    assert found.loss.item() == pytest.approx((3 * math.log1p(math.exp(-w)) + math.log1p(math.exp(w))) / 4)
