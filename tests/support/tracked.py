"""A store of MLflow, runs to deliver to it, and what it then holds; with fixtures of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.runs.folder import RunFolder
from harness.spaces.nas_bench_201 import encoding
from harness.tracking import Store
from tests.support.studies import ALL_CONV3, ALL_SKIP, StudyWriter, accuracy

CELLS = [ALL_SKIP, ALL_CONV3, ALL_SKIP, ALL_CONV3]


class LiveRun:
    """A run that is watched while it goes on: the files of a complete run, epoch by epoch."""

    def __init__(self, writer: StudyWriter, tmp_path: Path, **config: Any) -> None:
        self.complete = RunFolder(StudyWriter(tmp_path / "complete").add("darts", 0, CELLS, **config))
        self.path = writer.add("darts", 0, [], status=None, datasets=(), **config)

    def epochs(self, count: int) -> None:
        RunFolder(self.path).write_trace(self.complete.read_trace()[:count])

    def end(self) -> None:
        for name in ("result.json", "evaluation.json"):
            shutil.copy(self.complete.path / name, self.path / name)


def runs_of(store: Store, study: str) -> dict[str, Any]:
    """All active runs of an experiment by name; fails where a name occurs twice."""
    experiment = store.client.get_experiment_by_name(study)
    found = store.client.search_runs([experiment.experiment_id])
    names = [run.info.run_name for run in found]
    assert len(names) == len(set(names))
    return dict(zip(names, found, strict=True))


def history(store: Store, run: Any, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run.info.run_id, metric)]


def table(index: int) -> dict[str, float]:
    return {"cifar10": accuracy(encoding.cell_at(index))}


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def delivered_rows(folder: Path) -> int:
    return int((RunFolder(folder).read_json("mlflow.json") or {"rows": 0})["rows"])
