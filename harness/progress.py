"""Progress of what takes long: drawn on a terminal and in a notebook, plain lines in files and pipes."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text


def drawable(console: Console) -> bool:
    """True if bars can be redrawn in place: on a terminal, and in a notebook that has ipywidgets."""
    return console.is_interactive or (console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None)


def duration(seconds: float) -> str:
    """Seconds for print: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Bar:
    """The progress of one step, on the standard error stream, from the first unit done on.

    It has the methods of a tqdm bar, since pooch calls those.

    Args:
        name: what is done.
        total: number of units; None until it is known.
        unit: what is counted, in the plural; ``bytes`` are drawn with their speed.
        lines: number of lines in a file or a pipe from begin to end; 0 for none.
        shown: show nothing if false.
        transient: leave nothing on the screen at the end.
        console: another stream.
    """

    def __init__(
        self,
        name: str,
        total: int | None = None,
        *,
        unit: str,
        lines: int = 10,
        shown: bool = True,
        transient: bool = False,
        console: Console | None = None,
    ) -> None:
        console = console or Console(stderr=True, highlight=False)
        counts = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
        name_column = TextColumn("{task.description}", markup=False)
        self._progress = Progress(
            *(name_column, BarColumn(), *counts, TimeElapsedColumn(), TimeRemainingColumn()),
            console=console,
            transient=transient,
            disable=not (shown and drawable(console)),
        )
        self._progress.add_task(name, total=total)
        (self._task,) = self._progress.tasks
        self._unit = unit
        self._lines = lines if shown and self._progress.disable else 0
        self._printed = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def total(self) -> int | None:
        """Number of units; None while it is not known."""
        return None if self._task.total is None else int(self._task.total)

    @total.setter
    def total(self, total: int) -> None:
        self._progress.update(self._task.id, total=total or None)

    def update(self, count: int) -> None:
        """Count more units as done."""
        self._progress.start()
        self._progress.advance(self._task.id, count)
        if not self.total or not self._lines:
            return
        done = min(int(self._task.completed), self.total)
        if (reached := done * self._lines // self.total) > self._printed:
            self._printed = reached
            text = f"{self._task.description}: {done:,} of {self.total:,} {self._unit} ({100 * done // self.total} %)"
            self._progress.console.print(Text(text), soft_wrap=True)

    def set(self, done: int, total: int) -> None:
        """Set the units done and all units."""
        self.total = total
        self.update(done - int(self._task.completed))

    def reset(self) -> None:
        """Count from 0 again."""
        self._progress.reset(self._task.id)

    def close(self) -> None:
        """End the drawing."""
        self._progress.stop()


class StudyProgress(Progress):
    """The progress of several runs at once; a context manager.

    Drawn: a line for each run that works, and the progress of all runs below. In files and pipes: a line when a run
    starts, and for each tenth of it. In a notebook without ipywidgets: these lines one in the place of the other.

    Args:
        console: where to show it.
        runs: number of runs to do.
        epochs: number of epochs of these runs together.
        clock: gives seconds.
    """

    def __init__(self, console: Console, runs: int, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        # before the base class, which draws a first picture
        self._runs, self._epochs = runs, epochs
        self._ended_runs = 0
        self._ended_epochs = 0.0
        self._worked_epochs = 0.0  # in this session, by runs that have ended
        self._clock = clock
        self._begun = clock()
        self._notebook_line: Any = None  # IPython's handle of the line that is replaced
        super().__init__(
            *_run_columns(),
            console=console,
            get_time=clock,
            refresh_per_second=4,
            transient=True,
            disable=not drawable(console),
        )

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(Text(text), soft_wrap=self.disable)

    def _say_now(self, text: str) -> None:
        """Print a line on the state of a run; in a notebook it replaces the line before."""
        if not self.console.is_jupyter:
            self.say(text)
            return
        from IPython.display import display

        shown = {"text/plain": text}
        if self._notebook_line is None:
            self._notebook_line = display(shown, raw=True, display_id=True)
        else:
            self._notebook_line.update(shown, raw=True)

    def add_run(self, name: str, epochs: int) -> TaskID:
        """Show a run that starts."""
        if self.disable:
            self._say_now(f"{name}: started")
        return self.add_task(name, start=False, total=epochs, first=None, loss="", skips="", accuracy="")

    def resume_run(self, run: TaskID, epochs_done: int) -> None:
        """Count a run from these epochs on, when its next process takes it up."""
        self.reset(run, start=False, completed=epochs_done)
        self.update(run, first=None)

    def advance_run(self, run: TaskID, epochs_done: float) -> None:
        """Note the epochs done, with fraction. The time left is estimated from the first call on."""
        if self._task(run).fields["first"] is None:
            self.start_task(run)
            self.update(run, first=float(int(epochs_done)))
        self.update(run, completed=epochs_done)

    def describe_run(self, run: TaskID, loss: float | None, skips: int | None, accuracy: str) -> None:
        """Note the last epoch: training loss, skip connections of the derived cell, its accuracies for print."""
        self.update(
            run,
            loss="" if loss is None else f"loss {loss:.3f}",
            skips="" if skips is None else f"{skips} skip{'' if skips == 1 else 's'}",
            accuracy=accuracy,
        )

    def end_epoch(self, run: TaskID) -> None:
        """Print a line in a file or a pipe if another tenth of the run is done."""
        task = self._task(run)
        done, total = int(task.completed), int(task.total or 0)
        if self.disable and done * 10 // total > (done - 1) * 10 // total:
            left = f"{_left(task)} left" if done < total and _left(task) else ""
            fields = (task.fields[name] for name in ("loss", "accuracy", "skips"))
            parts = [f"epoch {done}/{total}", *fields, left]
            self._say_now(f"{task.description}: " + ", ".join(part for part in parts if part))

    def end_run(self, run: TaskID) -> None:
        """Show a run no more, since it has ended or stopped."""
        task = self._task(run)
        self._ended_runs += 1
        self._ended_epochs += task.total or 0.0
        self._worked_epochs += _worked(task)
        self.remove_task(run)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines of the runs, and the line of all."""
        yield self.make_tasks_table(self.tasks)
        elapsed = self._clock() - self._begun
        total = f"{self._ended_runs} of {self._runs} runs done, {duration(elapsed)} so far"
        worked = self._worked_epochs + sum(_worked(task) for task in self.tasks)
        if worked >= 1:
            done = self._ended_epochs + sum(task.completed for task in self.tasks)
            total += f", about {duration(elapsed / worked * max(0.0, self._epochs - done))} left"
        yield Text(total, style="dim")

    def _task(self, run: TaskID) -> Task:
        return next(task for task in self.tasks if task.id == run)


def _run_columns() -> list[ProgressColumn]:
    """Method and seed, bar, epoch, loss, accuracy, skip connections, time left."""
    fields = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("loss", "accuracy", "skips")]
    epoch, left = (kind(table_column=Column(no_wrap=True)) for kind in (_Epoch, _TimeLeft))
    return [TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), epoch, *fields, left]


class _Epoch(ProgressColumn):
    """The epoch that is worked on, from 1."""

    def render(self, task: Task) -> Text:
        total = int(task.total or 0)
        return Text(f"epoch {min(int(task.completed) + 1, total)}/{total}")


class _TimeLeft(ProgressColumn):
    """Time left by the pace since this session took the run up; rich's own column forgets all but 30 s."""

    def render(self, task: Task) -> Text:
        return Text(_left(task))


def _worked(task: Task) -> float:
    """Epochs done in this session."""
    first = task.fields["first"]
    return 0.0 if first is None else task.completed - first


def _left(task: Task) -> str:
    """Estimated time left of a run, for print; empty while there is nothing to estimate from."""
    worked = _worked(task)
    if worked < 0.5 or task.elapsed is None:
        return ""
    return duration(task.elapsed / worked * ((task.total or 0.0) - task.completed))
