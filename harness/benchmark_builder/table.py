"""A tabular benchmark of one's own, from the cells that :mod:`harness.benchmark_builder.build` measured.

Isomorphic architectures share the row of the one cell that was measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness._version import __version__
from harness.benchmark_builder.build import BuildPlan, CellRow, remove_measurements
from harness.benchmarks.store import read_parquet, write_table
from harness.benchmarks.table import TabularBenchmark
from harness.config.recipe import Recipe
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace, isomorphic_groups

METRICS = ("train_accuracy", "train_loss", "valid_accuracy", "valid_loss", "test_accuracy", "test_loss")


def make_table(planned: BuildPlan, space: SearchSpace, rows: Mapping[int, CellRow]) -> TabularBenchmark:
    """Make the table of all architectures from the rows of the unique cells."""
    groups = list(isomorphic_groups(space).values())
    spread = np.empty(space.size, dtype=np.int64)
    for number, group in enumerate(groups):
        spread[group] = number
    ordered = [rows[group[0]] for group in groups]
    dataset, columns = planned.dataset, {}

    def add(metric: str, values: Sequence[float]) -> None:
        columns[dataset, metric] = np.asarray(values, dtype=np.float64)[spread]

    for epochs, end in ((planned.full, ""), (planned.short, f"@{planned.short}")):
        for metric in METRICS:
            values = _by_seed(ordered, epochs, metric)
            add(metric + end, values.mean(axis=1))
        for metric in ("train_seconds", "valid_seconds"):
            add(metric + end, [row["measured"][str(epochs)][metric] for row in ordered])  # type: ignore[literal-required]
        for metric in ("valid_accuracy", "test_accuracy"):
            for seed, column in zip(planned.seeds, _by_seed(ordered, epochs, metric).T, strict=True):
                add(f"{metric}@{epochs}/{seed}", column)
    add("parameters", [row["parameters"] for row in ordered])
    add("flops", [row["flops"] for row in ordered])
    return TabularBenchmark(planned.name, space.name, columns, _provenance(planned, rows))


def store_table(planned: BuildPlan, space: SearchSpace, table: TabularBenchmark) -> Path:
    """Store a table, read it back, and then remove its measurements; return its file.

    Raises HarnessError if it cannot be stored, or is not read back as it was written; the measurements are kept.
    """
    path = write_table(table, space)
    stored = read_parquet(path, space).columns
    if not all(np.array_equal(stored[key], values, equal_nan=True) for key, values in table.columns.items()):
        raise HarnessError(f"{path} is not read back as it was written; delete it: the same command then goes on")
    remove_measurements(planned)
    return path


def _by_seed(rows: Sequence[CellRow], epochs: int, metric: str) -> npt.NDArray[np.float64]:
    """(cells, seeds)."""
    return np.array([row["measured"][str(epochs)][metric] for row in rows])  # type: ignore[literal-required]


def _provenance(planned: BuildPlan, rows: Mapping[int, CellRow]) -> dict[str, Any]:
    recipe = Recipe.model_validate(planned.recipe)
    content = json.dumps([rows[index]["measured"] for index in sorted(rows)]).encode()
    return {
        "name": planned.name,
        "description": (
            f"{planned.dataset} accuracies of cells trained by this harness on half of the training images "
            f"({recipe.title}, {len(planned.seeds)} training seeds, {planned.short} and {planned.full} epochs), "
            "validated on the other half and tested on the test images; isomorphic cells share one record."
        ),
        "source": f"nas-harness {__version__}, harness benchmark build",
        "sha256": hashlib.sha256(content).hexdigest(),
        "version": recipe.hash,
        "date": datetime.now(UTC).date().isoformat(),
        "licence": "that of the data set",
        "torch": str(torch.__version__),
        "plan": asdict(planned),
    }
