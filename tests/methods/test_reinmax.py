"""ReinMax against its defining equation."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch
from torch import Tensor

from harness.methods.reinmax import ReinMax
from harness.random_streams import stream
from harness.spaces.base import Mixture
from tests.support.by_hand import (
    TRAIN,
    TRAIN_FLOAT,
    VALID,
    Array,
    ByHand,
    assert_telling_gradient,
    gradient_of_weights,
    softmax,
    through_softmax,
    toy,
)
from tests.support.toy import NAS_BENCH_201, OneEdge, TwoEdges, build_again, build_search


def test_reinmax_by_hand() -> None:
    method = ReinMax(tau=1.5)
    seen = set()
    for seed in range(12):
        search, alpha, _ = toy(method, TwoEdges(), seed=seed)
        mixture = method.mixture(build_again(search))
        d = mixture.weights.detach().numpy()
        assert sorted(d.flatten()) == [0, 0, 0, 0, 1, 1]
        assert mixture.selected is None
        gradient = ByHand(search, VALID, d).weights
        middle = (softmax(alpha / 1.5) + d) / 2
        expected = 2 * through_softmax(middle, gradient) - through_softmax(softmax(alpha), gradient) / 2
        method.alpha_step(search, TRAIN, VALID)
        assert_telling_gradient(search.alpha, expected)
        seen.update(d.argmax(axis=1).tolist())
    assert seen == {0, 1, 2}


def test_reinmax_sends_a_gradient_to_operations_that_were_not_drawn() -> None:
    mixture, gradient = gradient_of_weights(ReinMax())
    edge = NAS_BENCH_201.edges.index((0, 3))  # from the cell's input to its output
    assert (gradient[edge, 1:] != 0).all()
    assert int((mixture.weights != 0).sum()) == 6


def test_reinmax_computes_the_drawn_operations_alone_in_weight_steps() -> None:
    search = build_search(ReinMax())
    with torch.no_grad():
        mixture = ReinMax().mixture(search)
        everything = search.forward(TRAIN_FLOAT, Mixture(mixture.weights))
        alone = search.forward(TRAIN_FLOAT, mixture)
    assert mixture.selected == tuple(mixture.weights.argmax(dim=1).tolist())
    torch.testing.assert_close(alone.loss, everything.loss)


def test_the_mean_gradient_of_reinmax_is_exact_for_quadratic_losses() -> None:
    search, alpha, _ = toy(ReinMax(), OneEdge())
    generator = stream(0, "quadratic")
    a, b = torch.randn(3, 3, generator=generator).double(), torch.randn(3, generator=generator).double()

    def loss(d: Tensor) -> Tensor:
        return d @ (a + a.T) @ d / 2 + b @ d

    of_draw: dict[int, Array] = {}
    while len(of_draw) < 3:
        weights = ReinMax().mixture(search).weights[0]
        (gradient,) = torch.autograd.grad(loss(weights), search.alpha)
        of_draw[int(weights.argmax())] = gradient[0].numpy()
    p = softmax(alpha)[0]
    mean = sum(p[operation] * gradient for operation, gradient in of_draw.items())
    values = np.array([float(loss(d)) for d in torch.eye(3, dtype=torch.float64)])
    np.testing.assert_allclose(mean, through_softmax(p, values), rtol=1e-9)


def test_reinmax_draws_operations_with_the_probabilities_of_softmax_alpha() -> None:
    search = build_search(ReinMax(), OneEdge())
    with torch.no_grad():
        search.alpha.copy_(torch.tensor([[0.0, 1.0, 2.0]]))
        counts = Counter(ReinMax().mixture(search).selected for _ in range(2000))
    for operation, probability in enumerate(torch.softmax(torch.arange(3.0), 0).tolist()):
        sd = math.sqrt(2000 * probability * (1 - probability))
        assert abs(counts[(operation,)] - 2000 * probability) < 5 * sd
