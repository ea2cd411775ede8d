"""One run, as a process of its own, which :mod:`harness.execution.local` starts with the run's folder as argument.

Reads the folder's ``config.json``, does the work that it is handed (:data:`Work`: a search or a training), and leaves
trace, checkpoint and result in the folder. Tells its parent how it goes by lines of JSON on standard output (see
:class:`Event`); what else is printed goes to ``log.txt``. It ends when its standard input closes, that is when its
parent is gone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

from filelock import FileLock, Timeout

from harness.errors import Diverged, HarnessError, failure
from harness.runs import checkpoint
from harness.runs.folder import RunFolder
from harness.runs.schema import OVER, RunResult, Status, TraceRow, search_seconds

INTERRUPTED = 130
"""Exit code of a worker whose parent is gone."""


class Event(TypedDict, total=False):
    """A line of a worker's standard output."""

    kind: Literal["progress", "epoch", "note", "ended", "refused"]
    done: float  # epochs done, with fraction
    row: TraceRow  # of the epoch that ended
    status: Status
    note: str  # what the user should know, in a line
    reason: str  # why it ended so, or why it cannot go on (refused: nothing is recorded; the same command goes on)


Emit = Callable[[Event], None]


class EpochByEpoch(Protocol):
    """A search, or whatever else has epochs and can go on after any of them."""

    def run_epoch(self, epoch: int, tick: Callable[[float], None], /) -> TraceRow:
        """One epoch, from 0, and its row. Raises :class:`Diverged`."""

    def alphas(self) -> dict[str, Any] | None:
        """The entry of this epoch in ``alphas.json``; None where there is no such file."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the epochs to come depend on."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go on where :meth:`state_dict` was taken."""


Work = Callable[["Progress", Path | None, str, Emit], dict[str, Any]]
"""All of a run, from its progress, the data directory, the device and where to tell; more fields of the result."""


def main(work: Work) -> None:
    """Work on the run whose folder is named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--content-bytes", type=int, default=0, help="length of what comes on standard input")
    arguments = parser.parse_args()
    emit = _events_only_on_stdout()
    content = sys.stdin.buffer.read(arguments.content_bytes)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run(RunFolder(arguments.folder), arguments.data_dir, arguments.device, emit, work, content)
    except HarnessError as error:
        emit({"kind": "refused", "reason": str(error)})


def _events_only_on_stdout() -> Emit:
    """Keep standard output for events; whatever plug-ins and libraries print goes to standard error instead."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), line_buffering=True)

    def emit(event: Event) -> None:
        with suppress(BrokenPipeError):
            print(json.dumps(event), file=channel, flush=True)

    return emit


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(INTERRUPTED)


def run(
    folder: RunFolder, data_directory: Path | None, device: str, emit: Emit, work: Work, content: bytes = b""
) -> None:
    """Work until the run has a result; ``content`` is handed to the work.

    Raises :class:`HarnessError` where the run could go on after a repair.
    """
    lock = FileLock(folder.path / ".lock", timeout=0)
    try:
        with lock:
            _run(folder, data_directory, device, emit, work, content)
    except Timeout:
        raise HarnessError(f"another process is working in {folder.path}; wait for it or stop it") from None


def _run(folder: RunFolder, data_directory: Path | None, device: str, emit: Emit, work: Work, content: bytes) -> None:
    folder.check_there()
    _record_environment(folder, device)
    progress = Progress(folder, content)
    status: Status = "finished"
    reason = ""
    more: dict[str, Any] = {}
    try:
        more = work(progress, data_directory, device, emit)
    except Diverged as error:
        status, reason = "diverged", str(error)
    except HarnessError:
        raise
    except Exception as error:
        traceback.print_exc()
        status, reason = "failed", failure(error)
    folder.check_there()
    ending = result(status, reason, progress.rows, progress.started, progress.seconds)
    folder.write_json("result.json", {**ending, **more})
    if status in OVER:
        checkpoint.delete(folder.path)
    emit({"kind": "ended", "status": status, "reason": reason})


