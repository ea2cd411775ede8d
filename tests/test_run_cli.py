"""``harness run``, ``list`` and ``info`` in this process: bad input, plans, seeds, disks that are full, displays."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness import worker
from harness.cli.main import harness
from harness.cli.options import Seeds
from harness.errors import HarnessError
from harness.executor import Listener, Workers
from harness.progress import Line, LiveDisplay, PlainDisplay, display, duration
from harness.runs import RunFolder, TraceRow

TINY = [
    *("--set", "search.epochs=2", "--set", "data.images=64", "--set", "data.image_size=4"),
    *("--set", "supernet.channels=4", "--set", "data.crop_padding=1", "--no-mlflow"),
]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    for name in ("HARNESS_RUNS_DIR", "HARNESS_DATA_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(harness, arguments)


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


# --- bad input


def refusal(result: Result) -> str:
    """The one line that says what was wrong, whichever way the command line would have ended with exit code 2."""
    if isinstance(result.exception, HarnessError):
        text = str(result.exception)
    else:
        assert result.exit_code == 2, result.output or result.exception
        text = result.output.splitlines()[-1]
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--method darst", r"unknown method 'darst', did you mean 'darts'\?.* gdas"),
        ("--method gdas --set gdas.tau=1", r"unknown hyper-parameter of gdas 'tau'.*tau_max, tau_min"),
        ("--method gdas --set gdas.tau_max=-1", r"tau_max: .*greater than 0 \(got -1\); see: harness info gdas"),
        ("--method darts --set gdas.tau_max=1", "gdas, which is not run; add --method gdas"),
        ("--method darts --set epochs", r"'epochs' is not of the form KEY=VALUE"),
        ("--method darts --set search.epoch=3", r"unknown setting 'search.epoch', did you mean 'search.epochs'\?"),
        ("--method darts --set search.epochs=0", r"search.epochs.* greater than or equal to 1 \(got 0\)"),
        ("--method darts --dataset mnist", "unknown dataset 'mnist'. There are: cifar10"),
        ("--method darts --dataset imagenet16-120", "imagenet16-120 is neither in .*get .*--data-dir"),
        ("--method darts --seeds 0", "'0' names no seeds; give a count"),
        ("--method darts --seeds -1", "'-1' names no seeds; give a count"),
        ("--method darts --seeds five", "'five' names no seeds; give a count"),
        ("--method darts --seeds 1,5-3", "'1,5-3' names no seeds"),
        ("--method darts --seeds 99999999999", "names more than 10,000 seeds"),
        ("--method pc-darts --set pc-darts.K=3", "K=3 must divide every width of the supernet"),
        ("--method darts --protocol quik", r"unknown protocol 'quik', did you mean 'quick'\?.*\.yaml"),
        ("--method darts --space darts-space", "unknown space 'darts-space'.*nas-bench-201"),
        ("--method darts --set data.images=99999", r"digits has \d+ training images; lower it with --set data\.images"),
        ("--method darts --table none.csv", r"cannot read a table from .*none\.csv"),
        ("--method darts --table none.csv --dry-run", r"cannot read a table from .*none\.csv"),
        ("--method darts --device tpu", "--device tpu cannot be used .*on this machine: cpu"),
        ("--method darts --device meta", "--device meta cannot be used .*on this machine: cpu"),
        ("--method darts --device cuda:99", "--device cuda:99 cannot be used .*on this machine: cpu"),
        ("--method darts --study a/b", "--study 'a/b' is no name"),
        ("--method darts --study ..", r"--study '\.\.' is no name"),
        ("--method darts --jobs 0", "0 is not in the range"),
        ("--method darts --timeout 0", "0.0 is not in the range"),
        ("", "Missing option '--method'"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_creates_nothing(arguments: str, message: str, work: Path) -> None:
    assert re.search(message, refusal(call("run", *arguments.split())))
    assert list(work.iterdir()) == []


def test_a_table_that_is_none_is_refused(work: Path) -> None:
    (work / "table.csv").write_text("a,b\n1,2\n")
    assert "table.csv, line 1" in refusal(call("run", "--method", "darts", "--table", "table.csv"))
    assert files(work) == ["table.csv"]


def test_a_file_in_the_place_of_the_runs_folder_is_refused(work: Path) -> None:
    (work / "runs").write_text("")
    for runs in ("runs", "runs/below"):
        assert "runs is not a folder; choose another" in refusal(call("run", "--method", "darts", "--runs", runs))


# --- whole commands, with the searches in this process


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that search in this process, one after another."""

    def execute(self: Workers, runs: list[RunFolder], listener: Listener) -> None:
        for run in runs:

            def emit(event: worker.Event, run: RunFolder = run) -> None:
                if event["kind"] == "epoch":
                    listener.epoch(run, event["row"])
                elif event["kind"] == "ended":
                    listener.ended(run, event["status"], event["reason"])

            listener.started(run)
            try:
                worker.run(run, self.data_directory, self.device, emit)
            except HarnessError as error:
                listener.refused(run, str(error))

    monkeypatch.setattr(Workers, "execute", execute)
    monkeypatch.setattr("harness.environment.cores", lambda: 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def folders(work: Path) -> list[RunFolder]:
    return [RunFolder(file.parent) for file in sorted(work.glob("runs/*/*/*/config.json"))]


@pytest.mark.usefixtures("inline")
def test_a_study_grows_by_seeds_and_what_is_finished_is_cached(work: Path) -> None:
    result = call("run", "--method", "darts", "--seeds", "1", "--study", "grown", *TINY)
    assert result.exit_code == 0, result.exception
    assert "study grown: 1 of 1 runs finished, in runs/grown" in result.output
    assert "darts seed 0: started" in result.output
    assert re.search(r"darts seed 0: epoch 2/2, loss \d\.\d{3}, cifar10 \d\d\.\d\d %, \d skips?", result.output)
    assert re.search(r"darts seed 0: cifar10 \d\d\.\d\d % in \d+\.\d s, \|", result.output)

    plan = call("run", "--method", "darts", "--seeds", "2", "--study", "grown", "--dry-run", *TINY)
    assert "darts seed 0: 2 epochs, finished, runs/grown/darts/seed-0-" in plan.output
    assert "darts seed 1: 2 epochs, new, runs/grown/darts/seed-1-" in plan.output
    assert "study grown: 1 of 2 runs to do, " in plan.output
    assert len(folders(work)) == 1

    result = call("run", "--method", "darts", "--seeds", "2", "--study", "grown", *TINY)
    assert result.exit_code == 0
    assert re.search(r"darts seed 0: cifar10 .*\(cached\)", result.output)
    assert "darts seed 1: started" in result.output
    assert [run.config["seed"] for run in folders(work)] == [0, 1]


@pytest.mark.usefixtures("inline")
def test_fresh_deletes_what_was_there_and_ends_the_same(work: Path) -> None:
    command = ("run", "--method", "gdas", "--seeds", "1", *TINY)
    assert call(*command).exit_code == 0
    (run,) = folders(work)
    alphas = (run.path / "alphas.json").read_bytes()
    (run.path / "of-before").touch()
    plan = call(*command, "--fresh", "--dry-run")
    assert ": 2 epochs, new, " in plan.output
    assert "1 of 1 runs to do" in plan.output
    result = call(*command, "--fresh")
    assert result.exit_code == 0
    assert "cached" not in result.output
    assert not (run.path / "of-before").exists()
    assert (run.path / "alphas.json").read_bytes() == alphas


@pytest.mark.usefixtures("inline")
def test_a_run_that_diverged_stays_a_failure(work: Path) -> None:
    command = ("run", "--method", "darts", "--seeds", "1", "--set", "weights.learning_rate=1e30", *TINY)
    command += ("--set", "weights.clip_norm=null")
    for _ in range(2):
        result = call(*command)
        assert result.exit_code == 1
        assert "darts seed 0: diverged: the " in result.output
        assert "0 of 1 runs finished" in result.output
    assert "(cached)" in result.output


@pytest.mark.usefixtures("inline")
def test_another_protocol_in_a_study_is_refused_by_the_plan_too(work: Path) -> None:
    assert call("run", "--method", "darts", "--seeds", "1", "--study", "s", *TINY).exit_code == 0
    before = files(work)
    for more in ([], ["--dry-run"]):
        text = refusal(
            call("run", "--method", "gdas", "--seeds", "1", "--study", "s", "--set", "search.epochs=3", *more)
        )
        assert "holds runs of another protocol hash" in text
        assert "choose another name with --study" in text
    assert files(work) == before


def test_a_study_that_another_command_works_on_is_left_alone(work: Path) -> None:
    label = work / "runs" / "s" / "darts"
    label.mkdir(parents=True)
    command = ("run", "--method", "darts", "--seeds", "1", "--study", "s", "--fresh", *TINY)
    with FileLock(label / ".lock"):
        assert "another harness run is working in runs/s/darts; wait for it" in refusal(call(*command))
    assert folders(work) == []


# --- full disks


class FullDisk:
    """Stands for a function of :mod:`os` on a disk that fills up after some calls."""

    def __init__(self, function: Any, calls: int) -> None:
        self.function, self.calls = function, calls

    def __call__(self, *arguments: Any) -> Any:
        self.calls -= 1
        if self.calls < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.function(*arguments)


@pytest.mark.usefixtures("inline")
def test_wherever_the_disk_fills_up_one_line_says_so_and_the_same_command_goes_on(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "--method", "darts", "--seeds", "1", *TINY, "--set", "search.epochs=1")
    assert call(*command, "--runs", "whole").exit_code == 0
    (whole,) = (RunFolder(file.parent) for file in work.glob("whole/*/*/*/config.json"))

    broken = 0
    for calls in range(20):  # one more each time, until the room is enough
        with monkeypatch.context() as patch:
            name = "replace" if calls % 2 else "fsync"
            patch.setattr(os, name, FullDisk(getattr(os, name), calls))
            result = call(*command, "--fresh")
        if result.exit_code == 0:
            break
        broken += 1
        line = re.search(
            r"cannot write .*: No space left on device; make room or", f"{result.output}{result.exception}"
        )
        assert line, result.output
        assert [file for file in files(work) if re.search(r"/\.[a-z]+\.[a-z]+\.\d+$", file)] == []
        again = call(*command)
        assert again.exit_code == 0, again.exception
        (run,) = folders(work)
        assert (run.path / "alphas.json").read_bytes() == (whole.path / "alphas.json").read_bytes()
        assert run.evaluation == whole.evaluation
    assert broken == 8  # study, configuration, environment, trace, alphas, checkpoint, result, evaluation


# --- seeds


def parsed(text: str) -> list[int]:
    return Seeds().convert(text, None, None)


@given(st.lists(st.tuples(st.integers(0, 10**17), st.integers(0, 20)), min_size=2, max_size=6))
def test_lists_and_ranges_name_their_seeds_once_in_order(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in ranges)
    named = [seed for first, more in ranges for seed in range(first, first + more + 1)]
    assert parsed(text) == list(dict.fromkeys(named))


@given(st.integers(1, 10_000))
def test_a_number_is_a_count(count: int) -> None:
    assert parsed(str(count)) == list(range(count))


@given(st.text(alphabet="0123456789,-_+ .x²٣", max_size=12))
def test_anything_else_is_refused(text: str) -> None:
    try:
        seeds = parsed(text)
    except click.BadParameter:
        return
    assert seeds
    assert min(seeds) >= 0
    assert re.fullmatch("[0-9, -]+", text)


# --- displays

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


# --- list and info


def test_list_shows_everything_there_is() -> None:
    output = call("list").output
    for name in ("methods:", "darts ", "random-search ", "spaces:", "datasets:", "cifar10 ", "protocols:", "quick "):
        assert name in output
    assert re.fullmatch(r"nas-bench-201  .*15,625.*\n", call("list", "spaces").output)


def test_list_of_another_kind_says_what_there_is() -> None:
    assert "'methods', 'spaces', 'datasets', 'protocols'" in refusal(call("list", "tables"))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("gdas", ["arXiv:1910.04465", "bilevel, trains a supernet", "gdas.tau_max = 10.0  (float, > 0)"]),
        ("snas", ["single-level, trains a supernet"]),
        ("pc-darts", ["pc-darts.warmup = 0.3  (float, >= 0, < 1)", "fraction of the epochs"]),
        ("darts", ["darts.order = 1  (1 or 2)"]),
        ("random-search", ["query-based", "random-search.epochs_per_cell = 10  (int, >= 1)"]),
        ("digits", [" of 32 x 32 pixels, 10 classes"]),
        ("quick", ["quick v1, hash ", "batch_size: 64"]),
        ("nas-bench-201", ["skip_connect, nor_conv_1x1", "all nor_conv_3x3  |nor_conv_3x3~0|+", "v1, hash "]),
    ],
)
def test_info_tells_every_setting(name: str, texts: list[str]) -> None:
    output = call("info", name).output
    for text in texts:
        assert text in output


def test_info_of_an_unknown_name_says_what_was_meant() -> None:
    assert re.match(r"unknown name 'dart', did you mean 'darts'\?", refusal(call("info", "dart")))
