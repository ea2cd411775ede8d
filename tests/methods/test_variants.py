"""FairDARTS, DARTS- and β-DARTS against their defining equations; what all variants of DARTS share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.methods.base import Method, WeightSharingMethod
from harness.methods.beta_darts import BetaDARTS
from harness.methods.darts import DARTS
from harness.methods.darts_minus import DARTSMinus
from harness.methods.drnas import DrNAS
from harness.methods.fair_darts import FairDARTS
from harness.methods.gaea import GAEA
from harness.methods.reinmax import ReinMax
from harness.methods.sdarts import AdversarialSmoothDARTS, RandomSmoothDARTS
from harness.random_streams import stream
from harness.spaces.base import Mixture
from harness.study.configure import check_possible
from tests.support.by_hand import (
    TRAIN,
    VALID,
    ByHand,
    WithSkip,
    assert_telling_gradient,
    gradient_of_weights,
    softmax,
    through_softmax,
    toy,
)
from tests.support.small_search import gradient_search
from tests.support.toy import NAS_BENCH_201, TwoEdges, build_search

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


def test_what_a_method_makes_of_alpha_is_recorded_where_it_is_no_softmax() -> None:
    assert list(gradient_search(DARTS()).alphas()) == ["alpha"]
    recorded = gradient_search(FairDARTS()).alphas()
    weights = torch.tensor(recorded["alpha"]).sigmoid()
    weights[:, NAS_BENCH_201.operations.index("none")] = 0
    torch.testing.assert_close(torch.tensor(recorded["operation_weights"]), weights)


def test_what_drnas_makes_of_alpha_is_the_mean_of_its_samples() -> None:
    search, _, _ = toy(DrNAS(), TwoEdges())
    drawn = torch.stack([DrNAS().mixture(search).weights.detach() for _ in range(4000)])
    torch.testing.assert_close(drawn.mean(dim=0), DrNAS().operation_weights(search).detach(), atol=0.02, rtol=0)


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


# All of them

METHODS: list[WeightSharingMethod] = [
    GAEA(),
    DrNAS(),
    FairDARTS(),
    DARTSMinus(),
    BetaDARTS(),
    RandomSmoothDARTS(),
    ReinMax(),
]


@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, ReinMax)], ids=lambda method: method.name)
def test_every_operation_but_none_receives_a_gradient(method: WeightSharingMethod) -> None:
    _, gradient = gradient_of_weights(method)
    assert (gradient[:, 0] == 0).all()
    assert (gradient[:, 1:] != 0).all()


@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, GAEA)], ids=lambda method: method.name)
def test_alphas_start_where_those_of_darts_do(method: WeightSharingMethod) -> None:
    initial, expected = (m.initial_alphas(NAS_BENCH_201, stream(0, "alpha")) for m in (method, DARTS()))
    assert torch.equal(initial["alpha"], expected["alpha"])


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
