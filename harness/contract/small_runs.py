"""Searches in small, by the harness's own loop and workers: a run of six epochs on 32 tiny digits takes a second."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from harness.config.protocol import Protocol, load_protocol
from harness.data.batches import search_data
from harness.data.training_set import TrainingSet, load_training_set
from harness.execution.local import Workers
from harness.methods.base import Method, QueryMethod, SearchState, WeightSharingMethod
from harness.registry import get_space
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.runs.schema import TraceRow
from harness.search import worker
from harness.search.query_by_training import TrainingQuerySearch
from harness.search.weight_sharing import WeightSharingSearch
from harness.study.planning import plan_runs

SPACE = "nas-bench-201"
EPOCHS = 6
PLAIN = [
    *("diagnostics.gap=false", "diagnostics.hessian=false"),
    *("diagnostics.ranking_cells=0", "diagnostics.perturbation=false"),
]
TINY = ["data.images=32", "data.image_size=4", "search.batch_size=8", f"search.epochs={EPOCHS}", *PLAIN]
"""Two steps an epoch, without diagnostics."""
TIMING = {"weight_seconds", "alpha_seconds", "derivation_seconds", "peak_memory_mib"}
"""Fields of a trace row that differ each time."""
PATIENCE = 600.0
"""Seconds after which a run in a process of its own is given up."""

Outcome = dict[str, Any]
"""All of an ended run that is the same each time: status, reason, architecture, trace, alphas."""


class Killed(BaseException):
    """Stands for a kill."""


def protocol(*overrides: str) -> Protocol:
    """The rules of a small search."""
    return load_protocol("quick", [*TINY, *overrides])


@cache
def training_set() -> TrainingSet:
    """The images that come with scikit-learn."""
    return load_training_set("digits")


def rehearse(
    method: Method, space: str = SPACE, *overrides: str, seed: int = 0
) -> WeightSharingSearch | TrainingQuerySearch:
    """A small search of a method at its beginning, in this process; ``overrides`` are settings of the protocol."""
    rules, cpu = protocol(*overrides), torch.device("cpu")
    data = search_data(training_set(), rules, seed, cpu)
    if isinstance(method, WeightSharingMethod):
        return WeightSharingSearch(method, get_space(space), data, rules, seed, cpu)
    assert isinstance(method, QueryMethod)
    return TrainingQuerySearch(method, get_space(space), data, rules, seed, cpu)


def small_search(method: WeightSharingMethod, epoch: int = 0, epochs: int = EPOCHS, space: str = SPACE) -> SearchState:
    """The state of a small search as an epoch, from 0, begins: what the hooks of a gradient method are handed."""
    found = rehearse(method, space, f"search.epochs={epochs}")
    assert isinstance(found, WeightSharingSearch)
    found.state.epoch = epoch
    return found.state


def prepare(place: Path, method: Method, space: str = SPACE) -> RunFolder:
    """The folder of a small run in a study, ready for a worker. The method must be known by its name."""
    run = plan_runs(place, [method], [0], get_space(space), protocol(), training_set(), 1)[0]
    run.folder.write_json("config.json", run.config)
    return run.folder


def never(event: process.Event) -> bool:
    """Kills no run."""
    return False


def run(folder: RunFolder, killed_at: Callable[[process.Event], bool] = never) -> None:
    """Run it in this process, until the end or the first event that kills it: then :class:`Killed` is raised."""

    def emit(event: process.Event) -> None:
        if killed_at(event):
            raise Killed

    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the traceback of a failure, whose line is in the result
            process.run(folder, None, "cpu", emit, worker.search)
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(deterministic)
        torch.set_flush_denormal(False)


def outcome(folder: RunFolder) -> Outcome:
    """What an ended run came to."""
    result = folder.result
    assert result is not None
    return {
        "status": result["status"],
        "reason": result["reason"],
        "architecture": result["architecture"],
        "trace": untimed(folder.read_trace()),
        "alphas": folder.read_json("alphas.json"),
    }


def whole(method: Method) -> Outcome:
    """What an undisturbed run comes to."""
    with tempfile.TemporaryDirectory() as place:
        folder = prepare(Path(place), method)
        run(folder)
        return outcome(folder)


def interrupted(method: Method) -> Outcome:
    """What a run comes to that is killed in its third and in its last epoch, and goes on each time."""
    with tempfile.TemporaryDirectory() as place:
        folder = prepare(Path(place), method)
        for epochs in (2, EPOCHS - 1):
            with contextlib.suppress(Killed):
                run(folder, lambda event, epochs=epochs: event.get("done", 0) > epochs)  # type: ignore[misc]
        run(folder)
        return outcome(folder)


def play(search: WeightSharingSearch | TrainingQuerySearch) -> Outcome:
    """What a method's own work comes to: a first and a last epoch, or ten cells whose accuracies are made up."""
    rows: list[Any] = []
    if isinstance(search, WeightSharingSearch):
        rows = [search.run_epoch(epoch, lambda done: None) for epoch in (0, EPOCHS - 1)]
    else:
        for accuracy in range(10):
            search.proposed()
            search.tell(float(accuracy))
        search.method.derive(search.history)
    return {"status": "finished", "reason": "", "architecture": None, "trace": untimed(rows), "alphas": search.alphas()}


def untimed(rows: Sequence[TraceRow]) -> list[dict[str, Any]]:
    """Rows without what differs each time."""
    return [{key: value for key, value in row.items() if key not in TIMING} for row in rows]


class Silent:
    """Is told how runs go, and keeps why one could not."""

    def __init__(self) -> None:
        self.reasons: dict[Path, str] = {}

    def refused(self, run: RunFolder, reason: str) -> None:
        self.reasons[run.path] = reason

    def nothing(self, *told: Any, **more: Any) -> None:
        """There is nothing to do."""

    started = progress = epoch = noted = retried = ended = nothing


def two_at_once(method: Method) -> list[Outcome]:
    """What two equal runs come to, each in a process of its own, as ``harness run --jobs 2`` starts them."""
    listener = Silent()
    with tempfile.TemporaryDirectory() as place:
        folders = [prepare(Path(place) / study, method) for study in ("one", "other")]
        Workers(2, "cpu", None, PATIENCE, retries=0).execute(folders, listener)
        return [
            outcome(folder) if folder.result else {"status": "refused", "reason": listener.reasons[folder.path]}
            for folder in folders
        ]


def difference(one: Outcome, other: Outcome) -> str | None:
    """Where two runs first differ, in words; None where they are equal to the last bit."""
    for row, found in zip(one["trace"], other["trace"], strict=False):
        for key, value in row.items():
            if found[key] != value:
                return f"{key} of epoch {row['epoch']} is {value} in one and {found[key]} in the other"
    for key in ("status", "architecture", "alphas"):
        if one[key] != other[key]:
            return f"{key} differs" if key == "alphas" else f"{key} is {one[key]} in one and {other[key]} in the other"
    return None
