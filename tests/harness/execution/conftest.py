"""Fixtures of tests of faults."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.small_search import outcome
from tests.support.small_search import run as search
from tests.support.undisturbed import planned


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run that nothing happens to."""
    run = planned(tmp_path_factory.mktemp("whole"))
    run.folder.write_json("config.json", run.config)
    search(run.folder)
    return outcome(run.folder)
