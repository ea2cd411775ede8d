"""What a user sees while a study runs: a live line a running seed on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from harness.runs.schema import TraceRow


@dataclass
class Line:
    """One run, as shown.

    Attributes:
        name: method and seed.
        epochs: of the whole run.
        done: epochs done, with fraction.
        row: the last epoch's; None before the first.
        accuracy: what the table says of the row's cell, on a dataset or two, for print; empty where nothing.
    """

    name: str
    epochs: int
    done: float = 0.0
    row: TraceRow | None = None
    accuracy: str = ""
    begun: float = field(default_factory=time.monotonic)
    done_before: float | None = None  # where this session took up the run

    def advance(self, done: float) -> None:
        """Note how far the run is."""
        if self.done_before is None:
            self.done_before = float(int(done))
            self.begun = time.monotonic()
        self.done = done

    @property
    def left(self) -> str:
        """Estimated time left; empty while there is nothing to estimate from."""
        if self.done_before is None or self.done - self.done_before < 0.5:
            return ""
        pace = (time.monotonic() - self.begun) / (self.done - self.done_before)
        return duration(pace * (self.epochs - self.done))

    @property
    def loss(self) -> str:
        """Training loss of the last epoch, for print."""
        value = self.row["train_loss"] if self.row else None
        return "" if value is None else f"loss {value:.3f}"

    @property
    def skips(self) -> str:
        """Skip connections in the derived cell, for print."""
        count = self.row["operations"].get("skip_connect") if self.row else None
        return "" if count is None else f"{count} skip{'' if count == 1 else 's'}"


class Display(Protocol):
    """Where lines are shown; a context manager."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def show(self, line: Line) -> None:
        """Show a run that goes on."""

    def epoch(self, line: Line) -> None:
        """An epoch of a shown run has ended."""

    def hide(self, line: Line) -> None:
        """Show a run no more."""


class LiveDisplay:
    """For terminals: a line a running seed, redrawn in place, and the whole study's progress below."""

    def __init__(self, console: Console, runs: int, epochs: int) -> None:
        self.console = console
        self._runs, self._epochs = runs, epochs
        self._lines: list[Line] = []
        self._ended = 0
        self._epochs_ended = 0.0
        self._worked = 0.0
        self._begun = time.monotonic()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.__exit__(kind, error, at)

    def say(self, text: str) -> None:
        self._live.console.print(Text(text))

    def show(self, line: Line) -> None:
        self._lines.append(line)

    def epoch(self, line: Line) -> None:
        """Drawn anyway."""

    def hide(self, line: Line) -> None:
        self._lines.remove(line)
        self._ended += 1
        self._epochs_ended += line.epochs
        self._worked += line.done - (line.done_before or 0.0)

    def _draw(self) -> Group:
        grid = Grid.grid(padding=(0, 2))
        for line in self._lines:
            bar = ProgressBar(total=line.epochs, completed=line.done, width=16)
            epoch = f"epoch {min(int(line.done) + 1, line.epochs)}/{line.epochs}"
            grid.add_row(Text(line.name), bar, epoch, line.loss, Text(line.accuracy), line.skips, line.left)
        total = f"{self._ended} of {self._runs} runs done, {duration(time.monotonic() - self._begun)} so far"
        if left := self._left():
            total += f", about {left} left"
        return Group(grid, Text(total, style="dim"))

    def _left(self) -> str:
        """Estimated time left for all runs, from epochs a second in this session."""
        worked = self._worked + sum(line.done - (line.done_before or 0.0) for line in self._lines)
        if worked < 1:
            return ""
        done = self._epochs_ended + sum(line.done for line in self._lines)
        return duration((time.monotonic() - self._begun) / worked * max(0.0, self._epochs - done))


class PlainDisplay:
    """For files and pipes: a line when a run starts, a tenth of it is done, or it ends."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def show(self, line: Line) -> None:
        self.say(f"{line.name}: started")

    def epoch(self, line: Line) -> None:
        done = int(line.done)
        if done * 10 // line.epochs > (done - 1) * 10 // line.epochs:
            parts = [f"epoch {done}/{line.epochs}", line.loss, line.accuracy, line.skips]
            left = f"{line.left} left" if line.left and done < line.epochs else ""
            self.say(f"{line.name}: " + ", ".join(part for part in [*parts, left] if part))

    def hide(self, line: Line) -> None:
        """Its end has been said."""


def display(console: Console, runs: int, epochs: int) -> Display:
    """The display that suits the console, for ``runs`` runs of ``epochs`` epochs together."""
    return LiveDisplay(console, runs, epochs) if console.is_interactive else PlainDisplay(console)


def duration(seconds: float) -> str:
    """Seconds for print: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
