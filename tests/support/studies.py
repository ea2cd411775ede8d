"""Synthetic studies for tests: run folders as the harness writes them, without a search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import registry
from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.reports.results import comparison
from harness.reports.statistics.summary import Floats
from harness.runs.folder import RunFolder, folder_name
from harness.runs.schema import SCHEMA_VERSION, Status
from harness.spaces.base import SearchSpace
from harness.spaces.nas_bench_201 import encoding

ALL_SKIP = (encoding.SKIP,) * 6
ALL_CONV3 = (encoding.CONV3,) * 6
PROTOCOL: dict[str, Any] = {
    "name": "test-protocol",
    "version": 1,
    "dataset": "cifar10",
    "search": {"epochs": 3, "batch_size": 64, "order": "alpha-first"},
}
DATASETS = ("cifar10", "cifar100")

Cell = tuple[int, ...]


def accuracy(cell: Cell, dataset: str = "cifar10") -> float:
    """A made-up test accuracy (%), plausible: convolutions help, a cell without them is poor, all-skip is 54.3."""
    convolutions = sum(2 if op == encoding.CONV3 else op == encoding.CONV1 for op in cell)
    nones = cell.count(encoding.NONE)
    value = (
        10.0 if nones == len(cell) else 94.4 - 3 * 0.6 ** (convolutions - 6) + 0.1 * cell.count(encoding.SKIP) - nones
    )
    value = 54.3 if cell == ALL_SKIP else value - 0.01 * (encoding.index(cell) % 50)
    return value - 22 if dataset == "cifar100" else value


def table(datasets: Sequence[str] = DATASETS) -> TabularBenchmark:
    """The table of :func:`accuracy` over all NAS-Bench-201 cells."""
    columns = {(name, "test_accuracy"): _column(name).copy() for name in datasets}
    provenance = {"name": "made-up", "description": "Made-up accuracies.", "source": "tests", "sha256": "0" * 64}
    return TabularBenchmark("made-up", "nas-bench-201", columns, provenance)


@cache
def _column(dataset: str) -> Floats:
    """Computed once: it takes a second."""
    return np.array([accuracy(encoding.cell_at(row), dataset) for row in range(encoding.SIZE)])


def noise(table: TabularBenchmark, dataset: str, space: SearchSpace) -> float:
    """Stand for :func:`harness.benchmarks.retraining_noise.retraining_noise`: made-up isomorphic cells differ more."""
    return {"cifar10": 0.17, "cifar100": 0.31}[dataset]


def missing_table(*_: Any) -> TabularBenchmark:
    """Stand for :func:`harness.benchmarks.load.load_table` where the file is gone."""
    raise HarnessError("no table at gone.csv; give its path with --table")


def use_made_up_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make reports look cells up in :func:`table`."""
    monkeypatch.setattr(comparison, "load_table", lambda *_: table())
    monkeypatch.setattr(comparison, "retraining_noise", noise)


