"""Working on planned runs: workers search, cells are looked up, MLflow mirrors, a display shows the progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import TaskID

from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.execution.local import Executor
from harness.progress import StudyProgress
from harness.runs import checkpoint
from harness.runs.folder import RunFolder
from harness.runs.schema import OVER, Status, TraceRow, TrainingResult
from harness.study.lookup import record_accuracies
from harness.study.planned_run import PlannedRun, prepare_folder, state_of
from harness.tracking.delivery import Draw
from harness.tracking.metrics import Accuracy
from harness.tracking.mirror import Mirror

logger = logging.getLogger("harness")


def run_planned(
    runs: Sequence[PlannedRun],
    table: TabularBenchmark | None,
    executor: Executor,
    environment: dict[str, Any],
    *,
    fresh: bool,
    track: bool,
    draw: Draw | None = None,
) -> int:
    """Work on every planned run that is not finished; returns the number of runs that did not finish.

    Args:
        runs: searches or trainings; with ``fresh``, what they left before is deleted first.
        table: where derived cells are looked up; None: nowhere.
        executor: works on the runs.
        environment: facts recorded with every run.
        fresh: start over.
        track: mirror the runs into MLflow.
        draw: draws a cell for MLflow; None: no pictures.

    Raises :class:`HarnessError` where another process works on runs of the same methods in the same study, and where a
    folder cannot be written.
    """
    folders = {run.folder.path.parent for run in runs if fresh or not run.cached}
    with claim(*folders):
        # between plan and claim another command may have ended some of them
        runs = [replace(run, state=state_of(run.folder)) for run in runs]
        todo = [run for run in runs if fresh or not run.cached]
        return _work(runs, todo, table, executor, environment, fresh, track, draw)


@contextmanager
def claim(*folders: Path) -> Iterator[None]:
    """Keep other commands from working in label folders meanwhile; with ``--fresh`` they would delete them.

    Raises :class:`HarnessError` where another command works in one of them.
    """
    with ExitStack() as claims:
        for folder in sorted(folders):
            claims.enter_context(_claim(folder))
        yield


@contextmanager
def _claim(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise HarnessError(
            f"another harness run is working in {folder}; wait for it or stop it; searches can go under another --study"
        ) from None
    except OSError as error:
        raise HarnessError(f"cannot write in {folder}: {error.strerror}; choose another --runs folder") from None
    try:
        yield
    finally:
        lock.release()


def _work(
    runs: Sequence[PlannedRun],
    todo: Sequence[PlannedRun],
    table: TabularBenchmark | None,
    executor: Executor,
    environment: dict[str, Any],
    fresh: bool,
    track: bool,
    draw: Draw | None,
) -> int:
    console, epochs = Console(stderr=True, highlight=False), sum(run.config["epochs"] for run in todo)
    screen = StudyProgress(console, len(todo), epochs)
    mirror = Mirror(screen.say, draw, _by_dataset(table) if table else None) if track else None
    session = _StudyListener(runs, table, screen, mirror)
    try:
        with screen:
            session.report_cached(todo)
            for run in todo:
                prepare_folder(run, environment, fresh)
            executor.execute([run.folder for run in todo], session)
    finally:
        late = mirror.close() if mirror else []
        if late:
            count = f"{len(late)} runs are" if len(late) > 1 else "1 run is"
            screen.say(f"{count} not in MLflow yet; deliver with: harness sync")
    return session.unfinished


def mirror_added(runs: Sequence[RunFolder], draw: Draw | None = None) -> None:
    """Deliver what has been added to runs that have ended; an outage delays it until ``harness sync``."""
    mirror = Mirror(StudyProgress(Console(stderr=True, highlight=False), 0, 0).say, draw)
    for run in runs:
        mirror.touch(run.path)
    mirror.close()


def _by_dataset(table: TabularBenchmark) -> Accuracy:
    return lambda index: {dataset: float(table.test_accuracy(dataset)[index]) for dataset in table.datasets}


class _StudyListener:
    """The listener of a study's workers.

    Attributes:
        unfinished: how many runs ended without finishing, or could not go on.
    """

    def __init__(
        self, runs: Sequence[PlannedRun], table: TabularBenchmark | None, screen: StudyProgress, mirror: Mirror | None
    ) -> None:
        self._runs = {run.folder.path: run for run in runs}
        self._shown: dict[Path, TaskID] = {}
        self._table, self._screen, self._mirror = table, screen, mirror
        self.unfinished = 0

    def report_cached(self, todo: Sequence[PlannedRun]) -> None:
        """Show the runs that there is nothing to do for, and look them up if need be."""
        for run in self._runs.values():
            if run not in todo:
                checkpoint.delete(run.folder.path)  # its worker may have been killed before it could
                self._look_up(run.folder)
                self._say(f"{run.name}: {self._outcome(run.folder)} (cached)")
                self.unfinished += run.state != "finished"
                self._touch(run.folder)

    def started(self, run: RunFolder) -> None:
        planned = self._runs[run.path]
        rows = run.read_trace() if checkpoint.existing(run.path) else []
        if rows:
            self._say(f"{planned.name}: goes on after epoch {len(rows)} of {planned.config['epochs']}")
        if run.path not in self._shown:
            self._shown[run.path] = self._screen.add_run(planned.name, planned.config["epochs"])
        self._screen.resume_run(self._shown[run.path], len(rows))
        if rows:
            self._describe(run, rows[-1])
        self._touch(run)

    def progress(self, run: RunFolder, done: float) -> None:
        self._screen.advance_run(self._shown[run.path], done)

    def epoch(self, run: RunFolder, row: TraceRow) -> None:
        self._screen.advance_run(self._shown[run.path], row["epoch"])
        self._describe(run, row)
        self._screen.end_epoch(self._shown[run.path])
        self._touch(run)

    def _describe(self, run: RunFolder, row: TraceRow) -> None:
        skips = row["operations"].get("skip_connect")
        self._screen.describe_run(self._shown[run.path], row["train_loss"], skips, self._accuracy(run, row))

    def noted(self, run: RunFolder, text: str) -> None:
        self._say(f"{self._runs[run.path].name}: {text}")

    def retried(self, run: RunFolder, reason: str) -> None:
        self._say(f"{self._runs[run.path].name}: {reason}")

    def ended(self, run: RunFolder, status: Status, reason: str) -> None:
        if status in OVER:
            checkpoint.delete(run.path)  # as above
        self._look_up(run)
        self._screen.end_run(self._shown.pop(run.path))
        self._say(f"{self._runs[run.path].name}: {self._outcome(run)}")
        self.unfinished += status != "finished"
        self._touch(run)

    def refused(self, run: RunFolder, reason: str) -> None:
        self._screen.end_run(self._shown.pop(run.path))
        self._say(f"{self._runs[run.path].name}: stopped: {reason}")
        self.unfinished += 1

    def _say(self, text: str) -> None:
        """Show a line, and log it for a program that embeds the harness."""
        self._screen.say(text)
        logger.info("%s", text)

    def _touch(self, run: RunFolder) -> None:
        if self._mirror:
            self._mirror.touch(run.path)

    def _look_up(self, run: RunFolder) -> None:
        if self._table:
            record_accuracies(run, self._table)

    def _accuracy(self, run: RunFolder, row: TraceRow) -> str:
        """The table's accuracies of a row's cell, for print: on its first dataset, and on the one searched on."""
        if self._table is None:
            return ""
        searched = self._runs[run.path].config["dataset"]
        shown = [name for position, name in enumerate(self._table.datasets) if position == 0 or name == searched]
        return ", ".join(f"{name} {self._table.test_accuracy(name)[row['index']]:.2f} %" for name in shown)

    def _outcome(self, run: RunFolder) -> str:
        """The end of a run, in a line."""
        result: TrainingResult = run.read_json("result.json")
        if result["status"] != "finished":
            return f"{result['status']}: {result['reason']}"
        last = run.read_trace()[-1]
        accuracy = self._accuracy(run, last)
        if "test_accuracy" in result:
            accuracy = f"test accuracy {result['test_accuracy']:.2f} %"
        simulated = last.get("simulated_seconds", 0.0)
        seconds = f"{result['search_seconds'] - simulated:.1f} s" + (
            f" and {simulated:,.0f} simulated s" * bool(simulated)
        )
        return f"{accuracy or 'finished'} in {seconds}, {result['architecture']}"
