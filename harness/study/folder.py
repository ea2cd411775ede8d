"""The folder of a study: its ``study.json``, and the check that all its runs can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.errors import HarnessError
from harness.runs.folder import RunFolder
from harness.runs.schema import RunConfig, TrainingConfig
from harness.study.planned_run import PlannedRun


def known_table(study: Path) -> str | None:
    """The table that a study is looked up in; None for the embedded one, and for a study that does not exist yet."""
    info = RunFolder(study).read_json("study.json")
    return info["table"] if info else None


def open_study(path: Path, runs: Sequence[PlannedRun], command: str, table: str | None) -> None:
    """Create or extend a study's ``study.json``. Raises as :func:`check_comparable` does.

    Args:
        path: the study's folder.
        runs: what is to be run in it.
        command: the command line, recorded so that the report can say how to reproduce the study.
        table: path of the table to look up in; None: the embedded one.
    """
    folder = RunFolder(path)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / ".lock"):  # two commands at once: each adds its own, and the first decides for both
            check_comparable(path, runs)
            info = folder.read_json("study.json")
            info = info or {"name": path.name, "created": created, "commands": [], "table": None}
            info["commands"] = [known for known in info["commands"] if known != command] + [command]
            folder.write_json("study.json", info | {"table": table, "common": _common(runs[0].config)})
    except OSError as error:
        raise HarnessError(
            f"cannot write in {path}: {error.strerror}; make room or choose another --runs folder"
        ) from None


def check_comparable(path: Path, runs: Sequence[PlannedRun]) -> None:
    """Raise :class:`HarnessError` where a study holds, or was opened for, runs that the planned ones do not match."""
    now = _common(runs[0].config)
    info = RunFolder(path).read_json("study.json") or {}
    configs = [RunFolder(file.parent).config for file in path.glob("*/*/config.json")]
    opened = [info["common"]] if "common" in info else []  # recorded before there is a run
    for before in (*opened, *(_common(config) for config in configs if config)):
        for key, value in now.items():
            if before.get(key) != value:
                holds = "holds" if configs else "was opened for"
                raise HarnessError(
                    f"study {path.name!r} in {path.parent} {holds} runs of another {key.replace('_', ' ')} "
                    f"({before.get(key)}, now {value}), which must not be ranked together; choose another name with "
                    "--study"
                )


def _common(config: RunConfig | TrainingConfig) -> dict[str, Any]:
    """What all runs of a study have in common."""
    named: dict[str, Any] = {**config}
    return {key: named.get(key) for key in ("protocol_hash", "space", "dataset", "dataset_digest", "schema")}
