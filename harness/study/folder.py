"""The folder of a study: its ``study.json``, its one table, and the check that all its runs can be compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.benchmarks.load import check_unchanged, load_table, table_reference
from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.runs.folder import RunFolder
from harness.runs.results import check_folder
from harness.runs.schema import RunConfig, TrainingConfig
from harness.spaces.base import SearchSpace
from harness.study.planned_run import PlannedRun


def study_folder(runs: Path, name: str) -> Path:
    """The folder of the study of this name. Raises :class:`HarnessError` where a study cannot have the name."""
    if not name or name.startswith(".") or "/" in name or os.sep in name:
        raise HarnessError(f"--study {name!r} is no name; give one without a slash that does not begin with a dot")
    return check_folder(runs) / name


def open_table(study: Path, given: str | None, space: SearchSpace) -> TabularBenchmark:
    """The table of a study: the recorded one; of a study without one, the table that is given, else the embedded one.

    Raises:
        HarnessError: the study has another table than the given one, or its table has changed since.
    """
    info: dict[str, Any] = RunFolder(study).read_json("study.json") or {}
    recorded = info.get("table_digest")
    reference = info.get("table") if given is None else table_reference(given)
    table = load_table(reference, space)
    if given is None or reference == info.get("table") or table.digest == recorded:
        check_unchanged(table, recorded, study.name)
        return table
    if recorded is None:
        return table
    raise HarnessError(
        f"study {study.name!r} is looked up in the table {info['table'] or 'embedded'}; to look all its runs up in "
        f"{given} instead: harness evaluate {study.name} --table {given}; to keep both, name another study with --study"
    )


def open_study(path: Path, runs: Sequence[PlannedRun], command: str, table: tuple[str | None, str] | None) -> None:
    """Create or extend a study's ``study.json``. Raises as :func:`check_comparable` does.

    Args:
        path: the study's folder.
        runs: the runs that are planned in it.
        command: the command line or the call, recorded so that the report can say how to reproduce the study.
        table: reference and digest of the table that cells are looked up in; None: cells are not looked up.
    """

    def extend(info: dict[str, Any]) -> dict[str, Any]:
        check_comparable(path, runs)
        info["commands"] = [known for known in info["commands"] if known != command] + [command]
        if table is not None:
            info |= {"table": table[0], "table_digest": table[1]}
        return info | {"common": _common(runs[0].config)}

    change_study(path, extend)


def change_study(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Replace ``study.json`` by what ``change`` makes of it, one process at a time; create it where there is none."""
    folder = RunFolder(path)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / ".lock"):  # of two commands at once each adds its own, and the first decides for both
            info = folder.read_json("study.json")
            info = info or {"name": path.name, "created": created, "commands": [], "table": None}
            folder.write_json("study.json", change(info))
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
    """The facts that all runs of a study have in common."""
    named: dict[str, Any] = {**config}
    common = {key: named.get(key) for key in ("protocol_hash", "space", "dataset", "dataset_digest", "schema")}
    supernet = named.get("protocol", {}).get("supernet", {})  # the hash of the protocol leaves its implementation out
    return {**common, "supernet_implementation": supernet.get("implementation", "fused")}
