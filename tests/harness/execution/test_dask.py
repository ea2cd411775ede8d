"""Runs on a Dask cluster: processes of its own on real sockets, all on the loopback interface."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from filelock import FileLock

from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.execution.dask import backend
from harness.execution.dask.backend import connect
from harness.execution.dask.compatibility import Compatibility, problem, software
from harness.execution.local import LocalExecutor
from harness.registry import get_method
from harness.runs.folder import RunFolder, write_atomically
from harness.search.benchmark_query import BenchmarkQuery
from harness.study.planned_run import PlannedRun, prepare_folder
from harness.study.planning import plan_runs
from harness.study.running import run_planned
from tests.support.command_line import call, refusal
from tests.support.paths import environment
from tests.support.recorder import Recorder
from tests.support.small_search import TINY, outcome
from tests.support.small_search import run as search
from tests.support.toy import NAS_BENCH_201

PROGRAMS = {
    "hangs": "import os\ndef main():\n    os.read(0, 1)\n",
    "waits_half_way": """
import os, time
from harness.search import worker
from harness.runs import process
from harness.runs.folder import write_atomically

def work(progress, data_directory, device, emit):
    mark = progress.folder.path / "half-way"

    def listen(event):
        emit(event)
        if event["kind"] == "epoch" and event["done"] == 2 and "struck" in os.listdir(mark.parent):
            if not mark.exists():
                write_atomically(mark, str(os.getppid()).encode())
                time.sleep(100)

    return worker.search(progress, data_directory, device, listen)

def main():
    process.main(work)
""",
    "kills_its_dask_worker": "import os\ndef main():\n    os.kill(os.getppid(), 9)\n    os.read(0, 1)\n",
    "coordinates": """
import sys
from pathlib import Path
from harness.execution.dask.backend import connect
from harness.execution.local import LocalExecutor
from harness.runs.folder import RunFolder
from tests.support.recorder import Recorder

address, run = sys.argv[1], Path(sys.argv[2])
with connect(address, run.parent, {}, print) as cluster:
    cluster.executor(LocalExecutor(1, "cpu", None, None, "hangs")).execute([RunFolder(run)], Recorder())
""",
}
"""Modules in the place of :mod:`harness.runs.process`, and one that submits a run."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Dask's processes work and find the programs."""
    place = tmp_path_factory.mktemp("cluster")
    for name, text in PROGRAMS.items():
        (place / f"{name}.py").write_text(text)
    return place


