"""Small searches by the harness's own loop and workers: a run of six epochs on 32 tiny digits takes a second."""

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
from harness.execution.local import LocalExecutor
from harness.methods.base import Method, QueryMethod, SearchState, WeightSharingMethod
from harness.registry import get_space
from harness.runs import checkpoint, process
from harness.runs.folder import RunFolder
from harness.runs.schema import TraceRow
from harness.search import worker
from harness.search.query_by_training import TrainingQuerySearch
from harness.search.weight_sharing import WeightSharingSearch
from harness.study.planning import plan_runs

SPACE = "nas-bench-201"
EPOCHS = 6
CELLS = 25
"""Cells of a query-based search that are played at once: more than any method here learns from together."""
PLAIN = [
    *("diagnostics.gap=false", "diagnostics.hessian=false"),
    *("diagnostics.ranking_cells=0", "diagnostics.perturbation=false"),
]
TINY = ["data.images=32", "data.image_size=4", "search.batch_size=8", f"search.epochs={EPOCHS}", *PLAIN]
"""Two steps an epoch, without diagnostics."""
TIMING = {"weight_seconds", "alpha_seconds", "derivation_seconds", "peak_memory_mib"}
"""Fields of a trace row that differ from run to run."""
TIMEOUT = 600.0
"""Seconds after which a run in its own process is stopped."""

Outcome = dict[str, Any]
"""The reproducible part of a finished run: status, reason, architecture, trace, alphas."""


class Killed(BaseException):
    """Raised in place of a kill."""


def protocol(*overrides: str) -> Protocol:
    """The protocol of a small search."""
    return load_protocol("quick", [*TINY, *overrides])


@cache
def training_set() -> TrainingSet:
    """The images that come with scikit-learn."""
    return load_training_set("digits")


def rehearse(
    method: Method, space: str = SPACE, *overrides: str, seed: int = 0
) -> WeightSharingSearch | TrainingQuerySearch:
    """A small search of a method at its beginning, in this process; ``overrides`` are settings of the protocol."""
    small, cpu = protocol(*overrides), torch.device("cpu")
    data = search_data(training_set(), small, seed, cpu)
    if isinstance(method, WeightSharingMethod):
        return WeightSharingSearch(method, get_space(space), data, small, seed, cpu)
    assert isinstance(method, QueryMethod)
    return TrainingQuerySearch(method, get_space(space), data, small, seed, cpu)


def small_search(method: WeightSharingMethod, epoch: int = 0, epochs: int = EPOCHS, space: str = SPACE) -> SearchState:
    """The state of a small search at the start of an epoch (from 0), for calling a hook in a test."""
    search = rehearse(method, space, f"search.epochs={epochs}")
    assert isinstance(search, WeightSharingSearch)
    search.state.epoch = epoch
    return search.state


def prepare(study: Path, method: Method, space: str = SPACE) -> tuple[RunFolder, bytes]:
    """The folder of a small run in a study, ready for a worker, and the method by value where no name stands for it."""
    run = plan_runs(study, [method], [0], get_space(space), protocol(), training_set(), 1)[0]
    run.folder.write_json("config.json", run.config)
    return run.folder, run.custom.content if run.custom else b""


def never(event: process.Event) -> bool:
    """False: kill no run."""
    return False


def run(folder: RunFolder, killed_at: Callable[[process.Event], bool] = never, content: bytes = b"") -> None:
    """Run it in this process to the end. Raises :class:`Killed` at the first event for which ``killed_at`` is true."""

    def emit(event: process.Event) -> None:
        if killed_at(event):
            raise Killed

    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the traceback of a failure, whose line is in the result
            process.run(folder, None, "cpu", emit, worker.search, content)
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(deterministic)
        torch.set_flush_denormal(False)


def outcome(folder: RunFolder) -> Outcome:
    """The outcome of a run that has ended."""
    result = folder.result
    assert result is not None
    return {
        "status": result["status"],
        "reason": result["reason"],
        "architecture": result["architecture"],
        "trace": untimed(folder.read_trace()),
        "alphas": folder.read_json("alphas.json"),
    }


def uninterrupted(method: Method) -> Outcome:
    """The outcome of an uninterrupted run."""
    with tempfile.TemporaryDirectory() as study:
        folder, content = prepare(Path(study), method)
        run(folder, content=content)
        return outcome(folder)


def interrupted(method: Method) -> Outcome:
    """The outcome of a run that is killed in its third and in its last epoch, and goes on each time."""
    with tempfile.TemporaryDirectory() as study:
        folder, content = prepare(Path(study), method)
        for epochs in (2, EPOCHS - 1):
            with contextlib.suppress(Killed):
                run(folder, lambda event, epochs=epochs: event.get("done", 0) > epochs, content)  # type: ignore[misc]
        run(folder, content=content)
        return outcome(folder)


def play(search: WeightSharingSearch | TrainingQuerySearch) -> Outcome:
    """The outcome of a first and a last epoch, or of :data:`CELLS` more cells with made-up accuracies."""
    rows: list[Any] = []
    if isinstance(search, WeightSharingSearch):
        rows = [search.run_epoch(epoch, lambda done: None) for epoch in (0, EPOCHS - 1)]
    else:
        for number in range(CELLS):
            search.proposed()
            search.tell(float(number % 10))
        search.method.derive(search.history)
    return {"status": "finished", "reason": "", "architecture": None, "trace": untimed(rows), "alphas": search.alphas()}


def written_and_read(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint file gives it back."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), state)
        return checkpoint.read(Path(folder) / checkpoint.NEWEST)


def untimed(rows: Sequence[TraceRow]) -> list[dict[str, Any]]:
    """Rows without :data:`TIMING`."""
    return [{key: value for key, value in row.items() if key not in TIMING} for row in rows]


class Silent:
    """A listener of runs that keeps why one was refused and ignores all else."""

    def __init__(self) -> None:
        self.reasons: dict[Path, str] = {}

    def refused(self, run: RunFolder, reason: str) -> None:
        self.reasons[run.path] = reason

    def ignore(self, *event: Any, **details: Any) -> None:
        """Do nothing."""

    started = progress = epoch = noted = retried = ended = ignore


def two_at_once(method: Method) -> list[Outcome]:
    """The outcomes of two equal runs, each in its own process, as ``harness run --jobs 2`` starts them."""
    listener = Silent()
    with tempfile.TemporaryDirectory() as runs:
        prepared = [prepare(Path(runs) / study, method) for study in ("one", "other")]
        contents = {folder.path: content for folder, content in prepared}
        LocalExecutor(2, "cpu", None, TIMEOUT, retries=0, contents=contents).execute(
            [folder for folder, _ in prepared], listener
        )
        return [
            outcome(folder) if folder.result else {"status": "refused", "reason": listener.reasons[folder.path]}
            for folder, _ in prepared
        ]


def difference(one: Outcome, other: Outcome) -> str | None:
    """The first difference of two runs, in words; None where they are equal bit for bit."""
    for row, counterpart in zip(one["trace"], other["trace"], strict=False):
        for key, value in row.items():
            if counterpart[key] != value:
                return f"{key} of epoch {row['epoch']} is {value} in one and {counterpart[key]} in the other"
    for key in ("status", "architecture", "alphas"):
        if one[key] != other[key]:
            return f"{key} differs" if key == "alphas" else f"{key} is {one[key]} in one and {other[key]} in the other"
    return None