def _record_environment(folder: RunFolder, device: str) -> None:
    """Note what the run runs on, which need not be the machine it was asked for on."""
    from harness.runs.environment import check_device, environment

    check_device(device)
    known = folder.read_json("environment.json") or {}
    facts = environment(device, known.get("jobs", 1), known.get("threads", 1))
    folder.write_json("environment.json", {**known, **facts})


def result(status: Status, reason: str, rows: list[TraceRow], started: str, seconds: float) -> RunResult:
    """The result of a run that has ended with these rows, ``seconds`` after it started."""
    last = rows[-1] if rows else None
    searched = search_seconds(last) if last else 0.0
    here = searched - last.get("simulated_seconds", 0.0) if last else 0.0
    done = last if status == "finished" else None
    return RunResult(
        status=status,
        reason=reason,
        architecture=done["architecture"] if done else None,
        index=done["index"] if done else None,
        search_seconds=searched,
        other_seconds=max(0.0, seconds - here),
        started=started,
        ended=now(),
    )


class Progress:
    """The progress of a run: its trace, α history, clock and checkpoint.

    Attributes:
        content: bytes that came with the run, such as a method by value.
    """

    def __init__(self, folder: RunFolder, content: bytes = b"") -> None:
        self.folder, self.content = folder, content
        self.rows: list[TraceRow] = []
        self.alphas: list[Any] = []
        self.started = now()
        self._earlier = 0.0
        self._clock = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of the run so far, without interruptions."""
        return self._earlier + time.perf_counter() - self._clock

    def resume(self, search: EpochByEpoch, emit: Emit) -> None:
        """Go on from the newest checkpoint that can be used, if there is any, and note which one could not.

        What trace and α history hold beyond it is dropped. Raises :class:`HarnessError` where none can be used.
        """
        refused: list[str] = []
        rows, alphas = self.folder.read_trace(), self.folder.read_json("alphas.json") or []
        for file in checkpoint.existing(self.folder.path):
            try:
                state = checkpoint.read(file)
                search.load_state_dict(state["search"])
            except Exception as error:
                refused.append(f"{file.name} cannot be read ({type(error).__name__})")
                continue
            epochs = state["epochs"]
            if len(rows) < epochs or (search.alphas() and len(alphas) < epochs):
                refused.append(f"{file.name} is ahead of its trace")
                continue
            self.started, self._earlier = state["started"], state["seconds"]
            self.rows, self.alphas = rows[:epochs], alphas[:epochs]
            if refused:
                checkpoint.delete_newest(self.folder.path)  # lest it takes the place of the one that was used
                self._write_history()
                emit({"kind": "note", "note": f"{refused[0]}; goes on from {file.name}, after epoch {epochs}"})
            return
        if refused:
            raise HarnessError(f"{' and '.join(refused)}; delete {self.folder.path} and run again")

    def to_the_end(self, search: EpochByEpoch, epochs: int, emit: Emit) -> None:
        """The epochs that are left, each recorded and checkpointed."""
        for epoch in range(len(self.rows), epochs):
            pace = Pace()

            def tick(fraction: float, epoch: int = epoch, pace: Pace = pace) -> None:
                if pace.due():
                    emit({"kind": "progress", "done": epoch + fraction})

            self.rows.append(search.run_epoch(epoch, tick))
            if (alphas := search.alphas()) is not None:
                self.alphas.append(alphas)
            self._save(search)
            emit({"kind": "epoch", "done": epoch + 1, "row": self.rows[-1]})

    def _save(self, search: EpochByEpoch) -> None:
        """The checkpoint last: what it counts is then surely in the other files."""
        self._write_history()
        state = {"epochs": len(self.rows), "started": self.started, "seconds": self.seconds}
        checkpoint.save(self.folder.path, {**state, "search": search.state_dict()})

    def _write_history(self) -> None:
        self.folder.check_there()
        self.folder.write_trace(self.rows)
        if self.alphas:
            self.folder.write_json("alphas.json", self.alphas)


class Pace:
    """Says when half a second has passed."""

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """True if it is time again."""
        moment = time.monotonic()
        if moment < self._next:
            return False
        self._next = moment + 0.5
        return True


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
