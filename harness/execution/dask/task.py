"""The task on a Dask worker: a run in a process of its own, whose events are sent back to the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.execution.dask.compatibility import Compatibility, problem
from harness.execution.local import LocalExecutor, QueuedRun
from harness.runs.folder import RunFolder
from harness.runs.schema import Status, TraceRow


@dataclass(frozen=True)
class Task:
    """A run, as it is sent to the cluster.

    Attributes:
        compatibility: checked on the worker before the run starts.
        claim: name of a file in the compatibility's folder; it exists once a worker has begun.
        run: the run's folder.
        deaths: see :class:`QueuedRun`.
        seconds: see :class:`QueuedRun`.
        local: starts the run's process on the worker.
    """

    compatibility: Compatibility
    claim: str
    run: Path
    deaths: int
    seconds: float
    local: LocalExecutor


def work(task: Task) -> None:
    """Work on a run; called in a thread of a Dask worker."""
    from distributed import Status as Standing
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def send(what: str, *details: Any) -> None:
        worker.log_event(task.compatibility.folder.name, (key, what, details))

    def cancelled() -> bool:
        """True if the task was cancelled or the Dask worker ends; Dask cannot stop a thread."""
        state = worker.state.tasks.get(key)
        ends = worker.status in {Standing.closing, Standing.closed, Standing.failed}
        return ends or state is None or state.state == "cancelled"

    if reason := problem(task.compatibility):
        send("refused", f"Dask worker {worker.address} {reason}")
        return
    try:
        open(task.compatibility.folder / task.claim, "x").close()
    except FileExistsError:  # Dask tries again what a lost worker had begun; that is ours to count and to bound
        send("lost")
        return
    send("begun", worker.address)
    queued = QueuedRun(RunFolder(task.run), task.deaths, task.seconds)
    try:
        task.local.run([queued], _Forward(send), cancelled)
    except HarnessError as error:
        send("refused", str(error))


class _Forward:
    """The listener of a run on a Dask worker: sends each event to the command."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send

    def started(self, run: RunFolder) -> None:
        self._send("started")

    def progress(self, run: RunFolder, done: float) -> None:
        self._send("progress", done)

    def epoch(self, run: RunFolder, row: TraceRow) -> None:
        self._send("epoch", row)

    def noted(self, run: RunFolder, text: str) -> None:
        self._send("noted", text)

    def retried(self, run: RunFolder, reason: str) -> None:
        self._send("retried", reason)

    def ended(self, run: RunFolder, status: Status, reason: str) -> None:
        self._send("ended", status, reason)

    def refused(self, run: RunFolder, reason: str) -> None:
        self._send("refused", reason)
