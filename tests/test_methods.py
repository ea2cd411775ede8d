"""What every method must keep to, whatever it computes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness import catalogue
from harness.streams import stream
from methods.base import Batch, Evaluation, Forward, GradientMethod, Search
from spaces.base import Mixture
from tests.small_search import CHEAPER
from tests.toy import NAS_BENCH_201, batch, build_search, copies, gradient_methods, identical, step


def create(name: str) -> Any:
    return catalogue.get_method(name)(**CHEAPER.get(name, {}))


GRADIENT_METHODS = gradient_methods()
every_method = pytest.mark.parametrize("name", catalogue.methods())
every_gradient_method = pytest.mark.parametrize("name", GRADIENT_METHODS)
every_bilevel_method = pytest.mark.parametrize("name", [name for name in GRADIENT_METHODS if create(name).bilevel])
every_query_method = pytest.mark.parametrize("name", [n for n in catalogue.methods() if n not in GRADIENT_METHODS])


def last_epoch(name: str, **options: Any) -> tuple[GradientMethod, Search]:
    """A method and a search of it in its last epoch, past any warm-up."""
    method = create(name)
    return method, build_search(method, epochs=10, epoch=9, **options)


# What every method keeps to


@every_method
def test_it_says_what_it_is(name: str) -> None:
    method = catalogue.get_method(name)()
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
    assert identical(alphas, list(search.alphas.values())) == (method.bilevel or not alphas)


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
    forward = Search.forward

    def counting(make: Any) -> Any:
        def counted(self: Any, search: Search) -> Mixture:
            nonlocal made
            made += 1
            return make(self, search)

        return counted

    def counting_forward(self: Search, data: Batch, mixture: Mixture) -> Forward:
        nonlocal used
        used += 1
        return forward(self, data, mixture)

    monkeypatch.setattr(type(method), "mixture", counting(type(method).mixture))
    if type(method).weight_mixture is not GradientMethod.weight_mixture:
        monkeypatch.setattr(type(method), "weight_mixture", counting(type(method).weight_mixture))
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
