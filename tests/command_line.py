"""The command line in this process, for tests, and a fixture of an empty working directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import harness
from harness.errors import HarnessError


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    for name in ("HARNESS_RUNS_DIR", "HARNESS_DATA_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


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
