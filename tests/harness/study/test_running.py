"""``harness run`` with real processes: whole, broken in every way, out of disk, and with plug-ins that fail."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from harness.runs import checkpoint
from harness.runs.folder import RunFolder
from harness.runs.results import load_results
from tests.support import paths

COMMAND = [
    sys.executable,
    "-c",  # as the console script, which does not search the working directory for modules
    "import sys; sys.path = [place for place in sys.path if place]; from harness.cli.main import main; main()",
    "run",
]
TINY = [
    *("--set", "data.images=64", "--set", "data.image_size=4", "--set", "data.crop_padding=1"),
    *("--set", "supernet.channels=4", "--set", "diagnostics.hessian=false"),
]
METHODS = ("darts", "gdas", "random-search")
DEADLINE = 900.0
"""Seconds after which something is wrong, however busy the machine."""
UNREPEATABLE = {"weight_seconds", "alpha_seconds", "derivation_seconds", "diagnostics_seconds", "peak_memory_mib"}


def environment(*folders: Path) -> dict[str, str]:
    apart = ("HARNESS_", "MLFLOW_", "FORCE_COLOR", "TTY_")
    return {key: value for key, value in paths.environment(*folders).items() if not key.startswith(apart)}


def start(folder: Path, *options: str, plugins: Path | None = None, **more: Any) -> subprocess.Popen[str]:
    """``harness run`` in a folder and a session of its own."""
    return subprocess.Popen(
        [*COMMAND, *options],
        cwd=folder,
        env=environment(*([plugins] if plugins else [])),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def study(*methods: str) -> list[str]:
    """Options of a study of one seed, given twice; its runs are the same whichever other methods are asked for."""
    asked = [word for name in methods for word in ("--method", name)]
    settings = ["search.epochs=60", *(f"{name}.epochs_per_cell=1" for name in methods if name == "random-search")]
    changed = [word for setting in settings for word in ("--set", setting)]
    return [*asked, *changed, "--seeds", "7,7", "--jobs", "9", "--no-mlflow", *TINY]


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    with killed_at_the_end(process):
        output, errors = process.communicate(timeout=DEADLINE)
    assert "Traceback" not in errors, errors
    return process.returncode, output, errors


@contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    """Return when ``what`` holds; fail where the process ends before, or it takes too long."""
    until = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < until, "it never came to that"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)


def run_folder(folder: Path, label: str) -> RunFolder:
    (config,) = folder.glob(f"runs/*/{label}/seed-*/config.json")
    return RunFolder(config.parent)


def rows(folder: Path, label: str) -> int:
    return sum(len(file.read_text().splitlines()) for file in folder.glob(f"runs/*/{label}/seed-*/trace.jsonl"))


def has_rows(folder: Path, label: str, count: int) -> bool:
    return rows(folder, label) >= count


def idle(folder: Path) -> bool:
    """Whether no worker searches here: each holds the lock of its run while it lives."""
    for lock in folder.glob("runs/*/*/seed-*/.lock"):
        try:
            with FileLock(lock, timeout=0):
                pass
        except TimeoutError:
            return False
    return True


def children(process: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(status.parent.name))
    return found


def outcome(run: RunFolder) -> dict[str, Any]:
    """All of a run that is the same each time."""
    result = run.result
    assert result is not None
    trace = [{key: value for key, value in row.items() if key not in UNREPEATABLE} for row in run.read_trace()]
    alphas = (run.path / "alphas.json").read_bytes()
    return {
        "status": result["status"],
        "architecture": result["architecture"],
        "index": result["index"],
        "trace": trace,
        "alphas": alphas,
        "evaluation": run.evaluation,
        "ranking": run.ranking,
    }


def seconds(run: RunFolder) -> float:
    last = run.read_trace()[-1]
    return last["weight_seconds"] + last["alpha_seconds"] + last["derivation_seconds"]


# --- whole and broken


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a study was run without interruption, among files that are called as modules are."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("queue.py", "methods/__init__.py", "harness/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('the wrong module')\n")
    code, output, errors = finish(start(folder, *study(*METHODS)))
    assert code == 0, errors
    assert "3 of 3 runs finished" in output
    assert "rank the methods: harness report" in output
    return folder


def kill_everything(process: subprocess.Popen[str]) -> None:
    for victim in [process.pid, *children(process.pid)]:
        with suppress(ProcessLookupError):  # without its parent a worker ends by itself, and may be the faster
            os.kill(victim, signal.SIGKILL)


def send(number: signal.Signals) -> Callable[[subprocess.Popen[str]], None]:
    return lambda process: process.send_signal(number)


BREAKS: list[tuple[str, Callable[[subprocess.Popen[str]], None], int]] = [
    ("darts", kill_everything, -signal.SIGKILL),
    ("gdas", send(signal.SIGKILL), -signal.SIGKILL),  # of the parent alone
    ("random-search", send(signal.SIGINT), 130),
    ("darts", send(signal.SIGTERM), 130),
]
"""What is run, alone lest others finish meanwhile; what is done to it half-way, and the exit code."""


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # room for a trace, none for a checkpoint


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
def test_a_study_broken_in_every_way_ends_bit_for_bit_as_a_whole_one(whole: Path, tmp_path: Path) -> None:
    code, output, errors = finish(start(tmp_path, *study(*METHODS), preexec_fn=small_files))
    assert code == 1
    assert "0 of 3 runs finished" in output
    for method in METHODS:
        assert f"{method} seed 7: stopped: cannot write" in errors.replace("[epochs_per_cell=1]", "")
    assert errors.count("make room or choose another folder") == 3
    assert not list(tmp_path.glob("runs/*/*/*/result.json"))
    assert not list(tmp_path.glob("runs/*/*/*/.*.json*"))  # no half-written files

    spent = {}
    for method, strike, expected in BREAKS:
        before = rows(tmp_path, f"{method}*")
        process = start(tmp_path, *study(method))
        with killed_at_the_end(process):
            wait_for(partial(has_rows, tmp_path, f"{method}*", max(before, 1) + 1), process)
            strike(process)
            _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == expected, errors
        if expected == 130:
            assert errors.endswith("interrupted; run the same command again to go on\n")
            assert idle(tmp_path)
        wait_for(lambda: idle(tmp_path))
        run = run_folder(tmp_path, f"{method}*")
        assert run.result is None
        assert checkpoint.existing(run.path)  # the one before, where it ended while it put the newest in its place
        spent[method] = seconds(run)

    code, output, errors = finish(start(tmp_path, *study(*METHODS)))
    assert code == 0, errors
    assert "goes on after epoch" in errors
    assert "3 of 3 runs finished" in output
    for method in METHODS:
        run = run_folder(tmp_path, f"{method}*")
        assert outcome(run) == outcome(run_folder(whole, f"{method}*"))
        assert seconds(run) > spent[method]
        assert not checkpoint.existing(run.path)


def test_finished_runs_are_cached_and_left_as_they_are(whole: Path) -> None:
    files = [file for file in whole.glob("runs/*/*/seed-*/*") if file.is_file()]
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}
    code, output, errors = finish(start(whole, *study(*METHODS)))
    assert code == 0
    assert [line.endswith("(cached)") for line in errors.splitlines()] == [True, True, True]
    assert "3 of 3 runs finished" in output
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files} == before


# --- plug-ins that fail

PLUGIN = """
import os
import signal
import subprocess
import sys
import time

