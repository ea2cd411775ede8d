"""What each method does besides its gradient: schedules, noise, hyper-parameters and rules of its own."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from harness.methods import base
from harness.methods.base import Batch, Evaluation, Forward, Method, SearchState, WeightSharingMethod, gumbel, linear
from harness.methods.darts import DARTS, SecondOrderDARTS
from harness.methods.gdas import GDAS
from harness.methods.pc_darts import PCDARTS
from harness.methods.random_search import RandomSearch
from harness.methods.snas import SNAS, BilevelSNAS
from harness.random_streams import Streams, stream
from harness.spaces.base import Mixture
from tests.support.toy import (
    NAS_BENCH_201,
    OneEdge,
    TwoEdges,
    batch,
    build_again,
    build_search,
    copies,
    lit,
    query_state,
    step,
)

TRAIN, VALID = lit("train"), lit("valid")


# Schedules and noise


@pytest.mark.parametrize("epochs", [1, 2, 10, 250])
@pytest.mark.parametrize(("start", "end"), [(10.0, 0.1), (1.0, 0.03), (10.0, 1.0), (0.1, 0.1), (0.3, 0.7)])
def test_linear_schedules_begin_and_end_exactly_and_stay_in_range(start: float, end: float, epochs: int) -> None:
    values = [linear(start, end, epoch, epochs) for epoch in range(epochs)]
    assert values[0] == start
    assert epochs == 1 or values[-1] == end
    assert all(min(start, end) <= value <= max(start, end) for value in values)
    assert values == sorted(values, reverse=start > end)


@settings(deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(1, 400), st.data())
def test_linear_schedules_never_leave_their_range(start: float, end: float, epochs: int, data: st.DataObject) -> None:
    epoch = data.draw(st.integers(0, epochs - 1))
    assert min(start, end) <= linear(start, end, epoch, epochs) <= max(start, end)


@pytest.mark.parametrize("epochs", [1, 2, 10, 250])
@pytest.mark.parametrize(
    ("method", "first", "last"),
    [(GDAS(), 10.0, 0.1), (SNAS(), 1.0, 0.03), (BilevelSNAS(), 10.0, 1.0)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_temperatures_at_both_ends(method: WeightSharingMethod, first: float, last: float, epochs: int) -> None:
    for epoch, temperature in ((0, first), (epochs - 1, last if epochs > 1 else first)):
        search = build_search(method, epochs=epochs, epoch=epoch)
        ahead = build_again(search).rng
        scores = search.alpha.log_softmax(dim=1) if isinstance(method, GDAS) else search.alpha
        sample = ((scores + gumbel(search.alpha.shape, ahead)) / temperature).softmax(dim=1)
        slope = torch.randn(6, 5, generator=stream(0, "slope"))
        expected = torch.autograd.grad((sample * slope).sum(), search.alpha)
        found = torch.autograd.grad((method.mixture(search).weights * slope).sum(), search.alpha)
        assert torch.equal(*expected, *found)


@pytest.mark.parametrize("method", [GDAS(), SNAS(), BilevelSNAS()], ids=lambda method: method.name)
def test_every_forward_pass_has_a_fresh_sample(method: WeightSharingMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    forward = SearchState.forward

    def recording(self: SearchState, data: Batch, mixture: Mixture) -> Forward:
        used.append((mixture.selected, tuple(mixture.weights.flatten().tolist())))
        return forward(self, data, mixture)

    monkeypatch.setattr(SearchState, "forward", recording)
    search = build_search(method)
    for seed in range(2):
        step(method, search, seed)
    assert len(set(used)) == len(used) == (4 if method.bilevel else 2)


def test_weight_steps_of_bilevel_methods_build_no_graph_for_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = SearchState.forward

    def checking(self: SearchState, data: Batch, mixture: Mixture) -> Forward:
        assert not mixture.weights.requires_grad
        return forward(self, data, mixture)

    monkeypatch.setattr(SearchState, "forward", checking)
    for method in (DARTS(), GDAS(), PCDARTS(), BilevelSNAS()):
        method.weight_step(build_search(method), batch("train"))


def test_gdas_samples_operations_with_the_probabilities_of_softmax_alpha() -> None:
    search = build_search(GDAS(), OneEdge())
    with torch.no_grad():
        search.alpha.copy_(torch.tensor([[0.0, 1.0, 2.0]]))
        drawn = Counter(GDAS().mixture(search).selected for _ in range(4000))
    for operation, probability in enumerate(torch.softmax(torch.arange(3.0), 0).tolist()):
        sd = math.sqrt(4000 * probability * (1 - probability))
        assert abs(drawn[(operation,)] - 4000 * probability) < 5 * sd


def test_gumbel_noise_has_its_mean_and_variance() -> None:
    noise = gumbel(torch.Size([200_000]), stream(0, "gumbel"))
    assert abs(noise.mean().item() - 0.5772) < 0.015
    assert abs(noise.var().item() - math.pi**2 / 6) < 0.04


@pytest.mark.parametrize("u", [0.0, 2**-24, 0.5, 1 - 2**-24, 1.0])
def test_gumbel_noise_is_finite_for_extreme_draws(u: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.torch, "rand", lambda shape, generator: torch.full(shape, u))
    noise = gumbel(torch.Size([3]), stream(0, "gumbel"))
    assert noise.isfinite().all()
    if 0 < u < 1:
        torch.testing.assert_close(noise, torch.full((3,), -math.log(-math.log(u))), rtol=1e-5, atol=1e-5)


def test_streams_are_independent_named_and_resumable() -> None:
    ones, others = Streams(0), Streams(0)
    torch.rand(1000, generator=others["method"])
    assert torch.equal(torch.rand(5, generator=ones["train-order"]), torch.rand(5, generator=others["train-order"]))
    state = ones.state_dict()
    expected = {name: torch.rand(5, generator=ones[name]) for name in Streams.NAMES}
    ones.load_state_dict(state)
    assert all(torch.equal(torch.rand(5, generator=ones[name]), value) for name, value in expected.items())
    first = {tuple(torch.rand(2, generator=stream(seed, n)).tolist()) for seed in (0, 1, -1) for n in Streams.NAMES}
    assert len(first) == 3 * len(Streams.NAMES)


# Hyper-parameters


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        (DARTS, "order", 3),
        (DARTS, "epsilon", 0),
        (SecondOrderDARTS, "order", 0),
        (GDAS, "tau_max", 0),
        (GDAS, "tau_min", -1),
        (GDAS, "tau_max", math.inf),
        (GDAS, "nonselected_grad", "zeros"),
        (PCDARTS, "K", 0),
        (PCDARTS, "K", 2.5),
        (PCDARTS, "warmup", 1),
        (PCDARTS, "warmup", -0.1),
        (SNAS, "lambda_min", 0),
        (SNAS, "alpha_mean", math.nan),
        (SNAS, "alpha_sd", -1),
        (SNAS, "optimizer", "rmsprop"),
        (SNAS, "eta", 0),
        (RandomSearch, "epochs_per_cell", 0),
        (DARTS, "tau_max", 1),
    ],
)
def test_settings_out_of_range_or_unknown_are_refused(method: type[Method], setting: str, value: Any) -> None:
    with pytest.raises(ValidationError) as info:
        method(**{setting: value})
    assert [error["loc"] for error in info.value.errors()] == [(setting,)]


@pytest.mark.parametrize(
    ("method", "label"),
    [
        (DARTS(order=1, epsilon=0.01), "darts"),
        (DARTS(order=2), "darts[order=2]"),
        (SecondOrderDARTS(), "darts-2nd"),
        (SecondOrderDARTS(epsilon=0.1), "darts-2nd[epsilon=0.1]"),
        (GDAS(tau_max=5), "gdas[tau_max=5.0]"),
        (GDAS(nonselected_grad="none", tau_min=1), "gdas[tau_min=1.0,nonselected_grad=none]"),
        (PCDARTS(edge_normalization=False), "pc-darts[edge_normalization=False]"),
        (SNAS(lambda_max=10), "snas[lambda_max=10.0]"),
        (BilevelSNAS(lambda_max=10), "snas-bilevel"),
    ],
)
def test_labels_show_what_differs_from_the_defaults(method: Method, label: str) -> None:
    assert method.label() == label


def test_labels_know_defaults_that_are_made_anew() -> None:
    class Listing(RandomSearch):
        sizes: list[int] = Field(default_factory=lambda: [1, 2], description="for this test")

    assert Listing().label() == "random-search"
    assert Listing(sizes=[3]).label() == "random-search[sizes=[3]]"


# The methods' own rules


def test_alphas_start_near_zero() -> None:
    space = OneEdge()
    draws = torch.stack([DARTS().initial_alphas(space, stream(seed, "alpha"))["alpha"] for seed in range(2000)])
    assert abs(draws.std().item() - 1e-3) < 5e-5
    assert abs(draws.mean().item()) < 5e-5


def test_log_alphas_of_snas_start_near_one() -> None:
    draws = torch.stack([SNAS().initial_alphas(OneEdge(), stream(seed, "a"))["alpha"] for seed in range(2000)])
    assert abs(draws.mean().item() - 1) < 1e-3
    assert abs(draws.std().item() - 0.01) < 5e-4


def test_snas_by_plain_sgd() -> None:
    method = SNAS(optimizer="sgd", eta=0.5)
    search = build_search(method)
    before = search.alpha.detach().clone()
    method.weight_step(search, batch("train"))
    assert search.alpha.grad is not None
    torch.testing.assert_close(search.alpha.detach(), before - 0.5 * search.alpha.grad)


@pytest.mark.parametrize(("epochs", "warmup", "first"), [(10, 0.3, 3), (50, 0.3, 15), (1, 0.3, 0), (4, 0.0, 0)])
def test_pc_darts_warms_up(epochs: int, warmup: float, first: int) -> None:
    method = PCDARTS(warmup=warmup)
    search = build_search(method, TwoEdges(), epochs=epochs, dtype=torch.float64)
    for epoch in range(min(epochs, first + 2)):
        search.epoch = epoch
        _, before = copies(search)
        forward = method.alpha_step(search, TRAIN, VALID)
        learnt = [not torch.equal(a, b) for a, b in zip(before, search.alphas.values(), strict=True)]
        assert learnt == [epoch >= first] * 2
        assert (forward is not None) == (epoch >= first)
    assert search.passes.forward == min(epochs, first + 2) - first


def test_pc_darts_weighs_the_incoming_edges_of_a_node() -> None:
    search = build_search(PCDARTS())
    with torch.no_grad():
        search.alphas["beta"].copy_(torch.tensor([5.0, 1.0, 2.0, -1.0, 0.0, 300.0]))
    found = PCDARTS().mixture(search).edge_weights
    assert found is not None
    expected = torch.cat([torch.ones(1), torch.tensor([1.0, 2.0]).softmax(0), torch.tensor([0.0, 0.0, 1.0])])
    torch.testing.assert_close(found, expected)


def test_pc_darts_without_edge_normalization_has_no_beta() -> None:
    method = PCDARTS(edge_normalization=False)
    search = build_search(method)
    assert list(search.alphas) == ["alpha"]
    assert method.mixture(search).edge_weights is None


@pytest.mark.parametrize("K", [1, 2, 4])
def test_pc_darts_searches_a_fraction_of_the_channels(K: int) -> None:
    search = build_search(PCDARTS(K=K))
    widths = [cell.mixed for stage in search.supernet.network.stages for cell in stage]
    assert widths == [4 // K, 8 // K, 16 // K]


def test_pc_darts_starts_from_the_alphas_of_darts() -> None:
    initial = PCDARTS().initial_alphas(NAS_BENCH_201, stream(0, "alpha"))
    assert torch.equal(initial["alpha"], DARTS().initial_alphas(NAS_BENCH_201, stream(0, "alpha"))["alpha"])
    assert initial["beta"].shape == (6,)


def test_the_two_kinds_of_snas_are_told_apart() -> None:
    assert {SNAS().label(), BilevelSNAS().label()} == {"snas", "snas-bilevel"}
    assert (SNAS.bilevel, BilevelSNAS.bilevel) == (False, True)


def test_random_search_draws_uniformly() -> None:
    state = query_state(RandomSearch(), OneEdge())
    counts = Counter(RandomSearch().ask(state) for _ in range(3000))
    assert set(counts) == {(0,), (1,), (2,)}
    assert all(abs(count - 1000) < 130 for count in counts.values())  # five standard deviations


def test_random_search_keeps_the_best_and_the_first_of_equals() -> None:
    history = [Evaluation((0,) * 6, 50.0), Evaluation((1,) * 6, 70.0), Evaluation((2,) * 6, 70.0)]
    assert RandomSearch().derive(history) == (1,) * 6
