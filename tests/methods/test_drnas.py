"""DrNAS against its defining equation, and its Dirichlet samples against scipy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special

from harness.methods.drnas import DrNAS
from tests.support.by_hand import (
    TRAIN,
    TRAIN_FLOAT,
    VALID,
    Array,
    ByHand,
    toy,
)
from tests.support.toy import OneEdge, TwoEdges, build_again, build_search


def dirichlet_jacobian(x: Array, beta: Array) -> Array:
    """dx_j/dβ_i, [j, i]: x_i moves along its marginal Beta distribution, the rest of x shrinks in proportion."""
    total, h = beta.sum(), 1e-5
    jacobian = np.empty((len(x), len(x)))
    for i, (value, b) in enumerate(zip(x, beta, strict=True)):
        probability = special.betainc(b, total - b, value)
        up, down = (special.betaincinv(b + sign * h, total - b, probability) for sign in (1, -1))
        jacobian[:, i] = (np.eye(len(x))[i] - x) / (1 - value) * (up - down) / (2 * h)
    return jacobian


def elu_plus_one(alpha: Array) -> tuple[Array, Array]:
    """elu(α) + 1 and its derivative."""
    return np.where(alpha > 0, alpha + 1, np.exp(alpha)), np.where(alpha > 0, 1, np.exp(alpha))


def test_drnas_by_hand() -> None:
    method = DrNAS()
    for seed in range(4):
        search, alpha, _ = toy(method, OneEdge(), seed=seed)
        x = method.mixture(build_again(search)).weights.detach().numpy()
        beta, slope = elu_plus_one(alpha)
        gradient = ByHand(search, VALID, x).weights
        method.alpha_step(search, TRAIN, VALID)
        assert search.alpha.grad is not None
        expected = gradient[0] @ dirichlet_jacobian(x[0], beta[0]) * slope[0]
        np.testing.assert_allclose(search.alpha.grad.numpy()[0], expected, rtol=1e-3, atol=1e-6)
        assert np.abs(expected).max() > 1e-5


def test_drnas_draws_from_the_dirichlet_distribution() -> None:
    search, alpha, _ = toy(DrNAS(), TwoEdges())
    beta = torch.from_numpy(elu_plus_one(alpha)[0])
    with torch.random.fork_rng():
        torch.set_rng_state(search.rng.get_state())
        expected = torch.distributions.Dirichlet(beta).sample()
    torch.testing.assert_close(DrNAS().mixture(search).weights.detach(), expected)


def test_drnas_with_the_divergence_in_the_place_of_weight_decay() -> None:
    def divergence(alpha: Array) -> float:
        """KL(Dir(elu(α) + 1) || Dir(1)), summed over edges."""
        beta, _ = elu_plus_one(alpha)
        total, n = beta.sum(axis=1), beta.shape[1]
        normalisers = special.gammaln(total) - special.gammaln(beta).sum(axis=1) - special.gammaln(n)
        digammas = special.digamma(beta) - special.digamma(total)[:, None]
        return float((normalisers + ((beta - 1) * digammas).sum(axis=1)).sum())

    gradients = []
    for method in (DrNAS(), DrNAS(regularizer="kl", reg_scale=0.5)):
        search, alpha, _ = toy(method, TwoEdges())
        method.alpha_step(search, TRAIN, VALID)
        assert search.alpha.grad is not None
        gradients.append(search.alpha.grad.numpy().copy())
        decay = search.alpha_optimizer.param_groups[0]["weight_decay"]
        assert decay == (1e-3 if method.regularizer == "l2" else 0)
    expected = np.empty_like(alpha)
    for index in np.ndindex(alpha.shape):
        step = np.zeros_like(alpha)
        step[index] = 1e-5
        expected[index] = 0.5 * (divergence(alpha + step) - divergence(alpha - step)) / 2e-5
    np.testing.assert_allclose(gradients[1] - gradients[0], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", [DrNAS(), DrNAS(regularizer="kl")], ids=lambda method: method.regularizer)
def test_drnas_stays_finite_for_extreme_alphas(method: DrNAS) -> None:
    search = build_search(method)
    with torch.no_grad():
        search.alpha[:, 0] = -200.0
        search.alpha[:, 1] = 200.0
    for _ in range(3):
        method.alpha_step(search, TRAIN_FLOAT, TRAIN_FLOAT)
        assert search.alpha.grad is not None
        assert search.alpha.grad.isfinite().all()