from harness.methods.darts import DARTS


class Raising(DARTS):
    name = "raising"
    summary = "for tests"

    def weight_step(self, search, train):
        if search.epoch == 1:
            raise LookupError("the second epoch is\\nmissing")
        return super().weight_step(search, train)


class NaN(DARTS):
    name = "nan-loss"
    summary = "for tests"

    def weight_step(self, search, train):
        forward = super().weight_step(search, train)
        return forward._replace(loss=forward.loss * float("nan"))


class Killed(DARTS):
    name = "killed"
    summary = "for tests"

    def weight_step(self, search, train):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)


class Hanging(DARTS):
    name = "hanging"
    summary = "for tests"

    def weight_step(self, search, train):
        while True:
            pass


class Printing(DARTS):
    name = "printing"
    summary = "for tests"

    def weight_step(self, search, train):
        if search.epoch == 0:
            print('{"kind": "ended", "status": "failed", "reason": "not an event"}', flush=True)
            os.write(1, b"written to descriptor 1\\n")
            subprocess.run(["echo", "said by a child"], check=True)
            print("a warning", file=sys.stderr)
        return super().weight_step(search, train)
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package of methods that fail."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "failing_methods.py").write_text(PLUGIN)
    information = folder / "failing_methods-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-methods\nVersion: 1.0\n")
    names = {"raising": "Raising", "nan-loss": "NaN", "killed": "Killed", "hanging": "Hanging", "printing": "Printing"}
    points = "".join(f"{name} = failing_methods:{attribute}\n" for name, attribute in names.items())
    (information / "entry_points.txt").write_text(f"[harness.methods]\n{points}")
    return folder


