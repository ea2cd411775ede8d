"""SmoothDARTS, random and adversarial, against its defining equation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.methods.base import SearchState
from harness.methods.darts import DARTS
from harness.methods.sdarts import AdversarialSmoothDARTS, RandomSmoothDARTS, onto_simplex
from tests.support.by_hand import (
    TRAIN,
    TRAIN_FLOAT,
    VALID,
    Array,
    ByHand,
    softmax,
    toy,
    used_weights,
    weight_gradient,
)
from tests.support.toy import SMALL, TwoEdges, build_again, build_search, identical


def projected(weights: Array) -> Array:
    rows = []
    for row in weights:
        clipped = np.clip(row, 0, 1)
        rows.append(clipped / clipped.sum() if clipped.sum() > 0 else np.eye(len(row))[row.argmax()])
    return np.array(rows)


def drawn(state: SearchState, epsilon: float) -> Array:
    """The perturbation that a search draws next."""
    u = torch.rand(state.alpha.shape, generator=build_again(state).rng).numpy()
    return epsilon * (2 * u - 1)


@pytest.mark.parametrize(("epoch", "epsilon"), [(0, 0.03), (3, 0.12), (9, 0.3)])
def test_random_smoothing_by_hand(epoch: int, epsilon: float, monkeypatch: pytest.MonkeyPatch) -> None:
    method = RandomSmoothDARTS()
    search, alpha, _ = toy(method, TwoEdges(), epoch=epoch)
    q = projected(softmax(alpha) + drawn(search, epsilon))
    used, expected = used_weights(monkeypatch), ByHand(search, TRAIN, q)
    method.weight_step(search, TRAIN)
    np.testing.assert_allclose(used, [q], rtol=1e-6)
    np.testing.assert_allclose(weight_gradient(search), expected.w, rtol=1e-6)


def test_adversarial_smoothing_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    method, epsilon = AdversarialSmoothDARTS(), 0.12
    for seed in range(3):
        search, alpha, _ = toy(method, TwoEdges(), seed=seed)
        p = softmax(alpha)
        q = projected(p + drawn(search, epsilon))
        for _ in range(7):
            ascended = q + 2 * epsilon / 7 * np.sign(ByHand(search, TRAIN, q).weights)
            q = projected(p + np.clip(ascended - p, -epsilon, epsilon))
        with monkeypatch.context() as patch:
            used, expected = used_weights(patch), ByHand(search, TRAIN, q)
            method.weight_step(search, TRAIN)
        np.testing.assert_allclose(used[0], p)
        np.testing.assert_allclose(used[-1], q, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(weight_gradient(search), expected.w, rtol=1e-6)
        assert (search.passes.forward, search.passes.backward) == (1 + 7 + 1 + 1, 7 + 1)


def test_adversarial_smoothing_keeps_softmax_alpha_where_the_loss_fell(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = SearchState.gradients

    def downhill(self: SearchState, loss: Tensor, parameters: Any) -> list[Tensor]:
        return [-gradient for gradient in gradients(self, loss, parameters)]

    monkeypatch.setattr(SearchState, "gradients", downhill)
    search, alpha, _ = toy(AdversarialSmoothDARTS(), TwoEdges(), epoch=9)
    found = AdversarialSmoothDARTS().perturbed(search, TRAIN, 0.3)
    np.testing.assert_allclose(found.numpy(), softmax(alpha))


def test_the_attack_leaves_running_statistics_and_training_mode_as_they_were() -> None:
    search = build_search(AdversarialSmoothDARTS(), config=replace(SMALL, batch_norm="running"))
    before = [buffer.clone() for buffer in search.supernet.buffers()]
    AdversarialSmoothDARTS().perturbed(search, TRAIN_FLOAT, 0.3)
    assert before
    assert identical(before, list(search.supernet.buffers()))
    assert search.supernet.training


def test_alpha_learns_without_perturbation() -> None:
    for method in (RandomSmoothDARTS(), AdversarialSmoothDARTS()):
        gradients = []
        for one in (method, DARTS()):
            search, _, _ = toy(one, TwoEdges())
            one.alpha_step(search, TRAIN, VALID)
            assert search.alpha.grad is not None
            gradients.append(search.alpha.grad)
        assert torch.equal(*gradients)


def test_perturbed_weights_return_to_the_simplex() -> None:
    weights = torch.tensor([[0.5, -0.2, 0.3], [1.3, -0.1, 0.0], [-0.1, -0.3, -0.05], [0.2, 0.2, 0.6]])
    expected = torch.tensor([[0.625, 0, 0.375], [1, 0, 0], [0, 0, 1], [0.2, 0.2, 0.6]])
    torch.testing.assert_close(onto_simplex(weights), expected)
