"""Searches in small, for tests: in this process, by epochs or as a whole run that may be broken off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harness import catalogue, worker
from harness.batches import SearchData, search_data
from harness.data import load_training_set
from harness.experiment import plan
from harness.protocol import Protocol, load_protocol
from harness.runs import RunFolder
from harness.search import GradientSearch
from methods.base import GradientMethod
from tests.toy import NAS_BENCH_201

CPU = torch.device("cpu")
PLAIN = [
    *("diagnostics.gap=false", "diagnostics.hessian=false"),
    *("diagnostics.ranking_cells=0", "diagnostics.perturbation=false"),
]
TINY = ["data.images=32", "data.image_size=4", "search.batch_size=8", "search.epochs=3", *PLAIN]
"""Two steps an epoch, without diagnostics."""
TIMING = {"weight_seconds", "alpha_seconds", "derivation_seconds", "peak_memory_mib"}
"""Fields of a trace row that differ each time."""


def protocol(*overrides: str) -> Protocol:
    return load_protocol("quick", [*TINY, *overrides])


def data(rules: Protocol, seed: int = 0) -> SearchData:
    return search_data(load_training_set("digits"), rules, seed, CPU)


def gradient_search(method: GradientMethod, *overrides: str, seed: int = 0) -> GradientSearch:
    rules = protocol(*overrides)
    return GradientSearch(method, NAS_BENCH_201, data(rules, seed), rules, seed, CPU)


def quiet(_: Any) -> None:
    """Is told how far an epoch is."""


def without(row: Any, apart: set[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in apart}


class Killed(BaseException):
    """Stands for a kill."""


def start(folder: Path, name: str, *overrides: str, seed: int = 0) -> RunFolder:
    """A run's folder, ready for the worker."""
    options = {"epochs_per_cell": 1} if name == "random-search" else {}
    method = catalogue.get_method(name)(**options)
    planned = plan(folder, [method], [seed], NAS_BENCH_201, protocol(*overrides), load_training_set("digits"), 1)[0]
    planned.folder.write_json("config.json", planned.config)
    return planned.folder


def run(folder: RunFolder, killed_at: Callable[[worker.Event], bool] = lambda event: False) -> None:
    """Run it in this process, until the end or the first event that kills it."""

    def emit(event: worker.Event) -> None:
        if killed_at(event):
            raise Killed

    threads = torch.get_num_threads()
    try:
        worker.run(folder, None, "cpu", emit)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)


def outcome(folder: RunFolder) -> dict[str, Any]:
    """All of an ended run that is the same each time."""
    result = folder.result
    assert result is not None
    return {
        "status": result["status"],
        "architecture": result["architecture"],
        "trace": [without(row, TIMING) for row in folder.read_trace()],
        "alphas": folder.read_json("alphas.json"),
    }
