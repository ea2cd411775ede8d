"""The contract of all methods, checked for each of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from harness import registry
from harness.contract import MethodContract
from harness.contract.small_runs import Outcome
from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.spaces.base import Mixture
from tests.support.paths import printed
from tests.support.small_search import CHEAPER
from tests.support.toy import build_search, gradient_methods, step

ALL_IN_ONE = """
import json
from harness import registry
from harness.contract import small_runs
from harness.contract.checks import contract_of
from tests.support.small_search import CHEAPER

def whole(name):
    return small_runs.uninterrupted(contract_of(registry.get_method(name), **CHEAPER.get(name, {})).configured())

print(json.dumps({name: whole(name) for name in registry.methods()}))
"""
"""A small run of every method, one after the other."""


@cache
def in_a_fresh_process() -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = json.loads(printed(ALL_IN_ONE))
    return outcomes


@pytest.mark.parametrize("name", registry.methods())
class TestEveryMethod(MethodContract):
    """The contract, with one fresh process for all methods instead of two for each."""

    @pytest.fixture(autouse=True)
    def chosen(self, name: str) -> None:
        self.method, self.settings = registry.get_method(name), CHEAPER.get(name, {})  # type: ignore[misc]

    def runs_in_other_processes(self) -> list[Outcome]:
        return [in_a_fresh_process()[self.method.name]]


@pytest.mark.parametrize("name", gradient_methods())
def test_one_mixture_serves_one_forward_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = registry.get_method(name)()
    search = build_search(method, epochs=10, epoch=9)
    made = used = 0
    forward = SearchState.forward

    def counting(make: Any) -> Any:
        def counted(self: Any, state: SearchState) -> Mixture:
            nonlocal made
            made += 1
            return make(self, state)

        return counted

    def counting_forward(self: SearchState, data: Batch, mixture: Mixture) -> Forward:
        nonlocal used
        used += 1
        return forward(self, data, mixture)

    monkeypatch.setattr(type(method), "mixture", counting(type(method).mixture))
    if type(method).weight_mixture is not WeightSharingMethod.weight_mixture:
        monkeypatch.setattr(type(method), "weight_mixture", counting(type(method).weight_mixture))
    monkeypatch.setattr(SearchState, "forward", counting_forward)
    step(method, search)
    assert made == used == search.passes.forward > 0
