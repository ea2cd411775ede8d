"""Fixtures of several folders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.data.info import DatasetInfo
from harness.errors import HarnessError
from harness.execution.local import Listener, LocalExecutor
from harness.retraining.test_set import load_test_set
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.search import worker
from tests.support.data_files import CIFAR10, EACH, publish, record
from tests.support.small_training import SMALL, training_set


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that search in this process, one after another."""

    def execute(self: LocalExecutor, runs: list[RunFolder], listener: Listener) -> None:
        for run in runs:

            def emit(event: process.Event, run: RunFolder = run) -> None:
                if event["kind"] == "epoch":
                    listener.epoch(run, event["row"])
                elif event["kind"] == "ended":
                    listener.ended(run, event["status"], event["reason"])

            listener.started(run)
            try:
                process.run(
                    run, self.data_directory, self.device, emit, worker.search, self.contents.get(run.path, b"")
                )
            except HarnessError as error:
                listener.refused(run, str(error))

    monkeypatch.setattr(LocalExecutor, "execute", execute)
    monkeypatch.setattr("harness.runs.environment.cores", lambda: 1)


@pytest.fixture
def small_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits with few images."""

    def cut(loaded: Any) -> Any:
        return replace(loaded, images=loaded.images[:SMALL], labels=loaded.labels[:SMALL])

    for place in ("harness.retraining.worker", "harness.retraining.trainings"):
        monkeypatch.setattr(f"{place}.load_test_set", lambda *_, **__: cut(load_test_set("digits")))
    monkeypatch.setattr("harness.retraining.worker.training_set", lambda *_: training_set())


@pytest.fixture
def contents() -> dict[str, bytes]:
    """CIFAR-10 in small: file f has the labels f to f + 3, and red counts the images."""
    return {
        name: b"".join(record(bytes([file + i]), red=EACH * file + i) for i in range(EACH))
        for file, name in enumerate(CIFAR10.training_files)
    }


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes]) -> DatasetInfo:
    return publish(monkeypatch, CIFAR10, contents, EACH * len(contents))