@contextmanager
def running(place: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Python's, killed in the end."""
    with open(place / "log.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=place, env=environment(place), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def scheduling(place: Path, name: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler's address and process."""
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", name)
    (place / name).unlink(missing_ok=True)  # of an earlier one
    with running(place, "-m", "distributed.cli.dask_scheduler", *options) as process:
        eventually(lambda: (place / name).exists() and (place / name).read_text())
        yield json.loads((place / name).read_text())["address"], process


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    """A scheduler that lives as long as these tests."""
    with scheduling(place, "scheduler.json") as (address, _):
        yield address


def worker(place: Path, address: str) -> Any:
    """A Dask worker of one thread and one GPU, by its own account."""
    options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--resources", "GPU=1")
    return running(place, "-m", "distributed.cli.dask_worker", address, *options)


def eventually(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def no_warning(text: str) -> None:
    raise AssertionError(text)


def await_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count)
        eventually(lambda: len(client.nthreads()) == count)  # those of earlier tests are forgotten


def planned(study: Path) -> list[PlannedRun]:
    """Three searches that a table answers, since those with a supernet take longer to start."""
    rules = load_protocol("quick", [*TINY, "search.epochs=4", "queries.answers=table", "queries.evaluations=40"])
    methods = [get_method("regularized-evolution")(), get_method("random-search")()]
    told = BenchmarkQuery(np.linspace(20, 90, NAS_BENCH_201.size), None)
    return plan_runs(study, methods, [0, 1], NAS_BENCH_201, rules, load_training_set("digits"), 1, told)[:3]


def check_undisturbed(runs: list[PlannedRun], tmp_path: Path) -> None:
    """Hold runs to the bits of the same ones in this process."""
    for run, alone in zip(runs, planned(tmp_path / "undisturbed"), strict=True):
        prepare_folder(alone, {}, fresh=False)
        search(alone.folder)
        assert outcome(run.folder) == outcome(alone.folder)


def test_a_killed_dask_worker_costs_a_retry_and_no_bit(place: Path, address: str, tmp_path: Path) -> None:
    runs = planned(tmp_path / "study")
    struck = runs[0].folder
    write_atomically(struck.path / "struck", b"")

    def strike() -> None:
        """Kill the Dask worker whose run is half-way, and waits there."""
        eventually((struck.path / "half-way").exists)
        os.kill(int((struck.path / "half-way").read_text()), signal.SIGKILL)

    with worker(place, address), worker(place, address):
        await_workers(address, 2)
        with connect(address, tmp_path, {"GPU": 1}, no_warning) as cluster:
            striking = threading.Thread(target=strike)
            striking.start()
            executor = cluster.executor(LocalExecutor(3, "cpu", None, None, "waits_half_way"))
            assert run_planned(runs, None, executor, {"jobs": 3, "threads": 1}, fresh=False, track=False) == 0
            striking.join()
    check_undisturbed(runs, tmp_path)
    for run in runs:
        attempts = run.folder.read_json("attempts.json") or []
        assert [attempt["epochs"] for attempt in attempts] == ([2] if run.folder is struck else [])
        assert all(attempt["reason"].startswith("its Dask worker tcp://127.0.0.1:") for attempt in attempts)
        assert run.folder.read_json("environment.json")["cpu"]
        assert not list(run.folder.path.glob("checkpoint*"))
    assert not list(tmp_path.glob(".dask-*"))


def test_a_run_that_takes_its_dask_worker_with_it_is_failed(place: Path, address: str, tmp_path: Path) -> None:
    run, recorder = RunFolder(tmp_path / "run"), Recorder()
    run.write_json("config.json", {})
    with worker(place, address), worker(place, address):
        await_workers(address, 2)
        with connect(address, tmp_path, {}, no_warning) as cluster:
            workers = LocalExecutor(1, "cpu", None, None, "kills_its_dask_worker", retries=0)
            cluster.executor(workers).execute([run], recorder)
    ((status, reason),) = recorder.endings
    assert status == "failed"
    assert reason.startswith("its Dask worker tcp://127.0.0.1:")
    assert reason.endswith(f" was lost; see {run.path / 'log.txt'}")
    assert len(run.read_json("attempts.json")) == 1
    assert run.result is not None


def test_nothing_goes_on_without_the_command(place: Path, address: str, tmp_path: Path) -> None:
    with worker(place, address) as dask_worker:
        await_workers(address, 1)
        here = psutil.Process(dask_worker.pid)
        for number in (signal.SIGINT, signal.SIGKILL):
            RunFolder(tmp_path / "run").write_json("config.json", {})
            with running(place, "-m", "coordinates", address, str(tmp_path / "run")) as command:
                eventually(here.children)
                command.send_signal(number)
                command.wait()
                eventually(lambda: not here.children())
        assert dask_worker.poll() is None


def test_under_a_new_scheduler_runs_go_on_and_end_bit_for_bit(place: Path, address: str, tmp_path: Path) -> None:
    runs = planned(tmp_path / "study")
    struck = runs[1].folder
    write_atomically(struck.path / "struck", b"")
    facts = {"jobs": 1, "threads": 1}
    with scheduling(place, "mortal.json") as (mortal, process), worker(place, mortal):
        await_workers(mortal, 1)
        with connect(mortal, tmp_path, {"GPU": 1}, no_warning) as cluster:

            def strike() -> None:
                eventually((struck.path / "half-way").exists)
                process.kill()

            striking = threading.Thread(target=strike)
            striking.start()
            executor = cluster.executor(LocalExecutor(1, "cpu", None, None, "waits_half_way"))
            with pytest.raises(HarnessError, match=r"^the Dask scheduler is gone .* the same command goes on$"):
                run_planned(runs, None, executor, facts, fresh=False, track=False)
            striking.join()
    assert not list(tmp_path.glob(".dask-*"))
    assert [run.folder.result is not None for run in runs] == [True, False, False]
    assert len(struck.read_trace()) == 2
    finished = (runs[0].folder.path / "result.json").read_bytes()
    with FileLock(struck.path / ".lock", timeout=60):  # its process ends with the Dask worker
        pass

    with worker(place, address):
        await_workers(address, 1)
        with connect(address, tmp_path, {"GPU": 1}, no_warning) as cluster:
            executor = cluster.executor(LocalExecutor(3, "cpu", None, None))
            assert run_planned(runs, None, executor, facts, fresh=False, track=False) == 0
    assert (runs[0].folder.path / "result.json").read_bytes() == finished
    assert not list(tmp_path.glob("study/*/*/attempts.json"))  # no run had a fault of its own
    check_undisturbed(runs, tmp_path)


def test_a_scheduler_that_died_before_the_first_run_is_one_line(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "PATIENCE", 1)
    warned: list[str] = []
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    with (
        scheduling(place, "mortal.json") as (address, process),
        connect(address, tmp_path, {"GPU": 1}, warned.append) as cluster,
    ):
        executor = cluster.executor(LocalExecutor(1, "cpu", None, None))
        process.kill()
        for _ in range(2):
            with pytest.raises(HarnessError, match=r"^the Dask scheduler is gone .* the same command goes on$"):
                executor.execute([run], Recorder())
            eventually(lambda: cluster.client.status == "closed")  # Dask has looked for it, and given up
    assert warned == ["no Dask worker is there yet; runs wait for one"]
    assert list(tmp_path.iterdir()) == [run.path]
    assert list(run.path.iterdir()) == []


def test_a_scheduler_that_dies_while_machines_are_looked_at_is_one_line(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "PATIENCE", 1)
    with scheduling(place, "mortal.json") as (address, process):

        def look(*arguments: Any) -> dict[str, str]:
            process.kill()
            process.wait()
            return software()

        monkeypatch.setattr(backend, "software", look)
        with (
            pytest.raises(HarnessError, match=r"^no Dask scheduler answers at tcp://127"),
            connect(address, tmp_path, {}, no_warning),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_an_address_where_no_scheduler_answers_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backend, "PATIENCE", 0.5)
    for address, shown in {
        "tcp://127.0.0.1:9": "tcp://127.0.0.1:9",
        "nonsense://bob:hunter2@here": "nonsense://here",
    }.items():
        with pytest.raises(HarnessError) as caught, connect(address, tmp_path, {}, no_warning):
            pass
        assert str(caught.value).startswith(f"no Dask scheduler answers at {shown} (")
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.fixture
def compatibility(tmp_path: Path) -> Iterator[Compatibility]:
    """As a command makes it."""
    folder = tmp_path / "runs" / ".dask-1"
    folder.mkdir(parents=True)
    (folder / "token").write_text(folder.name)
    with FileLock(folder / "lock"):
        yield Compatibility(folder, software())


def test_a_machine_that_shares_folder_locks_and_software_has_no_problem(compatibility: Compatibility) -> None:
    assert problem(compatibility) == ""


def elsewhere(compatibility: Compatibility) -> Compatibility:
    return replace(compatibility, folder=compatibility.folder.with_name(".dask-2"))


def another_folder(compatibility: Compatibility) -> Compatibility:
    (compatibility.folder / "token").write_text("of a folder of the same name")
    return compatibility


def unlocked(compatibility: Compatibility) -> Compatibility:
    os.replace(compatibility.folder / "lock", compatibility.folder / "another lock")
    return compatibility


def changed(name: str, value: str) -> Callable[[Compatibility], Compatibility]:
    def change(compatibility: Compatibility) -> Compatibility:
        different: Mapping[str, str] = {**compatibility.software, name: value}
        return replace(compatibility, software=different)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (elsewhere, "does not see what this command writes in "),
        (another_folder, "sees another "),
        (unlocked, "is not kept out by a lock in "),
        (changed("torch", "1.0"), "has another version of torch ("),
        (changed("plug-ins", "package mine 3"), "has another version of plug-ins (none, here package mine 3); install"),
        (changed("source of nas-harness", "0"), "has another version of source of nas-harness ("),
    ],
)
def test_what_a_machine_lacks_is_one_line(
    change: Callable[[Compatibility], Compatibility], said: str, compatibility: Compatibility
) -> None:
    found = problem(change(compatibility))
    assert found.startswith(said)
    assert "\n" not in found


def test_threads_share_the_cores_of_the_machine_where_they_are_fewest() -> None:
    def look(host: str, cores: int, slots: int) -> dict[str, Any]:
        return {"host": host, "cores": cores, "slots": slots}

    assert backend.threads([look("a", 16, 2), look("a", 16, 2), look("b", 8, 1)]) == 4
    assert backend.threads([look("a", 2, 8)]) == 1
    assert backend.threads([]) == 1


# --- the command line


def test_options_of_a_cluster_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run = ("run", "--method", "darts")
    assert "add --executor dask" in refusal(call(*run, "--scheduler", "tcp://127.0.0.1:9"))
    dask = (*run, "--executor", "dask")
    assert "add --scheduler tcp://HOST:PORT" in refusal(call(*dask))
    dask = (*dask, "--scheduler", "tcp://127.0.0.1:9")
    assert "'GPU' is no NAME=AMOUNT such as GPU=1" in refusal(call(*dask, "--worker-resources", "GPU"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refusal(call(*dask)).endswith("install it with: pip install 'nas-harness[dask]'")
    assert list(tmp_path.iterdir()) == []
