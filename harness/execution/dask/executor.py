"""Submitting runs to a cluster, hearing of them, and what becomes of those whose Dask worker is lost."""

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
from harness.execution.dask.compatibility import Meeting
from harness.execution.dask.task import Task, work
from harness.execution.local import GRACE, Attempted, Listener, Workers
from harness.runs.folder import RunFolder

if TYPE_CHECKING:
    from distributed import Client, Future

VISIBLE = 60.0
"""Seconds within which a file that one machine has written is there for another: NFS remembers what was absent."""

GONE = (
    "the Dask scheduler is gone or has cancelled the runs; their checkpoints are kept, and once it answers the same "
    "command goes on"
)

Message = tuple[str, str, Sequence[Any]]
"""Of a task: its key, what happened, and the particulars."""


class Submissions:
    """An :class:`Executor` whose workers are a cluster's."""

    def __init__(self, client: Client, meeting: Meeting, resources: Mapping[str, float], workers: Workers) -> None:
        self.client, self.meeting, self.resources, self.workers = client, meeting, resources, workers

    def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
        """Run all folders; see :class:`Executor`. Raises :class:`HarnessError` where the scheduler is lost."""
        heard: queue.Queue[Message] = queue.Queue()
        waiting = deque(Attempted(run) for run in runs)
        self._check_scheduler()
        running: dict[str, _Submitted] = {}
        self.client.subscribe_topic(self.meeting.folder.name, lambda event: heard.put(tuple(event[1])))
        try:
            while waiting or running:
                while waiting and len(running) < self.workers.jobs:
                    submitted = self._submit(waiting.popleft(), heard)
                    running[submitted.key] = submitted
                key, what, particulars = heard.get()
                if key not in running:
                    continue
                submitted = running[key]
                submitted.hear(what, particulars, listener)
                lost = what == "lost" or (what == "done" and self._lost(submitted, listener))
                if lost or submitted.settled:
                    del running[key]
                if lost and submitted.tried_again(self.workers.retries, listener):
                    waiting.append(submitted.attempted)
        finally:
            self._call_off(running.values())

    def _check_scheduler(self) -> None:
        """Raise :class:`HarnessError` where Dask has given up on the scheduler."""
        if self.client.status in {"closing", "closed"}:
            raise HarnessError(GONE)

    def _submit(self, due: Attempted, heard: queue.Queue[Message]) -> _Submitted:
        self._check_scheduler()
        claim = uuid.uuid4().hex
        run = Path(os.path.abspath(due.run.path))
        task = Task(self.meeting, claim, run, due.deaths, due.seconds, replace(self.workers, jobs=1))
        key = f"{run.parent.name}/{run.name}-{claim}"
        future = self.client.submit(work, task, key=key, pure=False, resources=dict(self.resources))
        future.add_done_callback(lambda _: heard.put((key, "done", ())))
        return _Submitted(due, key, future)

    def _lost(self, submitted: _Submitted, listener: Listener) -> bool:
        """Of a task that is done and has not said how its run ended: whether its worker was lost."""
        from distributed import KilledWorker

        future = submitted.future
        if future.status in {"cancelled", "lost"}:
            raise HarnessError(GONE)
        error = future.exception() if future.status == "error" else None
        if error is None or isinstance(error, KilledWorker):
            return True
        submitted.hear("refused", (f"its Dask worker failed: {of_worker(error)}",), listener)
        return False

    def _call_off(self, left: Iterable[_Submitted]) -> None:
        """Cancel what is submitted, and return when no process works in its folder any more, or does not end."""
        left = list(left)
        if not left or self.client.status != "running":  # without a scheduler, Dask workers end by themselves
            return
        with suppress(Exception):  # as above
            self.client.cancel([submitted.future for submitted in left], force=True)
        deadline = time.monotonic() + 2 * GRACE
        for submitted in left:
            if submitted.worker:
                lock = FileLock(submitted.attempted.run.path / ".lock")
                with suppress(Timeout):
                    lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
                lock.release()


@dataclass(eq=False)
class _Submitted:
    """A run that the cluster has."""

    attempted: Attempted
    key: str
    future: Future[Any]
    worker: str = ""  # address of the Dask worker that has begun
    begun: float = 0.0
    told: bool = False  # whether the listener knows of it
    settled: bool = False  # whether it was said how the run ended

    def hear(self, what: str, particulars: Sequence[Any], listener: Listener) -> None:
        """Tell the listener what the task said."""
        run = self.attempted.run
        if what == "begun":
            (self.worker,), self.begun = particulars, time.monotonic()
        elif what == "started":
            self.told = True
            listener.started(run)
        elif what not in {"lost", "done"}:
            self._make_known(listener)
            self.attempted.deaths += what == "retried"
            self.settled = what in {"ended", "refused"}
            if what == "ended":
                self._await_result()
            getattr(listener, what)(run, *particulars)

    def tried_again(self, retries: int, listener: Listener) -> bool:
        """Record that the Dask worker was lost; whether the run is to be submitted again."""
        if self.begun:
            self.attempted.seconds += time.monotonic() - self.begun
        run = self.attempted.run
        os.listdir(run.path)  # as below
        if (ending := run.result) is not None:  # it was lost before it could say so
            self.hear("ended", (ending["status"], ending["reason"]), listener)
            return False
        death = f"its Dask worker{f' {self.worker}' * bool(self.worker)} was lost"
        self._make_known(listener)
        if self.attempted.tried_again(death, retries, listener):
            return True
        self.attempted.fail(death, listener)
        return False

    def _make_known(self, listener: Listener) -> None:
        """Say that the run has started, if what is to be said next comes before it does."""
        if not self.told:
            self.told = True
            listener.started(self.attempted.run)

    def _await_result(self) -> None:
        """Return when the result that another machine has written is there."""
        place, deadline = self.attempted.run.path, time.monotonic() + VISIBLE
        while "result.json" not in os.listdir(place) and time.monotonic() < deadline:  # listing refreshes NFS's memory
            time.sleep(0.2)


def of_worker(error: BaseException) -> str:
    """An exception of a Dask worker in one line, with what helps where it lacks the harness."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text + "; install nas-harness[dask] of the same version there" * isinstance(error, ImportError)