def test_a_seed_that_fails_is_recorded_with_its_reason_and_the_others_finish(plugins: Path, tmp_path: Path) -> None:
    names = ("raising", "nan-loss", "killed", "printing")
    options = [option for name in names for option in ("--method", name)]
    options += ["--seeds", "1", "--jobs", "4", "--set", "search.epochs=3", "--no-mlflow", *TINY]
    code, output, errors = finish(start(tmp_path, *options, plugins=plugins))
    assert code == 1
    assert "1 of 4 runs finished" in output
    assert '"kind"' not in output + errors

    def ending(name: str) -> tuple[str, str]:
        result = run_folder(tmp_path, name).result
        assert result is not None
        assert f"{name} seed 0: {result['status']}: {result['reason']}" in errors or name == "printing"
        return result["status"], result["reason"]

    status, reason = ending("raising")
    assert status == "failed"
    assert reason.startswith("LookupError: the second epoch is missing at failing_methods.py:")
    log = (run_folder(tmp_path, "raising").path / "log.txt").read_text()
    assert "Traceback" in log
    assert rows(tmp_path, "raising") == 1

    assert ending("nan-loss") == ("diverged", "the training loss became nan in epoch 1")

    status, reason = ending("killed")
    assert status == "failed"
    assert reason.startswith("its process was killed by SIGKILL, perhaps because memory ran out, attempt 3 of 3; see ")

    assert ending("printing") == ("finished", "")
    log = (run_folder(tmp_path, "printing").path / "log.txt").read_text()
    for text in ("not an event", "written to descriptor 1", "said by a child", "a warning"):
        assert text in log

    frame = load_results(runs=tmp_path / "runs")
    assert {*zip(frame.method, frame.status, strict=True)} == {
        ("raising", "failed"),
        ("nan-loss", "diverged"),
        ("killed", "failed"),
        ("printing", "finished"),
    }


def test_a_run_that_takes_too_long_is_stopped_and_recorded(plugins: Path, tmp_path: Path) -> None:
    options = ["--method", "hanging", "--seeds", "1", "--timeout", "0.1", "--no-mlflow", *TINY]
    code, output, errors = finish(start(tmp_path, *options, plugins=plugins))
    assert code == 1
    assert "hanging seed 0: timed out: longer than 6 seconds" in errors
    assert "0 of 1 runs finished" in output
    result = run_folder(tmp_path, "hanging").result
    assert result is not None
    assert result["status"] == "timed out"
    assert idle(tmp_path)


# --- MLflow


def test_runs_are_mirrored_into_the_store_beside_the_user(tmp_path: Path) -> None:
    options = ["--method", "darts", "--seeds", "1", "--set", "search.epochs=3", "--study", "mirrored", *TINY]
    code, _, errors = finish(start(tmp_path, *options))
    assert code == 0, errors
    run = run_folder(tmp_path, "darts")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM experiments WHERE name = 'mirrored'").fetchone() == (1,)
        query = "SELECT run_uuid, status FROM runs WHERE name = 'darts seed 0'"
        ((identifier, status),) = store.execute(query).fetchall()
        query = "SELECT value FROM metrics WHERE run_uuid = ? AND key = 'train_loss' ORDER BY step"
        losses = [value for (value,) in store.execute(query, [identifier])]
    assert status == "FINISHED"
    assert losses == pytest.approx([row["train_loss"] for row in run.read_trace()])
    assert json.loads((run.path / "mlflow.json").read_text())["run_id"] == identifier
