"""What every method and every space must keep to together."""

from __future__ import annotations

import pytest
import torch

from harness import catalogue
from harness.streams import stream
from methods.base import Evaluation, QueryMethod
from spaces.base import Mixture, NetworkConfig, SearchSpace
from tests.toy import build_search, gradient_methods, step

SPACES = {name: catalogue.get_space(name) for name in catalogue.spaces()}
QUERY_METHODS = [name for name in catalogue.methods() if issubclass(catalogue.get_method(name), QueryMethod)]
SHORT = {"sdarts-adv": {"steps": 1}}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@every_space
@pytest.mark.parametrize("name", gradient_methods())
def test_every_gradient_method_searches_every_space(name: str, space: SearchSpace) -> None:
    method = catalogue.get_method(name)(**SHORT.get(name, {}))
    search = build_search(method, space, NetworkConfig(channels=4, cells=1, classes=3), epochs=2)
    taste = torch.rand(len(space.edges), len(space.operations), generator=stream(0, "taste"))

    def validate(mixture: Mixture) -> float:
        """Stands for a pass over half of the images."""
        return float((taste * mixture.weights).sum())

    search.validate = validate
    for epoch in range(2):
        search.epoch = epoch
        method.begin_epoch(search)
        step(method, search, seed=epoch)
        assert space.validate(method.derive(search))
    assert all(value.isfinite().all() for value in [*search.supernet.parameters(), *search.alphas.values()])


@every_space
@pytest.mark.parametrize("name", QUERY_METHODS)
def test_every_query_method_proposes_cells_of_every_space(name: str, space: SearchSpace) -> None:
    method, noise, history = catalogue.get_method(name)(), stream(0, "method"), list[Evaluation]()
    for accuracy in (10.0, 30.0, 20.0) * 10:
        history.append(Evaluation(space.validate(method.ask(space, history, noise)), accuracy))
    assert method.derive(history) == history[1].architecture
    assert len({cell for cell, _ in history}) > 10