def use_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make reports find no table."""
    monkeypatch.setattr(comparison, "load_table", missing_table)


class StudyWriter:
    """Writes a study folder run by run."""

    def __init__(self, runs: Path, name: str = "example") -> None:
        self.path = runs / name
        info = {"name": name, "created": "2025-01-01T00:00:00+00:00", "table": None}
        RunFolder(self.path).write_json("study.json", info | {"commands": [f"harness run --study {name} --seeds 5"]})

    def add(
        self,
        method: str,
        seed: int,
        cells: Sequence[Cell],
        *,
        status: Status | None = "finished",
        reason: str = "",
        seconds_per_epoch: float = 2.0,
        datasets: Sequence[str] = DATASETS,
        environment: dict[str, Any] | None = None,
        **config: Any,
    ) -> Path:
        """Add a run that derived ``cells``, one an epoch. ``config`` overrides fields of ``config.json``.

        A status of None leaves the run without a result, as when it is interrupted; no ``datasets``: not looked up.
        """
        settings = {
            "schema": SCHEMA_VERSION,
            "identity": f"{abs(hash((method, seed, str(config)))):012x}"[:12],
            "study": self.path.name,
            "method": method,
            "label": method,
            "hyperparameters": {},
            "method_source": "source-" + method,
            "space": "nas-bench-201",
            "dataset": "cifar10",
            "dataset_digest": "d" * 64,
            "protocol": PROTOCOL,
            "protocol_hash": "abcdef012345",
            "epochs": len(cells),
            "seed": seed,
            **config,
        }
        written_in = settings["space"] if settings["space"] in registry.spaces() else "nas-bench-201"
        space = registry.get_space(written_in)
        folder = RunFolder(self.path / folder_name(settings["label"]) / f"seed-{seed}-{settings['identity']}")
        folder.write_json("config.json", settings)
        folder.write_json("environment.json", environment or {"cpu": "a processor", "python": "3.12.0"})
        folder.write_trace([_trace_row(space, epoch, cell, seconds_per_epoch) for epoch, cell in enumerate(cells, 1)])
        if status is not None:
            done = status == "finished"
            result = {
                "status": status,
                "reason": reason,
                "architecture": space.format(cells[-1]) if done else None,
                "index": space.index(cells[-1]) if done else None,
                "search_seconds": seconds_per_epoch * len(cells),
                "other_seconds": 0.5,
                "started": "2025-01-01T00:00:00+00:00",
                "ended": "2025-01-01T00:10:00+00:00",
            }
            folder.write_json("result.json", result)
        if datasets:
            values = {name: [accuracy(cell, name) for cell in cells] for name in datasets}
            folder.write_json("evaluation.json", {"table": {"name": "made-up"}, "accuracy": values})
        return folder.path


def _trace_row(space: SearchSpace, epoch: int, cell: Cell, seconds: float) -> Any:
    return {
        "epoch": epoch,
        "architecture": space.format(cell),
        "index": space.index(cell),
        "operations": {name: cell.count(op) for op, name in enumerate(space.operations)},
        "train_loss": 2.0 / epoch,
        "train_accuracy": 50.0,
        "valid_loss": 2.1 / epoch,
        "valid_accuracy": 45.0,
        "alpha_entropy": 1.5,
        "weight_seconds": 0.6 * seconds * epoch,
        "alpha_seconds": 0.39 * seconds * epoch,
        "derivation_seconds": 0.01 * seconds * epoch,
        "examples": 50_000 * epoch,
        "forward_passes": 782 * epoch,
        "backward_passes": 782 * epoch,
        "peak_memory_mib": 300.0,
    }


def wander(seed: int, epochs: int, towards: Cell, pull: float = 0.1) -> list[Cell]:
    """A trajectory of cells from a random one, each edge moving to ``towards`` with probability ``pull`` an epoch."""
    random = np.random.default_rng(seed)
    cell = list(random.integers(len(encoding.OPERATIONS), size=6).tolist())
    cells = []
    for _ in range(epochs):
        for edge, operation in enumerate(towards):
            if random.random() < pull:
                cell[edge] = operation
            elif random.random() < 0.03:
                cell[edge] = int(random.integers(len(encoding.OPERATIONS)))
        cells.append(tuple(cell))
    return cells


def five_methods(runs: Path) -> Path:
    """A study with every trait a report must show: a collapse, a failure, a single epoch, unequal budgets."""
    writer = StudyWriter(runs)
    good = encoding.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )
    for seed in range(5):
        writer.add("darts", seed, [*wander(seed, 40, ALL_SKIP), *[ALL_SKIP] * 10])
        writer.add("gdas", seed, wander(seed, 120, good, 0.05), seconds_per_epoch=1.1)
        partial = wander(seed, 50, good, 0.08)
        if seed == 3:
            message = "architecture parameters became nan in epoch 18"
            writer.add(
                "pc-darts", seed, partial[:17], status="diverged", reason=message, seconds_per_epoch=0.9, epochs=50
            )
        else:
            writer.add("pc-darts", seed, partial, seconds_per_epoch=0.9)
        writer.add("snas", seed, wander(10 + seed, 50, ALL_CONV3, 0.02), seconds_per_epoch=2.1)
        writer.add("random-search", seed, wander(20 + seed, 1, good, 0.8), seconds_per_epoch=0.004)
    return writer.path


def edit_json(file: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
