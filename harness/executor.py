"""Several runs at once, each a process of its own, so that one that dies takes nothing with it."""

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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from harness.runs import RunFolder, Status, TraceRow, write_atomically
from harness.worker import Event, result

GRACE = 5.0
"""Seconds a worker has to end by itself before it is killed."""


class Listener(Protocol):
    """What is told how the runs go."""

    def started(self, run: RunFolder) -> None:
        """A worker has started."""

    def progress(self, run: RunFolder, done: float) -> None:
        """So many epochs are done, with fraction."""

    def epoch(self, run: RunFolder, row: TraceRow) -> None:
        """An epoch has ended."""

    def ended(self, run: RunFolder, status: Status, reason: str) -> None:
        """The run has a result."""

    def refused(self, run: RunFolder, reason: str) -> None:
        """The run cannot go on now and has no result; after a repair the same command goes on."""


@dataclass(frozen=True)
class Workers:
    """How workers are started.

    Attributes:
        jobs: how many run at once.
        device: PyTorch's name of it.
        data_directory: given to every worker.
        timeout: seconds after which a run is stopped as timed out; None: never.
        program: the module whose ``main`` a worker calls.
    """

    jobs: int
    device: str
    data_directory: Path | None
    timeout: float | None
    program: str = "harness.worker"

    def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
        """Run all folders. However it is left, by Ctrl-C too, no worker goes on."""
        waiting = deque(runs)
        running: list[_Worker] = []
        events: queue.Queue[tuple[_Worker, Event | None]] = queue.Queue()
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    run = waiting.popleft()
                    running.append(_Worker(run, self._start(run), events))
                    listener.started(run)
                for worker in running:
                    if self.timeout is not None and worker.age > self.timeout:
                        worker.late = True
                        worker.kill()
                    elif worker.process.poll() is not None:
                        worker.kill()  # what it started would keep its output open
                try:
                    worker, event = events.get(timeout=0.2)
                except queue.Empty:
                    continue
                if event is None:
                    running.remove(worker)
                    worker.close(self.timeout, listener)
                else:
                    worker.pass_on(event, listener)
        finally:
            for worker in running:
                worker.ask_to_end()
            for worker in running:
                worker.wait()

    def _start(self, run: RunFolder) -> subprocess.Popen[str]:
        """A worker in a session of its own: Ctrl-C reaches it through us alone."""
        # The working directory is not searched for modules, unless it is here: what is in it may be called anything.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {self.program} import main; main()"
        command = [sys.executable, "-c", code, str(run.path), "--device", self.device]
        if self.data_directory is not None:
            command += ["--data-dir", str(self.data_directory)]
        write_atomically(run.path / "log.txt", b"")
        with open(run.path / "log.txt", "ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )


@dataclass(eq=False)
class _Worker:
    """A running worker, and the thread that listens to it."""

    run: RunFolder
    process: subprocess.Popen[str]
    events: queue.Queue[tuple[_Worker, Event | None]]
    settled: bool = False  # whether it has said how it ended
    late: bool = False
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(ValueError):
                self.events.put((self, json.loads(line)))
        self.process.wait()
        self.events.put((self, None))

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun

    def kill(self) -> None:
        """End the worker, and whatever processes a plug-in has started in it."""
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of it; macOS calls that not permitted
            os.killpg(self.process.pid, signal.SIGKILL)

    def pass_on(self, event: Event, listener: Listener) -> None:
        """Tell the listener what the worker said."""
        match event["kind"]:
            case "progress":
                listener.progress(self.run, event["done"])
            case "epoch":
                listener.epoch(self.run, event["row"])
            case "ended":
                self.settled = True
                listener.ended(self.run, event["status"], event["reason"])
            case "refused":
                self.settled = True
                listener.refused(self.run, event["reason"])

    def close(self, timeout: float | None, listener: Listener) -> None:
        """Record the end of a worker that did not do so itself."""
        if self.settled:
            return
        if (ending := self.run.result) is not None:  # it died before it could say so
            listener.ended(self.run, ending["status"], ending["reason"])
            return
        status: Status = "failed"
        if self.late:
            status, reason = "timed out", f"longer than {timeout:g} seconds"
        else:
            reason = f"{_death(self.process.returncode)}; see {self.run.path / 'log.txt'}"
        begun = datetime.fromtimestamp(time.time() - self.age, timezone.utc).isoformat(timespec="seconds")
        ending = result(status, reason, self.run.read_trace(), begun, self.age)
        self.run.write_json("result.json", ending)
        listener.ended(self.run, status, reason)

    def ask_to_end(self) -> None:
        """Close the worker's standard input, on which it ends by itself."""
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
