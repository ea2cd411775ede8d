"""An MLflow store, and studies to mirror in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.tracking.store import Store, connect
from tests.support.studies import StudyWriter
from tests.support.tracked import LiveRun


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite store that all tests of this file share; creating one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return connect()


@pytest.fixture
def writer(tmp_path: Path) -> StudyWriter:
    """A study whose name no other test uses."""
    return StudyWriter(tmp_path / "runs", tmp_path.name)


@pytest.fixture
def live(writer: StudyWriter, tmp_path: Path) -> LiveRun:
    return LiveRun(writer, tmp_path)
