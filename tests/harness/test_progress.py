"""Progress on a terminal, in a notebook and in plain lines."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.progress import Bar, StudyProgress, drawable, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (360000, "100 h 00 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("TERM", "xterm")
    return Console(file=io.StringIO(), width=140, force_terminal=True, force_interactive=True)


def pipe(width: int = 20) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=False)


def written(console: Console) -> str:
    """All text that a console wrote, without control sequences."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def drawn(progress: StudyProgress) -> str:
    """The present picture, as text."""
    console = Console(file=io.StringIO(), width=140)
    console.print(progress.get_renderable())
    return written(console)


# --- a study on a terminal


def test_a_terminal_shows_a_line_for_each_run_and_the_whole_below(terminal: Console, clock: Clock) -> None:
    with StudyProgress(terminal, runs=3, epochs=120, clock=clock) as progress:
        run = progress.add_run("darts seed 0", 40)
        progress.add_run("gdas[tau_max=5.0] seed 0", 40)
        progress.advance_run(run, 0.0)
        clock.now += 10
        progress.advance_run(run, 20.0)
        progress.describe_run(run, 1.23456, 1, "cifar10 91.00 %")
        progress.end_epoch(run)
        progress.refresh()
    text = written(terminal)
    assert re.search(r"darts seed 0 .*epoch 21/40 +loss 1\.235 +cifar10 91\.00 % +1 skip +10 s", text)
    assert re.search(r"gdas\[tau_max=5\.0\] seed 0 .*epoch 1/40", text)
    assert "0 of 3 runs done, 10 s so far, about 50 s left" in text
    assert "darts seed 0: " not in text


def test_the_time_left_is_that_of_the_pace_since_the_run_was_taken_up(clock: Clock) -> None:
    progress = StudyProgress(pipe(), 1, 40, clock)
    run = progress.add_run("darts seed 0", 40)
    progress.resume_run(run, 30)
    clock.now += 100  # while its process starts
    progress.advance_run(run, 30.2)
    assert re.search(r"epoch 31/40 *\n", drawn(progress))
    clock.now += 10
    progress.advance_run(run, 35.0)
    assert re.search(r"epoch 36/40 +10 s *\n", drawn(progress))
    progress.resume_run(run, 35)  # its process was lost
    assert re.search(r"epoch 36/40 *\n", drawn(progress))
    progress.advance_run(run, 35.5)
    clock.now += 4
    progress.advance_run(run, 37.0)
    assert re.search(r"epoch 38/40 +6 s *\n", drawn(progress))


def test_a_run_that_ended_counts_as_done_and_leaves_its_outcome(terminal: Console, clock: Clock) -> None:
    with StudyProgress(terminal, runs=2, epochs=80, clock=clock) as progress:
        run = progress.add_run("darts seed 0", 40)
        progress.advance_run(run, 0)
        clock.now += 20
        progress.advance_run(run, 40)
        progress.end_run(run)
        progress.say("darts seed 0: [outcome]")
    assert "darts seed 0: [outcome]" in written(terminal)
    assert "1 of 2 runs done, 20 s so far, about 20 s left" in written(terminal)


# --- a study in a file or a pipe


def test_plain_lines_come_at_every_tenth_and_are_never_wrapped(clock: Clock) -> None:
    console = pipe(width=20)
    with StudyProgress(console, 1, 40, clock) as progress:
        run = progress.add_run("darts seed 0", 40)
        progress.advance_run(run, 0.0)
        for epoch in range(1, 41):
            clock.now += 0.5
            progress.advance_run(run, epoch)
            progress.describe_run(run, 1.23456, 1, "cifar10 91.00 %")
            progress.end_epoch(run)
        progress.say("[red]as it is[/red]")
        progress.end_run(run)
    lines = written(console).splitlines()
    assert lines[0] == "darts seed 0: started"
    assert [text.split()[4] for text in lines[1:11]] == [f"{epoch}/40," for epoch in range(4, 41, 4)]
    assert lines[5] == "darts seed 0: epoch 20/40, loss 1.235, cifar10 91.00 %, 1 skip, 10 s left"
    assert lines[10] == "darts seed 0: epoch 40/40, loss 1.235, cifar10 91.00 %, 1 skip"
    assert lines[11:] == ["[red]as it is[/red]"]


def test_facts_that_a_run_does_not_have_are_left_out(clock: Clock) -> None:
    console = pipe()
    with StudyProgress(console, 1, 1, clock) as progress:
        run = progress.add_run("random-search seed 0", 1)
        progress.advance_run(run, 1)
        progress.describe_run(run, None, None, "")
        progress.end_epoch(run)
    assert written(console).splitlines()[1:] == ["random-search seed 0: epoch 1/1"]


# --- where it is drawn


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not drawable(Console(file=io.StringIO(), force_terminal=True))


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_draws_where_it_has_widgets_and_else_gets_plain_lines(
    widgets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if widgets else None)
    assert drawable(Console(file=io.StringIO(), force_jupyter=True)) is widgets


def test_a_notebook_without_widgets_shows_the_state_of_runs_in_one_line(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    shown: list[tuple[str, str]] = []

    class Handle:
        def update(self, content: dict[str, str], raw: bool) -> None:
            shown.append(("replaced", content["text/plain"]))

    def display(content: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shown.append(("new", content["text/plain"]))
        return Handle()

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=SimpleNamespace(display=display)))
    progress = StudyProgress(Console(file=io.StringIO(), force_jupyter=True), runs=1, epochs=4, clock=clock)
    run = progress.add_run("darts seed 0", 4)
    for epoch in range(1, 5):
        progress.advance_run(run, float(epoch))
        progress.end_epoch(run)
    assert shown[0] == ("new", "darts seed 0: started")
    assert [kind for kind, _ in shown[1:]] == ["replaced"] * 4
    assert shown[-1][1].startswith("darts seed 0: epoch 4/4")


# --- one bar


def test_a_bar_on_a_terminal_shows_how_many_are_done(terminal: Console) -> None:
    with Bar("mine", 4, unit="cells", console=terminal) as bar:
        bar.update(3)
    assert re.search(r"mine ━+.* 3/4 ", written(terminal))


def test_a_bar_in_a_pipe_prints_a_line_each_tenth_and_each_once() -> None:
    console = pipe()
    with Bar("[mine]", unit="cells", console=console) as bar:
        for done in (0, 1, 150, 150, 1999, 2000):
            bar.set(done, 2000)
    assert written(console).splitlines() == [
        "[mine]: 1,999 of 2,000 cells (99 %)",
        "[mine]: 2,000 of 2,000 cells (100 %)",
    ]


def test_a_bar_counts_what_pooch_tells_a_bar_of_tqdm() -> None:
    console = pipe()
    bar = Bar("cifar10", unit="bytes", lines=2, console=console)
    bar.total = 150
    for _ in range(2):
        bar.update(100)  # a whole chunk each time, more than there is
    bar.reset()
    bar.update(150)
    bar.close()
    assert written(console).splitlines() == ["cifar10: 100 of 150 bytes (66 %)", "cifar10: 150 of 150 bytes (100 %)"]


def test_a_bar_that_is_not_shown_says_nothing(terminal: Console) -> None:
    for console in (terminal, pipe()):
        with Bar("mine", 1, unit="cells", shown=False, console=console) as bar:
            bar.update(1)
        assert written(console) == ""
