"""The command line in this process, for tests: in an empty working directory, with workers in this process too."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import harness
from harness.errors import HarnessError
from harness.execution.local import Listener, Workers
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.search import worker


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    for name in ("HARNESS_RUNS_DIR", "HARNESS_DATA_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that search in this process, one after another."""

    def execute(self: Workers, runs: list[RunFolder], listener: Listener) -> None:
        for run in runs:

            def emit(event: process.Event, run: RunFolder = run) -> None:
                if event["kind"] == "epoch":
                    listener.epoch(run, event["row"])
                elif event["kind"] == "ended":
                    listener.ended(run, event["status"], event["reason"])

            listener.started(run)
            try:
                process.run(run, self.data_directory, self.device, emit, worker.search)
            except HarnessError as error:
                listener.refused(run, str(error))

    monkeypatch.setattr(Workers, "execute", execute)
    monkeypatch.setattr("harness.runs.environment.cores", lambda: 1)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(harness, arguments)


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def refusal(result: Result) -> str:
    """The one line that says what was wrong, whichever way the command line would have ended with exit code 2."""
    if isinstance(result.exception, HarnessError):
        text = str(result.exception)
    else:
        assert result.exit_code == 2, result.output or result.exception
        text = result.output.splitlines()[-1]
    assert "\n" not in text
    return text


def folders(work: Path) -> list[RunFolder]:
    """The runs of all studies in a working directory."""
    return [RunFolder(file.parent) for file in sorted(work.glob("runs/*/*/*/config.json"))]
