"""GAEA, DrNAS, FairDARTS, DARTS-, β-DARTS, SmoothDARTS and ReinMax: each against its defining equation."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import special
from torch import Tensor

from harness.data import load_training_set
from harness.errors import HarnessError
from harness.experiment import check_possible
from harness.protocol import load_protocol
from harness.streams import stream
from methods.base import Batch, Forward, GradientMethod, Method, Search
from methods.beta_darts import BetaDARTS
from methods.darts import DARTS
from methods.darts_minus import DARTSMinus
from methods.drnas import DrNAS
from methods.fair_darts import FairDARTS
from methods.gaea import GAEA, SingleLevelGAEA
from methods.reinmax import ReinMax
from methods.sdarts import AdversarialSmoothDARTS, RandomSmoothDARTS, onto_simplex
from spaces.base import Mixture
from tests.test_methods_gradients import (
    ByHand,
    assert_telling_gradient,
    gradient_of_weights,
    softmax,
    through_softmax,
    toy,
)
from tests.toy import NAS_BENCH_201, SMALL, OneEdge, TwoEdges, build_again, build_search, identical, lit

Array = NDArray[np.float64]
TRAIN, VALID = lit("train"), lit("valid")
TRAIN_FLOAT = Batch(TRAIN.images.float(), TRAIN.labels)


class WithSkip(TwoEdges):
    """Two edges, one of whose operations is called a skip connection."""

    name = "with-skip"
    operations = ("none", "b", "skip_connect")


def used_weights(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """The mixture weights of every forward pass from now on."""
    used = []
    forward = Search.forward

    def recording(self: Search, data: Batch, mixture: Mixture) -> Forward:
        used.append(mixture.weights.detach().numpy().copy())
        return forward(self, data, mixture)

    monkeypatch.setattr(Search, "forward", recording)
    return used


def weight_gradient(search: Search) -> Array:
    """The gradient of w in the last step."""
    (w,) = search.supernet.parameters()
    assert w.grad is not None
    gradient: Array = w.grad.numpy()
    return gradient


# GAEA


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


# DrNAS


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
        torch.set_rng_state(search.noise.get_state())
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


# FairDARTS


@pytest.mark.parametrize("kind", ["l2", "l1"])
def test_fair_darts_by_hand(kind: Any) -> None:
    method = FairDARTS(zero_one_loss=kind, w01=3)
    search, alpha, _ = toy(method, TwoEdges())
    sigma = 1 / (1 + np.exp(-alpha))
    of_loss = ByHand(search, VALID, sigma).weights
    decided = 2 * (sigma - 0.5) if kind == "l2" else np.sign(sigma - 0.5)
    of_loss -= 3 * decided / 4  # four operations take part
    of_loss[:, 0] = 0
    method.alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, of_loss * sigma * (1 - sigma))


def test_fair_darts_weighs_operations_independently_and_leaves_none_out() -> None:
    search, alpha, _ = toy(FairDARTS(), TwoEdges())
    expected = 1 / (1 + np.exp(-alpha))
    expected[:, 0] = 0
    np.testing.assert_allclose(FairDARTS().mixture(search).weights.detach().numpy(), expected)


def test_fair_darts_derives_the_largest_weight_but_none() -> None:
    search = build_search(FairDARTS(), TwoEdges())
    with torch.no_grad():
        search.alpha.copy_(torch.tensor([[3.0, -5.0, -4.0], [-9.0, -1.0, -2.0]]))
    assert FairDARTS().derive(search) == (2, 1)


# DARTS-


@pytest.mark.parametrize(("epoch", "beta"), [(0, 1.0), (3, 6 / 9), (9, 0.0)])
def test_darts_minus_by_hand(epoch: int, beta: float) -> None:
    method = DARTSMinus()
    search, alpha, _ = toy(method, WithSkip(), epoch=epoch)
    p = softmax(alpha)
    mixed = p + beta * np.array([0, 0, 1])
    np.testing.assert_allclose(method.mixture(search).weights.detach().numpy(), mixed)
    method.alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, through_softmax(p, ByHand(search, VALID, mixed).weights))


def test_darts_minus_refuses_a_space_without_skip_connections() -> None:
    protocol, training = load_protocol("quick"), load_training_set("digits")
    check_possible(DARTSMinus(), WithSkip(), protocol, training)
    with pytest.raises(HarnessError) as info:
        check_possible(DARTSMinus(), TwoEdges(), protocol, training)
    expected = "darts-minus under protocol quick: this method needs the operation skip_connect, which two-edges lacks"
    assert str(info.value) == expected + "; choose another space"


# β-DARTS


@pytest.mark.parametrize("epoch", [0, 3, 9])
def test_beta_darts_by_hand(epoch: int) -> None:
    method = BetaDARTS()
    search, alpha, _ = toy(method, TwoEdges(), epoch=epoch)
    p = softmax(alpha)
    of_loss = through_softmax(p, ByHand(search, VALID, p).weights)
    forward = method.alpha_step(search, TRAIN, VALID)
    assert_telling_gradient(search.alpha, of_loss + 5 * epoch * p / 2)
    reported = search.forward(VALID, Mixture(torch.from_numpy(p))).loss
    assert forward is not None
    torch.testing.assert_close(forward.loss, reported)  # the regulariser is no part of the loss that is reported


# SmoothDARTS


def projected(weights: Array) -> Array:
    rows = []
    for row in weights:
        clipped = np.clip(row, 0, 1)
        rows.append(clipped / clipped.sum() if clipped.sum() > 0 else np.eye(len(row))[row.argmax()])
    return np.array(rows)


def drawn(search: Search, epsilon: float) -> Array:
    """The perturbation that a search draws next."""
    u = torch.rand(search.alpha.shape, generator=build_again(search).noise).numpy()
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
    gradients = Search.gradients

    def downhill(self: Search, loss: Tensor, parameters: Any) -> list[Tensor]:
        return [-gradient for gradient in gradients(self, loss, parameters)]

    monkeypatch.setattr(Search, "gradients", downhill)
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


# ReinMax


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


# All of them

METHODS: list[GradientMethod] = [
    GAEA(),
    DrNAS(),
    FairDARTS(),
    DARTSMinus(),
    BetaDARTS(),
    RandomSmoothDARTS(),
    ReinMax(),
]


@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, ReinMax)], ids=lambda method: method.name)
def test_every_operation_but_none_receives_a_gradient(method: GradientMethod) -> None:
    _, gradient = gradient_of_weights(method)
    assert (gradient[:, 0] == 0).all()
    assert (gradient[:, 1:] != 0).all()


@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, GAEA)], ids=lambda method: method.name)
def test_alphas_start_where_those_of_darts_do(method: GradientMethod) -> None:
    found, expected = (m.initial_alphas(NAS_BENCH_201, stream(0, "alpha")) for m in (method, DARTS()))
    assert torch.equal(found["alpha"], expected["alpha"])


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        (GAEA, "eta", 0),
        (GAEA, "floor", 1),
        (DrNAS, "regularizer", "l1"),
        (DrNAS, "reg_scale", -1),
        (FairDARTS, "w01", -1),
        (FairDARTS, "zero_one_loss", "l3"),
        (DARTSMinus, "beta", -0.1),
        (BetaDARTS, "lambda_max", -1),
        (RandomSmoothDARTS, "epsilon_max", -0.1),
        (AdversarialSmoothDARTS, "steps", 0),
        (ReinMax, "tau", 0),
    ],
)
def test_settings_out_of_range_are_refused(method: type[Method], setting: str, value: Any) -> None:
    with pytest.raises(ValidationError) as info:
        method(**{setting: value})
    assert [error["loc"] for error in info.value.errors()] == [(setting,)]
