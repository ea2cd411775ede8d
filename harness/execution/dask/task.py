"""What happens on a Dask worker: a run, in a process of its own, and the way back of what the user is to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.execution.dask.compatibility import Meeting, problem
from harness.execution.local import Attempted, Workers
from harness.runs.folder import RunFolder
from harness.runs.schema import Status, TraceRow


@dataclass(frozen=True)
class Task:
    """A run, as it is sent to the cluster."""

    meeting: Meeting
    claim: str  # name of a file in the meeting's folder: there once a worker has begun
    run: Path
    deaths: int  # see :class:`Attempted`
    seconds: float
    workers: Workers


def work(task: Task) -> None:
    """In a thread of a Dask worker: a run, in a process of its own."""
    from distributed import Status as Standing
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def send(what: str, *particulars: Any) -> None:
        worker.log_event(task.meeting.folder.name, (key, what, particulars))

    def cancelled() -> bool:
        """Dask cannot stop a thread; the thread sees that nobody wants the task, or that the Dask worker ends."""
        state = worker.state.tasks.get(key)
        ends = worker.status in {Standing.closing, Standing.closed, Standing.failed}
        return ends or state is None or state.state == "cancelled"

    if reason := problem(task.meeting):
        send("refused", f"Dask worker {worker.address} {reason}")
        return
    try:
        open(task.meeting.folder / task.claim, "x").close()
    except FileExistsError:  # Dask tries again what a lost worker had begun; that is ours to count and to bound
        send("lost")
        return
    send("begun", worker.address)
    attempted = Attempted(RunFolder(task.run), task.deaths, task.seconds)
    try:
        task.workers.go_on([attempted], _Forward(send), cancelled)
    except HarnessError as error:
        send("refused", str(error))


class _Forward:
    """The listener of a run on a Dask worker: sends all that it is told to the one that submitted it."""

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
