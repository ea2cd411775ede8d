"""GAEA against its defining equation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.methods.gaea import GAEA, SingleLevelGAEA
from tests.support.by_hand import (
    TRAIN,
    VALID,
    Array,
    ByHand,
    assert_telling_gradient,
    softmax,
    toy,
)
from tests.support.toy import OneEdge, TwoEdges, build_search


def exponentiated(theta: Array, gradient: Array, eta: float, floor: float) -> Array:
    moved = theta * np.exp(-eta * gradient)
    kept = np.maximum(moved / moved.sum(axis=1, keepdims=True), floor)
    return kept / kept.sum(axis=1, keepdims=True)


def test_gaea_by_hand() -> None:
    method = GAEA(eta=10)
    search, alpha, _ = toy(method, TwoEdges())
    theta = softmax(alpha)
    expected = exponentiated(theta, ByHand(search, VALID, theta).weights, 10, 1e-5)
    method.alpha_step(search, TRAIN, VALID)
    found = method.mixture(search).weights.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(found - theta).max() > 0.05


def test_gaea_keeps_every_weight_above_its_floor() -> None:
    method = GAEA(eta=1e4, floor=1e-3)
    search, alpha, _ = toy(method, OneEdge())
    theta = softmax(alpha)
    expected = exponentiated(theta, ByHand(search, VALID, theta).weights, 1e4, 1e-3)
    method.alpha_step(search, TRAIN, VALID)
    found = method.mixture(search).weights.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found.min() == pytest.approx(1e-3, rel=0.01)


def test_single_level_gaea_by_hand() -> None:
    method = SingleLevelGAEA()
    search, alpha, _ = toy(method, TwoEdges())
    theta = softmax(alpha)
    by_hand = ByHand(search, TRAIN, theta)
    method.weight_step(search, TRAIN)
    found = method.mixture(search).weights.detach().numpy()
    np.testing.assert_allclose(found, exponentiated(theta, by_hand.weights, 0.1, 1e-5), rtol=1e-9)
    assert_telling_gradient(search.supernet.w, by_hand.w)
    assert (search.passes.forward, search.passes.backward) == (1, 1)


def test_gaea_starts_from_equal_weights() -> None:
    weights = GAEA().mixture(build_search(GAEA())).weights
    torch.testing.assert_close(weights, torch.full((6, 5), 0.2))
