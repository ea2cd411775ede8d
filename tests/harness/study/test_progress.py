"""What a command shows of its progress, on a terminal and in plain lines."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from harness.runs.schema import TraceRow
from harness.study.progress import Line, LiveDisplay, PlainDisplay, display, duration

pytestmark = pytest.mark.usefixtures("work")
ROW = TraceRow(
    epoch=3,
    architecture="",
    index=0,
    operations={"skip_connect": 1},
    train_loss=1.23456,
    train_accuracy=50.0,
    valid_loss=None,
    valid_accuracy=None,
    alpha_entropy=None,
    weight_seconds=1.0,
    alpha_seconds=1.0,
    derivation_seconds=0.0,
    examples=1,
    forward_passes=1,
    backward_passes=1,
    peak_memory_mib=1.0,
)


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


def line(name: str = "darts seed 0", epochs: int = 40) -> Line:
    found = Line(name, epochs)
    found.advance(0.0)
    found.begun -= 10.0  # ten seconds ago
    found.advance(20.0)
    found.row, found.accuracy = ROW, "cifar10 91.00 %"
    return found


def test_the_time_left_is_that_of_the_pace_in_this_session() -> None:
    assert line().left == "10 s"
    resumed = Line("darts seed 0", 40, done=30.0)
    assert resumed.left == ""
    resumed.advance(30.2)
    assert resumed.left == ""
    resumed.begun -= 10.0
    resumed.advance(35.0)
    assert resumed.left == "10 s"


def test_plain_lines_come_at_every_tenth_and_are_never_wrapped() -> None:
    console = Console(file=io.StringIO(), width=20, force_terminal=False)
    assert isinstance(display(console, 1, 40), PlainDisplay)
    with PlainDisplay(console) as screen:
        shown = line()
        screen.show(shown)
        for epoch in range(1, 41):
            shown.done = float(epoch)
            screen.epoch(shown)
        screen.say("[red]as it is[/red]")
        screen.hide(shown)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "darts seed 0: started"
    assert [text.split()[4] for text in lines[1:11]] == [f"{epoch}/40," for epoch in range(4, 41, 4)]
    assert re.fullmatch(r"darts seed 0: epoch 20/40, loss 1\.235, cifar10 91\.00 %, 1 skip, 1[01] s left", lines[5])
    assert lines[10] == "darts seed 0: epoch 40/40, loss 1.235, cifar10 91.00 %, 1 skip"
    assert lines[11:] == ["[red]as it is[/red]"]


def drawn(console: Console) -> str:
    """What was written to a terminal, without its control sequences."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_a_terminal_shows_a_line_a_running_seed_and_the_whole_below() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, force_interactive=True)
    screen = display(console, runs=3, epochs=120)
    assert isinstance(screen, LiveDisplay)
    with screen:
        one, other = line(), Line("gdas[tau_max=5.0] seed 0", 40)
        screen.show(one)
        screen.show(other)
        screen.epoch(one)
    text = drawn(console)
    expected = r"darts seed 0 .*epoch 21/40 +loss 1\.235 +cifar10 91\.00 % +1 skip +1[01] s"
    assert re.search(expected, text)
    assert re.search(r"gdas\[tau_max=5\.0\] seed 0 .*epoch 1/40", text)
    assert re.search(r"0 of 3 runs done, \d+ s so far, about \d+ s left", text)


def test_a_run_that_ended_counts_as_done_and_leaves_its_outcome() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, force_interactive=True)
    with LiveDisplay(console, runs=2, epochs=80) as screen:
        ended = line()
        screen.show(ended)
        screen.hide(ended)
        screen.say("darts seed 0: [outcome]")
    assert "darts seed 0: [outcome]" in drawn(console)
    assert "1 of 2 runs done" in drawn(console)


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display(Console(file=io.StringIO(), force_terminal=True), 1, 1), PlainDisplay)
