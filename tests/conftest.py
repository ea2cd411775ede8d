"""Fixtures of all tests, and a line that says which harness they test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness import __version__
from tests.support.paths import ROOT, TESTED


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say which harness is tested; the header of pytest would do so, but ``-q`` leaves it out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:  # not in the processes of pytest-xdist
        where = "of the checkout" if TESTED == ROOT / "harness" else "installed"
        reporter.write_line(f"harness {__version__}, {where}: {TESTED}")


@pytest.fixture(autouse=True)
def computes_as_before() -> Iterator[None]:
    """PyTorch as it was: a search in the process of the tests sets what workers set for themselves."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
    torch.set_flush_denormal(False)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    for name in ("HARNESS_RUNS_DIR", "HARNESS_DATA_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
