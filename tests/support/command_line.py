"""The command line in this process, for tests: in an empty working directory, with workers in this process too."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from harness.cli.main import harness
from harness.errors import HarnessError
from harness.runs.folder import RunFolder


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
