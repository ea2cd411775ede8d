"""Faults that are not the method's: workers that die, hang or leak, and what they are started with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.execution.local import _MALLOC, _SPIN_COUNT, Listener, LocalExecutor
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.runs.schema import Attempt
from harness.study.running import run_planned
from tests.support.recorder import Recorder
from tests.support.small_search import outcome
from tests.support.undisturbed import planned

SECRET = "hunter2"

PROGRAMS = {
    "dies_once": """
import os, signal
from harness.search import worker
from harness.runs import process

def work(progress, data_directory, device, emit):
    place = progress.folder.path

    def listen(event):
        emit(event)
        if event["kind"] == "epoch" and event["done"] == 3 and not (place / "died").exists():
            (place / "died").touch()
            (place / "checkpoint.pt").write_bytes(b"half a chec")
            os.kill(os.getpid(), signal.SIGKILL)

    return worker.search(progress, data_directory, device, listen)

def main():
    process.main(work)
""",
    "always_dies": """
import os, signal, sys

def main():
    print("dying", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
""",
    "leaves": """
def main():
    raise SystemExit(3)
""",
    "leaks": """
import resource
from harness.runs import process

def work(progress, data_directory, device, emit):
    resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
    held = [bytes(2**28) for _ in range(100)]

def main():
    process.main(work)
""",
    "tells_its_settings": """
import os
import sys

def main():
    names = ("GLIBC_TUNABLES", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    print({name: os.environ[name] for name in names if name in os.environ}, file=sys.stderr)
""",
    "hangs": """
import time

def main():
    time.sleep(600)
""",
}
"""Modules in the place of :mod:`harness.runs.process`."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "programs"
    place.mkdir()
    for name, text in PROGRAMS.items():
        (place / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(place)


def execute(program: str, folder: Path, timeout: float | None = None, **options: Any) -> tuple[Recorder, list[Attempt]]:
    """What a listener hears of one run, and the attempts recorded."""
    run, recorder = RunFolder(folder / "run"), Recorder()
    run.write_json("config.json", {})
    LocalExecutor(1, "cpu", None, timeout, program, **options).execute([run], recorder)
    return recorder, run.read_json("attempts.json") or []


@pytest.mark.usefixtures("programs")
def test_a_killed_run_goes_on_from_its_checkpoint_and_ends_bit_for_bit(
    tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://bob:{SECRET}@host.invalid")
    run = planned(tmp_path / "study")
    unfinished = run_planned(
        [run], None, LocalExecutor(1, "cpu", None, None, "dies_once"), {}, fresh=False, track=False
    )
    assert unfinished == 0
    lines = capsys.readouterr().err
    assert "gdas seed 0: its process was killed by SIGKILL, perhaps because memory ran out; goes on from its" in lines
    assert "last checkpoint (retry 1 of 2)\n" in lines
    assert lines.count("gdas seed 0: started\n") == 1
    assert "gdas seed 0: checkpoint.pt cannot be read (" in lines
    assert "goes on from checkpoint-previous.pt, after epoch 2\n" in lines
    assert outcome(run.folder) == whole
    (attempt,) = run.folder.read_json("attempts.json")
    assert attempt["epochs"] == 3
    assert "SIGKILL" in attempt["reason"]
    written = [file.read_text() for file in tmp_path.glob("study/**/*") if file.is_file()]
    assert not any(SECRET in text for text in [lines, *written])


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("retries", [2, 0])
def test_a_run_that_dies_each_time_is_tried_so_often_and_then_failed(retries: int, tmp_path: Path) -> None:
    recorder, attempts = execute("always_dies", tmp_path, retries=retries)
    assert recorder.starts == len(attempts) == retries + 1
    assert [retry.rpartition("; ")[2] for retry in recorder.retries] == [
        f"starts again (retry {number} of {retries})" for number in range(1, retries + 1)
    ]
    ((status, reason),) = recorder.endings
    assert status == "failed"
    assert reason.startswith("its process was killed by SIGKILL")
    assert ("attempt 3 of 3; see " in reason) == (retries == 2)
    assert (tmp_path / "run" / "log.txt").read_text() == "dying\n" * (retries + 1)

    (tmp_path / "run" / "result.json").unlink()  # as the same command does: what came before stays on record
    again = Recorder()
    LocalExecutor(1, "cpu", None, None, "always_dies", retries=0).execute([RunFolder(tmp_path / "run")], again)
    assert len(json.loads((tmp_path / "run" / "attempts.json").read_text())) == retries + 2


@pytest.mark.usefixtures("programs")
def test_a_process_that_ends_without_a_result_is_tried_again(tmp_path: Path) -> None:
    recorder, attempts = execute("leaves", tmp_path, retries=1)
    assert recorder.starts == 2
    assert [attempt["reason"] for attempt in attempts] == ["its process ended with exit code 3"] * 2


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("user", "seen"),
    [
        ({}, {"GLIBC_TUNABLES": _MALLOC, "GOMP_SPINCOUNT": _SPIN_COUNT}),
        ({"GOMP_SPINCOUNT": "7"}, {"GLIBC_TUNABLES": _MALLOC, "GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"GLIBC_TUNABLES": _MALLOC, "OMP_WAIT_POLICY": "active"}),
        (
            {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"},
            {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0", "GOMP_SPINCOUNT": _SPIN_COUNT},
        ),
    ],
    ids=["nothing said", "spin count", "policy", "memory"],
)
def test_idle_threads_of_a_worker_sleep_soon_and_memory_is_kept_unless_the_user_says_otherwise(
    user: dict[str, str], seen: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GLIBC_TUNABLES", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in user.items():
        monkeypatch.setenv(name, value)
    execute("tells_its_settings", tmp_path, retries=0)
    assert (tmp_path / "run" / "log.txt").read_text() == f"{seen}\n"


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("program", "timeout", "status", "said"),
    [
        ("leaks", None, "failed", "MemoryError at leaks.py:"),
        ("hangs", 0.5, "timed out", "longer than 0.5 seconds"),
    ],
)
def test_what_is_a_result_is_not_tried_again(
    program: str, timeout: float | None, status: str, said: str, tmp_path: Path
) -> None:
    recorder, attempts = execute(program, tmp_path, timeout)
    assert recorder.starts == 1
    assert attempts == []
    ((ending, reason),) = recorder.endings
    assert ending == status
    assert reason.startswith(said)


def test_what_another_command_ended_since_the_plan_is_left_as_it_is(tmp_path: Path) -> None:
    run = planned(tmp_path / "study")
    run.folder.write_json("config.json", run.config)
    run.folder.write_json("result.json", process.result("diverged", "its own fault", [], process.now(), 1.0))
    kept = (run.folder.path / "result.json").read_bytes()
    for name in ("checkpoint.pt", ".checkpoint-new.pt.4711"):  # its worker was killed before it could delete them
        (run.folder.path / name).touch()

    class Idle:
        def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
            assert list(runs) == []

    assert run_planned([run], None, Idle(), {}, fresh=False, track=False) == 1
    assert (run.folder.path / "result.json").read_bytes() == kept
    assert {file.name for file in run.folder.path.iterdir()} == {"config.json", "result.json"}


@pytest.mark.usefixtures("programs")
def test_a_run_without_its_folder_is_refused_and_the_others_are_tried(tmp_path: Path) -> None:
    gone, there = (RunFolder(tmp_path / name) for name in ("gone", "there"))
    there.write_json("config.json", {})
    (tmp_path / "gone").touch()  # a file in its place
    recorder = Recorder()
    LocalExecutor(1, "cpu", None, None, "leaves", retries=0).execute([gone, there], recorder)
    assert recorder.refusals == [f"{gone.path} is gone or cannot be reached; bring it back and run the same command"]
    assert len(recorder.endings) == 1
    with pytest.raises(HarnessError, match=r"^cannot write .*gone/result.json: .*; make room or"):
        gone.write_json("result.json", {})
