"""Searches in small, for tests: in this process, by epochs or as a whole run that may be broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from harness import registry
from harness.config.protocol import Protocol, load_protocol
from harness.contract.small_runs import PLAIN, TIMING, Killed, outcome, run
from harness.data.batches import SearchData, search_data
from harness.data.training_set import load_training_set
from harness.methods.base import WeightSharingMethod
from harness.runs.folder import RunFolder
from harness.search.weight_sharing import WeightSharingSearch
from harness.study.planning import plan_runs
from tests.support.toy import NAS_BENCH_201

__all__ = ["CPU", "PLAIN", "TIMING", "TINY", "Killed", "data", "gradient_search", "outcome", "protocol", "quiet", "run"]

CPU = torch.device("cpu")
TINY = ["data.images=32", "data.image_size=4", "search.batch_size=8", "search.epochs=3", *PLAIN]
"""Two steps an epoch, without diagnostics."""
CHEAPER: dict[str, dict[str, Any]] = {
    "darts-es": {"early_stopping": False},  # a Hessian between any two epochs; its own tests break it off
    "random-search": {"epochs_per_cell": 1},
    "spos": {"population": 5, "generations": 3, "crossovers": 3, "mutations": 3},
}
"""Settings of methods that are searched with."""


def protocol(*overrides: str) -> Protocol:
    return load_protocol("quick", [*TINY, *overrides])


def data(rules: Protocol, seed: int = 0) -> SearchData:
    return search_data(load_training_set("digits"), rules, seed, CPU)


def gradient_search(method: WeightSharingMethod, *overrides: str, seed: int = 0) -> WeightSharingSearch:
    rules = protocol(*overrides)
    return WeightSharingSearch(method, NAS_BENCH_201, data(rules, seed), rules, seed, CPU)


def quiet(_: Any) -> None:
    """Is told how far an epoch is."""


def without(row: Any, apart: set[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in apart}


def start(folder: Path, name: str, *overrides: str, seed: int = 0) -> RunFolder:
    """A run's folder, ready for the worker."""
    method = registry.get_method(name)(**CHEAPER.get(name, {}))
    training = load_training_set("digits")
    (planned,) = plan_runs(folder, [method], [seed], NAS_BENCH_201, protocol(*overrides), training, 1)
    planned.folder.write_json("config.json", planned.config)
    return planned.folder
