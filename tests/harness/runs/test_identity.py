"""The identity of a run: which texts of a method it covers."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from harness.methods import base, controller, darts, enas, search_state
from harness.methods.base import Method
from harness.methods.darts import DARTS, SecondOrderDARTS
from harness.methods.enas import ENAS
from harness.runs.identity import method_source


@pytest.mark.parametrize(
    ("method", "edited", "changes"),
    [
        (ENAS, enas, True),
        (ENAS, controller, True),
        (DARTS, controller, False),
        (SecondOrderDARTS, darts, True),
        (ENAS, base, False),
        (ENAS, search_state, False),
    ],
)
def test_the_source_of_a_method_covers_its_modules_and_those_of_methods_that_they_import(
    method: type[Method], edited: ModuleType, changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, getsource = method_source(method), inspect.getsource

    def edited_source(module: ModuleType) -> str:
        return getsource(module) + "# edited\n" * (module is edited)

    monkeypatch.setattr(inspect, "getsource", edited_source)
    assert (method_source(method) != before) == changes
