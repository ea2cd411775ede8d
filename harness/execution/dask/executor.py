"""Submit runs to a Dask cluster, follow their events, and submit those again whose Dask worker is lost."""

from __future__ import annotations

import os
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from harness.errors import HarnessError
from harness.execution.dask.compatibility import Compatibility
from harness.execution.dask.task import Task, work
from harness.execution.local import GRACE, Listener, LocalExecutor, QueuedRun
from harness.runs.folder import RunFolder

if TYPE_CHECKING:
    from distributed import Client, Future

VISIBLE = 60.0
"""Seconds until a file of one machine is visible on another; NFS caches that a file was absent."""

GONE = (
    "the Dask scheduler is gone or has cancelled the runs; their checkpoints are kept, and once it answers the same "
    "command goes on"
)

Message = tuple[str, str, Sequence[Any]]
"""An event of a task: its key, the kind of event, and the event's arguments."""


class DaskExecutor:
    """An :class:`Executor` for the workers of a Dask cluster."""

    def __init__(
        self, client: Client, compatibility: Compatibility, resources: Mapping[str, float], local: LocalExecutor
    ) -> None:
        self.client, self.compatibility, self.resources, self.local = client, compatibility, resources, local

    def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
        """Run all folders; see :class:`Executor`. Raises :class:`HarnessError` where the scheduler is lost."""
        events: queue.Queue[Message] = queue.Queue()
        waiting = deque(QueuedRun(run) for run in runs)
        self._check_scheduler()
        running: dict[str, _SubmittedRun] = {}
        self.client.subscribe_topic(self.compatibility.folder.name, lambda event: events.put(tuple(event[1])))
        try:
            while waiting or running:
                while waiting and len(running) < self.local.jobs:
                    submitted = self._submit(waiting.popleft(), events)
                    running[submitted.key] = submitted
                key, kind, details = events.get()
                if key not in running:
                    continue
                submitted = running[key]
                submitted.handle(kind, details, listener)
                lost = kind == "lost" or (kind == "done" and self._lost(submitted, listener))
                if lost or submitted.settled:
                    del running[key]
                if lost and submitted.retry(self.local.retries, listener):
                    waiting.append(submitted.queued)
        finally:
            self._cancel(running.values())

    def _check_scheduler(self) -> None:
        """Raise :class:`HarnessError` where Dask has given up on the scheduler."""
        if self.client.status in {"closing", "closed"}:
            raise HarnessError(GONE)

    def _submit(self, due: QueuedRun, events: queue.Queue[Message]) -> _SubmittedRun:
        self._check_scheduler()
        claim = uuid.uuid4().hex
        run = Path(os.path.abspath(due.run.path))
        task = Task(self.compatibility, claim, run, due.deaths, due.seconds, replace(self.local, jobs=1))
        key = f"{run.parent.name}/{run.name}-{claim}"
        future = self.client.submit(work, task, key=key, pure=False, resources=dict(self.resources))
        future.add_done_callback(lambda _: events.put((key, "done", ())))
        return _SubmittedRun(due, key, future)

    def _lost(self, submitted: _SubmittedRun, listener: Listener) -> bool:
        """True if a task is done but the last event of its run is missing: its Dask worker was lost."""
        from distributed import KilledWorker

        future = submitted.future
        if future.status in {"cancelled", "lost"}:
            raise HarnessError(GONE)
        error = future.exception() if future.status == "error" else None
        if error is None or isinstance(error, KilledWorker):
            return True
        submitted.handle("refused", (f"its Dask worker failed: {of_worker(error)}",), listener)
        return False

    def _cancel(self, left: Iterable[_SubmittedRun]) -> None:
        """Cancel submitted runs; return when their processes have ended, or after twice :data:`GRACE` seconds."""
        left = list(left)
        if not left or self.client.status != "running":  # without a scheduler, Dask workers end by themselves
            return
        with suppress(Exception):  # as above
            self.client.cancel([submitted.future for submitted in left], force=True)
        deadline = time.monotonic() + 2 * GRACE
        for submitted in left:
            if submitted.worker:
                lock = FileLock(submitted.queued.run.path / ".lock")
                with suppress(Timeout):
                    lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
                lock.release()


@dataclass(eq=False)
class _SubmittedRun:
    """A run that was submitted to the cluster."""

    queued: QueuedRun
    key: str
    future: Future[Any]
    worker: str = ""  # address of the Dask worker that has begun
    begun: float = 0.0
    announced: bool = False  # the listener was told that it started
    settled: bool = False  # its last event has come

    def handle(self, kind: str, details: Sequence[Any], listener: Listener) -> None:
        """Pass an event of the task to the listener."""
        run = self.queued.run
        if kind == "begun":
            (self.worker,), self.begun = details, time.monotonic()
        elif kind == "started":
            self.announced = True
            listener.started(run)
        elif kind not in {"lost", "done"}:
            self._announce(listener)
            self.queued.deaths += kind == "retried"
            self.settled = kind in {"ended", "refused"}
            if kind == "ended":
                self._await_result()
            getattr(listener, kind)(run, *details)

    def retry(self, retries: int, listener: Listener) -> bool:
        """Record that the Dask worker was lost; returns whether the run is to be submitted again."""
        if self.begun:
            self.queued.seconds += time.monotonic() - self.begun
        run = self.queued.run
        os.listdir(run.path)  # as below
        if (ending := run.result) is not None:  # it was lost before it could say so
            self.handle("ended", (ending["status"], ending["reason"]), listener)
            return False
        death = f"its Dask worker{f' {self.worker}' * bool(self.worker)} was lost"
        self._announce(listener)
        if self.queued.retry(death, retries, listener):
            return True
        self.queued.fail(death, listener)
        return False

    def _announce(self, listener: Listener) -> None:
        """Tell the listener that the run has started, unless it knows."""
        if not self.announced:
            self.announced = True
            listener.started(self.queued.run)

    def _await_result(self) -> None:
        """Return when the result that another machine has written is visible."""
        folder, deadline = self.queued.run.path, time.monotonic() + VISIBLE
        while "result.json" not in os.listdir(folder) and time.monotonic() < deadline:  # listing refreshes NFS's memory
            time.sleep(0.2)


def of_worker(error: BaseException) -> str:
    """An exception of a Dask worker in one line, with advice where it lacks the harness."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text + "; install nas-harness[dask] of the same version there" * isinstance(error, ImportError)
