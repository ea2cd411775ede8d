"""Several runs at once on this machine, each as a process of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Protocol, cast

from harness.config.study_options import RETRIES
from harness.errors import HarnessError
from harness.runs import checkpoint
from harness.runs.folder import RunFolder, write_atomically
from harness.runs.process import Event, now, result
from harness.runs.schema import Attempt, Status, TraceRow

GRACE = 5.0
"""Seconds a worker has to end by itself before it is killed."""

_SPIN_COUNT = "20000"
"""Number of times that an idle thread of a worker looks for work before it sleeps; the user's environment goes first.

GNU OpenMP's own value is for idle machines: with two threads, beside two other searches on two cores, a step of DARTS
took 7.7 s with it and 0.6 s with this; alone 0.04 s with it and 0.04 to 0.05 s with this.
"""

_MALLOC = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {"hugetlb": 1, "mmap_threshold": 2**25, "trim_threshold": 2**28, "mxfast": 0}.items()
)
"""Settings of the GNU C library's allocator in a worker; the user's environment goes first. They use huge pages, keep
the memory that a step has freed for the next one, and drop the list of small blocks, which is searched at every large
block freed.

A step of DARTS allocates the same feature maps again and again. Of five alternating runs of each, the median step took
68 ms with the first two and 70 ms without at C=8 and 16×16 pixels, 463 and 501 ms at C=16 and 32×32, with 590 MiB and
575 MiB of memory at most. Without that list it took 1 to 3 % less at C=8.
"""


def worker_environment() -> dict[str, str]:
    """Environment variables of a worker: those of this process, and settings of threads and memory it does not have."""
    idle = {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": _SPIN_COUNT}
    return {"GLIBC_TUNABLES": _MALLOC, **idle, **os.environ}


class Listener(Protocol):
    """Receives the events of runs."""

    def started(self, run: RunFolder) -> None:
        """A worker has started."""

    def progress(self, run: RunFolder, done: float) -> None:
        """The run has done this number of epochs, with fraction."""

    def epoch(self, run: RunFolder, row: TraceRow) -> None:
        """An epoch has ended."""

    def noted(self, run: RunFolder, text: str) -> None:
        """The worker has a line for the user."""

    def retried(self, run: RunFolder, reason: str) -> None:
        """The worker has died without a result; another will start from the last checkpoint."""

    def ended(self, run: RunFolder, status: Status, reason: str) -> None:
        """The run has a result."""

    def refused(self, run: RunFolder, reason: str) -> None:
        """The run cannot continue now and has no result; after a repair the same command continues it."""


class Executor(Protocol):
    """Works on runs: by processes of this machine, or of a cluster."""

    def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
        """Return when every run has ended or cannot continue. No worker is left behind, by Ctrl-C either."""


@dataclass
class QueuedRun:
    """A run to work on, with its earlier attempts.

    Attributes:
        deaths: number of its processes that died.
        seconds: time that its processes worked.
    """

    run: RunFolder
    deaths: int = 0
    seconds: float = 0.0

    def retry(self, death: str, retries: int, listener: Listener) -> bool:
        """Record a death in ``attempts.json``; tell the listener and return true if the run is to be tried again."""
        self.deaths += 1
        self.run.add_attempt(Attempt(ended=now(), reason=death, epochs=len(self.run.read_trace())))
        if self.deaths > retries:
            return False
        how = "goes on from its last checkpoint" if checkpoint.existing(self.run.path) else "starts again"
        listener.retried(self.run, f"{death}; {how} (retry {self.deaths} of {retries})")
        return True

    def fail(self, death: str, listener: Listener) -> None:
        """Record that the run failed by this death."""
        times = f", attempt {self.deaths} of {self.deaths}" if self.deaths > 1 else ""
        self.end("failed", f"{death}{times}; see {self.run.path / 'log.txt'}", listener)

    def end(self, status: Status, reason: str, listener: Listener) -> None:
        """Write the result of a run whose process did not write one."""
        begun = datetime.fromtimestamp(time.time() - self.seconds, UTC).isoformat(timespec="seconds")
        self.run.write_json("result.json", result(status, reason, self.run.read_trace(), begun, self.seconds))
        listener.ended(self.run, status, reason)


@dataclass(frozen=True)
class LocalExecutor:
    """An :class:`Executor` that starts a process on this machine for each run.

    Attributes:
        jobs: number of runs at once.
        device: PyTorch's name.
        data_directory: given to every worker.
        timeout: seconds after which a run is stopped as timed out; None: never.
        program: module whose ``main`` a worker calls.
        retries: number of times that a run is tried again whose process died without a result, for example by a
            signal. A method's own error, divergence and time-out are results.
        contents: bytes for the standard input of a run's worker, by the run's folder: a method by value.
    """

    jobs: int
    device: str
    data_directory: Path | None
    timeout: float | None
    program: str = "harness.search.worker"
    retries: int = RETRIES
    contents: Mapping[Path, bytes] = field(default_factory=dict, repr=False)

    def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
        """Run all folders; see :class:`Executor`."""
        self.run([QueuedRun(run) for run in runs], listener)

    def run(
        self, queued: Sequence[QueuedRun], listener: Listener, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Run folders that may have been tried before, until all have ended or ``cancelled`` returns true."""
        waiting = deque(queued)
        running: list[_Worker] = []
        events: queue.Queue[tuple[_Worker, Event | None]] = queue.Queue()
        try:
            while (waiting or running) and not cancelled():
                while waiting and len(running) < self.jobs:
                    due = waiting.popleft()
                    try:
                        running.append(
                            _Worker(due.run, self._start(due), events, due, self.contents.get(due.run.path, b""))
                        )
                    except HarnessError as error:  # of its folder; the others go on
                        listener.started(due.run)
                        listener.refused(due.run, str(error))
                        continue
                    listener.started(due.run)
                self._stop_overdue(running)
                try:
                    worker, event = events.get(timeout=0.2)
                except queue.Empty:
                    continue
                if event is None:
                    running.remove(worker)
                    worker.queued.seconds = worker.age
                    if worker.died and worker.queued.retry(worker.death, self.retries, listener):
                        waiting.append(worker.queued)  # behind the others: by then there may be memory again
                    else:
                        worker.close(self.timeout, listener)
                else:
                    worker.forward(event, listener)
        finally:
            for worker in running:
                worker.request_end()
            for worker in running:
                worker.wait()

    def _stop_overdue(self, running: Sequence[_Worker]) -> None:
        for worker in running:
            if self.timeout is not None and worker.age > self.timeout:
                worker.late = True
                worker.kill()
            elif worker.process.poll() is not None:
                worker.kill()  # what it started would keep its output open

    def _start(self, due: QueuedRun) -> subprocess.Popen[str]:
        """Start a worker in a session of its own, which Ctrl-C does not reach.

        Raises :class:`HarnessError` where there is no writing in the run's folder.
        """
        run = due.run
        run.check_there()
        # The working directory is not searched for modules, unless it is here: what is in it may be called anything.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {self.program} import main; main()"
        command = [sys.executable, "-c", code, str(run.path), "--device", self.device]
        if self.data_directory is not None:
            command += ["--data-dir", str(self.data_directory)]
        if content := self.contents.get(run.path):
            command += ["--content-bytes", str(len(content))]
        if not due.deaths:  # else the log says what came before
            write_atomically(run.path / "log.txt", b"")
        with self._log(run) as log:
            return subprocess.Popen(
                command,
                env=worker_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def _log(self, run: RunFolder) -> IO[bytes]:
        try:
            return open(run.path / "log.txt", "ab")
        except OSError as error:
            raise HarnessError(f"cannot write {run.path / 'log.txt'}: {error.strerror}; make it writable") from None


@dataclass(eq=False)
class _Worker:
    """A running worker, and the thread that reads its events."""

    run: RunFolder
    process: subprocess.Popen[str]
    events: queue.Queue[tuple[_Worker, Event | None]]
    queued: QueuedRun
    content: bytes = field(repr=False)
    settled: bool = False  # its last event has come
    late: bool = False
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdin is not None
        if self.content:  # in this thread: a pipe takes 64 KiB and then waits for the worker to read
            with suppress(OSError, ValueError):
                cast(TextIOWrapper, self.process.stdin).buffer.write(self.content)
                self.process.stdin.flush()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(ValueError):
                self.events.put((self, json.loads(line)))
        self.process.wait()
        self.events.put((self, None))

    @property
    def age(self) -> float:
        """Seconds since the start, with those of the run's earlier processes."""
        return self.queued.seconds + time.monotonic() - self.begun

    @property
    def died(self) -> bool:
        """True if a worker that has ended left no result and no last event, and was not stopped by us."""
        return not self.settled and not self.late and self.run.result is None

    @property
    def death(self) -> str:
        """The cause of a worker's death, for print."""
        return _death(self.process.returncode)

    def kill(self) -> None:
        """Kill the worker and all processes that a plug-in has started in it."""
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of it; macOS calls that not permitted
            os.killpg(self.process.pid, signal.SIGKILL)

    def forward(self, event: Event, listener: Listener) -> None:
        """Pass a worker's event to the listener."""
        match event["kind"]:
            case "progress":
                listener.progress(self.run, event["done"])
            case "epoch":
                listener.epoch(self.run, event["row"])
            case "note":
                listener.noted(self.run, event["note"])
            case "ended":
                self.settled = True
                listener.ended(self.run, event["status"], event["reason"])
            case "refused":
                self.settled = True
                listener.refused(self.run, event["reason"])

    def close(self, timeout: float | None, listener: Listener) -> None:
        """Record the end of a run whose worker did not."""
        if self.settled:
            return
        if (ending := self.run.result) is not None:  # it died before it could say so
            listener.ended(self.run, ending["status"], ending["reason"])
        elif self.late:
            self.queued.end("timed out", f"longer than {timeout:g} seconds", listener)
        else:
            self.queued.fail(self.death, listener)

    def request_end(self) -> None:
        """Close the worker's standard input; the worker then ends by itself."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def wait(self) -> None:
        """Return when the worker has ended; kill it if it does not."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        self.kill()
        self.process.wait()


def _death(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"
