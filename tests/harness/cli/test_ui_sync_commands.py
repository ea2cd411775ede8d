"""``harness sync`` and ``harness ui`` as a user calls them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import harness
from harness.errors import HarnessError
from harness.tracking import connect, deliver
from tests.support.paths import environment
from tests.support.studies import ALL_CONV3, ALL_SKIP, StudyWriter

CELLS = [ALL_SKIP, ALL_CONV3]
SECRET = "hunter2"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(harness, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with an MLflow store."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(autouse=True)
def work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("HARNESS_RUNS_DIR", raising=False)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_sync_delivers_what_is_missing_and_says_how_much(tmp_path: Path) -> None:
    first, second = StudyWriter(tmp_path, "first"), StudyWriter(tmp_path, "second")
    deliver(first.add("darts", 0, CELLS), connect())
    first.add("darts", 1, CELLS)
    second.add("gdas", 0, CELLS)
    result = call("sync", "--runs", str(tmp_path), "--study", "first")
    assert result.exit_code == 0, result.output
    assert "first: 1 runs up to date, 1 delivered" in result.output
    assert "second" not in result.output
    result = call("sync", "--runs", str(tmp_path))
    assert "first: 2 runs up to date, 0 delivered" in result.output
    assert "second: 0 runs up to date, 1 delivered" in result.output


def test_sync_draws_the_cell_of_a_finished_run(tmp_path: Path) -> None:
    StudyWriter(tmp_path, "drawn").add("darts", 0, CELLS)
    assert call("sync", "--runs", str(tmp_path)).exit_code == 0
    client = connect().client
    experiment = client.get_experiment_by_name("drawn").experiment_id
    (run,) = client.search_runs([experiment], "tags.`harness.status` = 'finished'")
    drawing = Path(client.download_artifacts(run.info.run_id, "cell.png", str(tmp_path)))
    assert drawing.read_bytes().startswith(b"\x89PNG")


def test_sync_says_which_server_is_down(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    StudyWriter(tmp_path, "held-back").add("darts", 0, CELLS)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://bob:{SECRET}@127.0.0.1:{port}")
    result = call("sync", "--runs", str(tmp_path))
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert f"MLflow at http://127.0.0.1:{port} does not answer" in result.output
    assert "repeat: harness sync" in result.output


def test_sync_goes_on_after_a_damaged_run(tmp_path: Path) -> None:
    writer = StudyWriter(tmp_path, "damaged")
    (writer.add("darts", 0, CELLS) / "trace.jsonl").write_text("{")
    writer.add("gdas", 0, CELLS)
    result = call("sync", "--runs", str(tmp_path))
    assert result.exit_code == 1
    assert "trace.jsonl is damaged" in result.output
    assert "damaged: 0 runs up to date, 1 delivered, 1 failed" in result.output


def test_sync_without_studies_says_how_to_start(tmp_path: Path) -> None:
    result = call("sync", "--runs", str(tmp_path))
    assert isinstance(result.exception, HarnessError)
    assert "harness run" in str(result.exception)


def test_ui_without_a_store_says_how_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("ui")
    assert isinstance(result.exception, HarnessError)
    assert "nothing tracked yet" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_ui_of_a_server_names_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://bob:{SECRET}@mlflow.example.org/team")
    result = call("ui")
    assert result.exit_code == 0
    assert "https://mlflow.example.org/team" in result.output
    assert SECRET not in result.output


def test_ui_says_that_its_port_is_taken() -> None:
    connect()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        result = call("ui", "--port", str(taken))
    assert isinstance(result.exception, HarnessError)
    assert f"cannot listen on 127.0.0.1:{taken}" in str(result.exception)


def test_ui_without_mlflow_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connect()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = call("ui")
    assert isinstance(result.exception, HarnessError)
    assert "pip install mlflow" in str(result.exception)


def test_ui_of_a_database_that_does_not_answer_hides_the_password(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"mongodb://bob:{SECRET}@127.0.0.1/x")
    result = call("ui", "--port", str(port))
    assert isinstance(result.exception, HarnessError)
    assert "mongodb://127.0.0.1/x" in str(result.exception)
    assert SECRET not in result.output + str(result.exception)


@pytest.fixture
def shown() -> str:
    """The id of the newest study in the store."""
    return connect().experiment("shown")


@pytest.fixture
def page(folder: Path, port: int, shown: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``harness ui`` running, and its address. Modules in its working directory are not MLflow's."""
    for name in ("mlflow", "uvicorn"):
        (folder / f"{name}.py").write_text("raise SystemExit('a module of the working directory was run')")
    # as the installed script, without the working directory on the path
    command = [sys.executable, "-P", "-c", "from harness.cli.main import main; main()", "ui", "--port", str(port)]
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert f"http://127.0.0.1:{port}" in line, process.communicate()
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(process: subprocess.Popen[str], address: str) -> None:
    """Return when the page answers."""
    limit = time.monotonic() + 120
    while True:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)


def ask(address: str, path: str, question: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/{path}", json.dumps(question).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_ui_shows_the_runs_takes_new_ones_and_ends_with_ctrl_c(
    tmp_path: Path, shown: str, page: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, address = page
    assert process.stdout is not None
    assert process.stdout.readline() == f"  shown: {address}/#/experiments/{shown}/runs?workflowType=machine_learning\n"
    wait_for(process, address)
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert b"<html" in answer.read()

    # a server with a password in its address: runs arrive through its REST interface, the password stays nowhere
    writer = StudyWriter(tmp_path, "over-http")
    run_folder = writer.add("darts", 0, CELLS)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("://", f"://bob:{SECRET}@"))
    result = call("sync", "--runs", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output
    assert SECRET not in (run_folder / "mlflow.json").read_text()
    experiments = ask(address, "experiments/search", {"max_results": 100})["experiments"]
    (experiment,) = [each["experiment_id"] for each in experiments if each["name"] == "over-http"]
    runs = ask(address, "runs/search", {"experiment_ids": [experiment]})["runs"]
    assert {run["info"]["run_name"]: run["info"]["status"] for run in runs} == {
        "darts": "FINISHED",
        "darts seed 0": "FINISHED",
    }
    files = {item.path for item in connect().client.list_artifacts(runs[0]["info"]["run_id"])} | {
        item.path for item in connect().client.list_artifacts(runs[1]["info"]["run_id"])
    }
    assert {"config.json", "cell.png"} <= files

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    with (
        pytest.raises(OSError, match="refused"),
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))),
    ):
        pass
