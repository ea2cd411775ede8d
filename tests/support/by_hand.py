"""The toy supernet's gradients derived by hand, and what tests of methods need to set against them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.random_streams import stream
from harness.spaces.base import Mixture
from tests.support.toy import OneEdge, TwoEdges, batch, build_again, build_search, lit

Array = NDArray[np.float64]
TRAIN, VALID = lit("train"), lit("valid")

TRAIN_FLOAT = Batch(TRAIN.images.float(), TRAIN.labels)


# Gradients derived by hand: operation o of edge e multiplies x by w[e, o]; the loss is that of the logits (y, 0)


class ByHand:
    """The gradients of the toy supernet's loss with respect to whatever enters the mixture."""

    def __init__(self, state: SearchState, data: Batch, m: Array, f: Array | None = None, selected: Any = None) -> None:
        x = data.images.numpy().mean(axis=(1, 2, 3))
        w = state.supernet.w.detach().numpy().copy()
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


def toy(method: WeightSharingMethod, space: OneEdge, epoch: int = 3, seed: int = 0) -> tuple[SearchState, Array, Array]:
    """A search of 10 epochs on a toy space with α far from uniform, its α, and the Gumbel noise it draws next."""
    search = build_search(method, space, epochs=10, epoch=epoch, seed=seed, dtype=torch.float64)
    with torch.no_grad():
        for name, value in search.alphas.items():
            value.copy_(torch.randn(value.shape, generator=stream(1, name)))
    noise = -(-torch.rand(search.alpha.shape, generator=build_again(search).rng).log()).log()
    return search, search.alpha.detach().numpy().copy(), noise.double().numpy()


def assert_gradient(parameter: Any, expected: Array) -> None:
    np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def assert_telling_gradient(parameter: Any, expected: Array) -> None:
    assert_gradient(parameter, expected)
    assert np.abs(expected).max() > 1e-5


class WithSkip(TwoEdges):
    """Two edges, one of whose operations is called a skip connection."""

    name = "with-skip"
    operations = ("none", "b", "skip_connect")


def used_weights(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """The mixture weights of every forward pass from now on."""
    used = []
    forward = SearchState.forward

    def recording(self: SearchState, data: Batch, mixture: Mixture) -> Forward:
        used.append(mixture.weights.detach().numpy().copy())
        return forward(self, data, mixture)

    monkeypatch.setattr(SearchState, "forward", recording)
    return used


def weight_gradient(state: SearchState) -> Array:
    """The gradient of w in the last step."""
    (w,) = state.supernet.parameters()
    assert w.grad is not None
    gradient: Array = w.grad.numpy()
    return gradient


def gradient_of_weights(method: WeightSharingMethod) -> tuple[Mixture, Tensor]:
    """A mixture of the last epoch, and the gradient of the validation loss with respect to its weights."""
    search = build_search(method, epochs=10, epoch=9)
    mixture = method.mixture(search)
    loss = search.forward(batch("valid"), mixture).loss
    (gradient,) = torch.autograd.grad(loss, mixture.weights, retain_graph=True, allow_unused=True)
    assert gradient is not None
    return mixture, gradient
