"""``harness run`` in this process: bad input, plans, disks that are full, seeds."""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from harness.execution.backend import LocalMachine
from harness.runs.folder import RunFolder
from tests.support.command_line import call, files, folders, refusal

TINY = [
    *("--set", "search.epochs=2", "--set", "data.images=64", "--set", "data.image_size=4"),
    *("--set", "supernet.channels=4", "--set", "data.crop_padding=1", "--set", "diagnostics.hessian=false"),
    "--no-mlflow",
]
pytestmark = pytest.mark.usefixtures("work")


# --- bad input


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
        ("--method darts --seeds 0", "seeds '0' name no seeds; give a count"),
        ("--method darts --seeds -1", "seeds '-1' name no seeds; give a count"),
        ("--method darts --seeds five", "seeds 'five' name no seeds; give a count"),
        ("--method darts --seeds 1,5-3", "seeds '1,5-3' name no seeds"),
        ("--method darts --seeds 0-99999999999", "10,000 are allowed at most"),
        ("--method darts --seeds 777", "write '0-776' for seeds 0 to 776, or '777,' for the one seed"),
        ("--method darts --set gdas.tau_max=1 --set gdas.tau_max=2", "--set gdas.tau_max is given twice"),
        ("--seeds 2", "no method is named; add --method"),
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
        ("", "no method is named; add --method"),
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


@pytest.mark.usefixtures("inline")
def test_a_study_grows_by_seeds_and_what_is_finished_is_cached(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = ("--executor", "dask", "--scheduler", "tls://bob:it's hunter2@host:8786?token=hunter2")
    monkeypatch.setattr(sys, "argv", ["harness", "run", *scheduler])
    monkeypatch.setattr("harness.api.searches.open_backend", lambda *_: nullcontext(LocalMachine()))
    result = call(
        "run", "--method", "darts", "--seeds", "1", "--study", "grown", "--executor", "dask", *scheduler, *TINY
    )
    assert result.exit_code == 0, result.exception
    assert RunFolder(work / "runs" / "grown").read_json("study.json")["commands"] == [
        "harness run --executor dask --scheduler tls://host:8786"  # as the report prints it
    ]
    assert "study grown: 1 of 1 runs finished, in runs/grown" in result.output
    assert "darts seed 0: started" in result.output
    accuracies = r"cifar10 \d\d\.\d\d %, digits \d\d\.\d\d %"  # the headline's, and that of what was searched on
    assert re.search(rf"darts seed 0: epoch 2/2, loss \d\.\d{{3}}, {accuracies}, \d skips?", result.output)
    assert re.search(rf"darts seed 0: {accuracies} in \d+\.\d s, \|", result.output)

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


class SlowMirror:
    """Has delivered nothing when the study ends."""

    def __init__(self, *arguments: Any) -> None:
        self.touched: set[Path] = set()

    def touch(self, folder: Path) -> None:
        self.touched.add(folder)

    def close(self) -> list[Path]:
        return sorted(self.touched)


@pytest.mark.usefixtures("inline")
def test_what_mlflow_still_lacks_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.study.running.Mirror", SlowMirror)
    result = call("run", "--method", "darts", "--seeds", "1", *TINY[:-1])
    assert "\n1 run is not in MLflow yet; deliver with: harness sync\n" in result.output


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
    command = ("run", "--method", "darts", "--seeds", "1", *(word.replace("epochs=2", "epochs=1") for word in TINY))
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
    # study, configuration, environment, trace, alphas, checkpoint and its place, diagnostics, result, evaluation
    assert broken == 10


def test_diagnostics_alone_start_no_other_study(work: Path) -> None:
    command = ("run", "--method", "darts", "--seeds", "1", "--dry-run")
    outputs = [call(*command, *more).output for more in ((), ("--set", "diagnostics.gap=false"))]
    lines = [[line for line in output.splitlines() if line.startswith("#")] for output in outputs]
    assert lines[0] == lines[1]
    assert "# study quick: 1 of 1 runs to do" in outputs[0]
    assert "study quick-" in call(*command, "--set", "search.epochs=3").output
