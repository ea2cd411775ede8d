"""What every method must keep to, and what each method computes: gradients derived by hand, schedules, noise."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from harness import catalogue
from harness.streams import Streams, stream
from methods import base
from methods.base import Batch, Evaluation, Forward, GradientMethod, Method, Search, gumbel, linear
from methods.darts import DARTS, SecondOrderDARTS
from methods.gdas import GDAS
from methods.pc_darts import PCDARTS
from methods.random_search import RandomSearch
from methods.snas import SNAS, BilevelSNAS
from spaces.base import Mixture
from tests.toy import NAS_BENCH_201, OneEdge, TwoEdges, batch, build_search, copies, gradient_methods, identical

Array = NDArray[np.float64]


def create(name: str) -> Any:
    return catalogue.get_method(name)()


GRADIENT_METHODS = gradient_methods()
every_method = pytest.mark.parametrize("name", catalogue.methods())
every_gradient_method = pytest.mark.parametrize("name", GRADIENT_METHODS)
every_bilevel_method = pytest.mark.parametrize("name", [name for name in GRADIENT_METHODS if create(name).bilevel])
every_query_method = pytest.mark.parametrize("name", [n for n in catalogue.methods() if n not in GRADIENT_METHODS])


def last_epoch(name: str, **options: Any) -> tuple[GradientMethod, Search]:
    """A method and a search of it in its last epoch, past any warm-up."""
    method = create(name)
    return method, build_search(method, epochs=10, epoch=9, **options)


def step(method: GradientMethod, search: Search, seed: int = 0) -> None:
    """An α step, where the method has one, and a weight step."""
    train, valid = batch(f"train {seed}"), batch(f"valid {seed}")
    if method.bilevel:
        method.alpha_step(search, train, valid)
    method.weight_step(search, train)


# What every method keeps to


@every_method
def test_it_says_what_it_is(name: str) -> None:
    method = create(name)
    assert method.name == name == method.label()
    assert method.paper
    assert method.summary
    assert "\n" not in method.summary
    assert all(field.description for field in type(method).model_fields.values())


@every_method
def test_hyperparameters_are_fixed_known_and_survive_a_round_trip(name: str) -> None:
    method = create(name)
    assert type(method)(**method.model_dump(mode="json")) == method
    with pytest.raises(ValidationError):
        type(method)(no_such_setting=1)
    for field in type(method).model_fields:
        with pytest.raises(ValidationError):
            setattr(method, field, getattr(method, field))


@every_gradient_method
def test_it_searches_and_derives_a_cell(name: str) -> None:
    method = create(name)
    search = build_search(method, epochs=4)
    for epoch in range(4):
        search.epoch = epoch
        step(method, search, seed=epoch)
        assert NAS_BENCH_201.validate(method.derive(search))
    weights, alphas = copies(search)
    assert all(value.isfinite().all() for value in weights + alphas)


@every_gradient_method
def test_mixtures_fit_the_space(name: str) -> None:
    method, search = last_epoch(name)
    mixture = method.mixture(search)
    assert mixture.weights.shape == (6, 5)
    assert mixture.weights.isfinite().all()
    if mixture.selected is not None:
        assert NAS_BENCH_201.validate(mixture.selected) == mixture.selected
    for part in (mixture.edge_weights, mixture.edge_bias):
        assert part is None or part.shape == (6,)


@every_gradient_method
def test_alpha_has_its_own_optimiser(name: str) -> None:
    _, search = last_epoch(name)
    optimised = [p for group in search.alpha_optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in optimised} == {id(p) for p in search.alphas.values()}
    weights = {id(p) for p in search.supernet.parameters()}
    assert weights.isdisjoint(id(p) for p in search.alphas.values())


@every_gradient_method
def test_a_weight_step_changes_w_and_only_a_single_level_one_changes_alpha(name: str) -> None:
    method, search = last_epoch(name)
    weights, alphas = copies(search)
    method.weight_step(search, batch("train"))
    assert not identical(weights, list(search.supernet.parameters()))
    assert identical(alphas, list(search.alphas.values())) == method.bilevel


@every_bilevel_method
def test_an_alpha_step_changes_every_alpha_and_not_w(name: str) -> None:
    method, search = last_epoch(name)
    weights, alphas = copies(search)
    method.alpha_step(search, batch("train"), batch("valid"))
    assert identical(weights, list(search.supernet.parameters()))
    assert all(not torch.equal(before, now) for before, now in zip(alphas, search.alphas.values(), strict=True))


@every_gradient_method
def test_one_mixture_serves_one_forward_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, search = last_epoch(name)
    made = used = 0
    mixture, forward = type(method).mixture, Search.forward

    def counting_mixture(self: Any, search: Search) -> Mixture:
        nonlocal made
        made += 1
        return mixture(self, search)

    def counting_forward(self: Search, data: Batch, mixture: Mixture) -> Forward:
        nonlocal used
        used += 1
        return forward(self, data, mixture)

    monkeypatch.setattr(type(method), "mixture", counting_mixture)
    monkeypatch.setattr(Search, "forward", counting_forward)
    step(method, search)
    assert made == used == search.passes.forward > 0


@every_gradient_method
def test_noise_comes_from_its_own_stream_alone(name: str) -> None:
    method, search = last_epoch(name)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    step(method, search)
    method.derive(search)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


@every_gradient_method
def test_the_same_streams_give_the_same_search(name: str) -> None:
    results = []
    for unrelated in (1, 2):
        torch.manual_seed(unrelated)
        method, search = last_epoch(name)
        step(method, search, seed=0)
        step(method, search, seed=1)
        results.append([*search.supernet.parameters(), *search.alphas.values()])
    assert identical(*results)


@every_gradient_method
def test_deriving_changes_nothing(name: str) -> None:
    method, search = last_epoch(name)
    weights, alphas = copies(search)
    assert method.derive(search) == method.derive(search)
    assert identical(weights, list(search.supernet.parameters()))
    assert identical(alphas, list(search.alphas.values()))


@every_gradient_method
def test_costs_are_counted(name: str) -> None:
    method, search = last_epoch(name)
    step(method, search)
    assert search.passes.forward >= (2 if method.bilevel else 1)
    assert search.passes.backward >= (2 if method.bilevel else 1)
    assert search.passes.examples == 4 * search.passes.forward


@every_query_method
def test_query_methods_propose_cells_from_their_noise_alone(name: str) -> None:
    method = create(name)
    before = torch.get_rng_state()
    proposals = []
    for _ in range(2):
        noise, history = stream(0, "method"), []
        for accuracy in range(20):
            cell = NAS_BENCH_201.validate(method.ask(NAS_BENCH_201, history, noise))
            history.append(Evaluation(cell, float(accuracy)))
        proposals.append(history)
        assert method.derive(history) == history[-1].architecture
    assert proposals[0] == proposals[1]
    assert torch.equal(torch.get_rng_state(), before)


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


def build_again(search: Search) -> Search:
    """The same search with noise of its own that is in the same state."""
    noise = torch.Generator()
    noise.set_state(search.noise.get_state())
    return replace(search, noise=noise)


def lit(name: str) -> Batch:
    """Images whose means lie well away from zero, and two classes."""
    images, labels = batch(name, 5, 2, torch.float64)
    return Batch(10 * images, labels)


TRAIN, VALID = lit("train"), lit("valid")


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
def test_temperatures_at_both_ends(method: GradientMethod, first: float, last: float, epochs: int) -> None:
    for epoch, temperature in ((0, first), (epochs - 1, last if epochs > 1 else first)):
        search = build_search(method, epochs=epochs, epoch=epoch)
        ahead = build_again(search).noise
        scores = search.alpha.log_softmax(dim=1) if isinstance(method, GDAS) else search.alpha
        sample = ((scores + gumbel(search.alpha.shape, ahead)) / temperature).softmax(dim=1)
        slope = torch.randn(6, 5, generator=stream(0, "slope"))
        expected = torch.autograd.grad((sample * slope).sum(), search.alpha)
        found = torch.autograd.grad((method.mixture(search).weights * slope).sum(), search.alpha)
        assert torch.equal(*expected, *found)


@pytest.mark.parametrize("method", [GDAS(), SNAS(), BilevelSNAS()], ids=lambda method: method.name)
def test_every_forward_pass_has_a_fresh_sample(method: GradientMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    forward = Search.forward

    def recording(self: Search, data: Batch, mixture: Mixture) -> Forward:
        used.append((mixture.selected, tuple(mixture.weights.flatten().tolist())))
        return forward(self, data, mixture)

    monkeypatch.setattr(Search, "forward", recording)
    search = build_search(method)
    for seed in range(2):
        step(method, search, seed)
    assert len(set(used)) == len(used) == (4 if method.bilevel else 2)


def test_weight_steps_of_bilevel_methods_build_no_graph_for_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Search.forward

    def checking(self: Search, data: Batch, mixture: Mixture) -> Forward:
        assert not mixture.weights.requires_grad
        return forward(self, data, mixture)

    monkeypatch.setattr(Search, "forward", checking)
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
    noise = stream(0, "method")
    counts = Counter(RandomSearch().ask(OneEdge(), [], noise) for _ in range(3000))
    assert set(counts) == {(0,), (1,), (2,)}
    assert all(abs(count - 1000) < 130 for count in counts.values())  # five standard deviations


def test_random_search_keeps_the_best_and_the_first_of_equals() -> None:
    history = [Evaluation((0,) * 6, 50.0), Evaluation((1,) * 6, 70.0), Evaluation((2,) * 6, 70.0)]
    assert RandomSearch().derive(history) == (1,) * 6
