"""The mirror that delivers to MLflow while searches go on, and servers that fail."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.tracking import Mirror, Store, TrackingError, connect, deliver
from tests.support.studies import StudyWriter
from tests.support.tracked import CELLS, LiveRun, delivered_rows, history, runs_of, table, wait_until

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror looks at once for what is new."""
    monkeypatch.setattr("harness.tracking.mirror.INTERVAL", 0.05)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address, with a password, of a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://bob:{SECRET}@127.0.0.1:{taken.getsockname()[1]}?token={SECRET}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri


def after_one_epoch(live: LiveRun, tell: Callable[[str], None]) -> Mirror:
    """A mirror that has delivered the first epoch of a run."""
    mirror = Mirror(tell, accuracy=table)
    live.epochs(1)
    mirror.touch(live.path)
    wait_until(lambda: delivered_rows(live.path) == 1)
    return mirror


CHANGES = ("create_experiment", "create_run", "log_batch", "log_artifact", "update_run", "set_terminated")


class Dying:
    """An MLflow client whose server takes so many changes, and dies before it can answer the last one."""

    def __init__(self, client: Any, changes: int) -> None:
        self.client, self.left = client, changes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **options: Any) -> Any:
            found = getattr(self.client, name)(*arguments, **options) if self.left else None
            self.left -= name in CHANGES
            if self.left <= 0:
                self.left = 0
                raise ConnectionError("the connection was reset")
            return found

        return ask


def test_whenever_the_server_dies_the_next_delivery_brings_the_rest_and_nothing_twice(
    store: Store, tmp_path: Path
) -> None:
    deaths = 0
    for changes in range(1, 50):
        writer = StudyWriter(tmp_path / "runs", f"{tmp_path.name}-{changes}")
        folder = writer.add("darts", 0, CELLS)
        try:
            deliver(folder, replace(store, client=Dying(store.client, changes)))
            break
        except TrackingError:
            deaths += 1
        deliver(folder, store)
        runs = runs_of(store, writer.path.name)
        assert {name: run.info.status for name, run in runs.items()} == {
            "darts": "FINISHED",
            "darts seed 0": "FINISHED",
        }
        run = runs["darts seed 0"]
        assert [step for step, _ in history(store, run, "train_loss")] == [1, 2, 3, 4]
        assert [step for step, _ in history(store, run, "table.cifar10")] == [1, 2, 3, 4]
        assert len(history(store, run, "final.cifar10")) == 1
        assert len(store.client.list_artifacts(run.info.run_id)) == 4
    assert deaths > 10


def test_an_outage_is_told_once_and_loses_nothing(
    writer: StudyWriter, live: LiveRun, unreachable: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    other = writer.add("gdas", 0, CELLS)
    mirror = Mirror(told.append, accuracy=table)
    live.epochs(1)
    mirror.touch(live.path)
    wait_until(lambda: bool(told))
    live.epochs(2)
    mirror.touch(other)
    assert mirror.close() == sorted([live.path, other])
    assert len(told) == 1
    assert "Connection refused" in told[0]
    assert told[0].endswith("`harness sync` delivers it later")
    assert SECRET not in told[0]
    assert "bob" not in told[0]
    assert not any(SECRET in file.read_text() for file in writer.path.rglob("*") if file.is_file())

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mirror = Mirror(told.append, accuracy=table)
    mirror.touch(live.path)
    mirror.touch(other)
    assert mirror.close() == []
    run = runs_of(connect(), writer.path.name)["darts seed 0"]
    assert [step for step, _ in history(connect(), run, "train_loss")] == [1, 2]
    assert len(told) == 1


def test_a_server_that_dies_half_way_gets_the_rest_later(
    store: Store, writer: StudyWriter, live: LiveRun, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    mirror = after_one_epoch(live, told.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{writer.path}/none.db/mlflow.db")  # stands for its death
    (writer.path / "none.db").touch()
    for epoch in (2, 3, 4):
        live.epochs(epoch)
        mirror.touch(live.path)
        wait_until(lambda: bool(told))
    live.end()
    mirror.touch(live.path)
    assert mirror.close() == [live.path]
    assert len(told) == 1

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert deliver(live.path, store)  # as harness sync does
    assert not deliver(live.path, store)
    run = runs_of(store, writer.path.name)["darts seed 0"]
    assert run.info.status == "FINISHED"
    assert [step for step, _ in history(store, run, "train_loss")] == [1, 2, 3, 4]


def test_an_error_of_the_server_does_not_show_the_token(unreachable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", f"{SECRET}\n")  # a header that cannot be sent: requests prints it
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingError) as caught:
        connect()
    assert SECRET not in str(caught.value)


def test_a_mirror_delivers_while_the_search_goes_on(store: Store, writer: StudyWriter, live: LiveRun) -> None:
    told: list[str] = []
    mirror = after_one_epoch(live, told.append)
    assert runs_of(store, writer.path.name)["darts seed 0"].info.status == "RUNNING"
    live.epochs(4)
    live.end()
    mirror.touch(live.path)
    assert mirror.close() == []
    assert runs_of(store, writer.path.name)["darts seed 0"].info.status == "FINISHED"
    assert told == []


def test_an_interrupted_run_is_killed_until_it_goes_on(store: Store, writer: StudyWriter, live: LiveRun) -> None:
    live.epochs(2)
    told: list[str] = []
    mirror = Mirror(told.append)
    mirror.touch(live.path)
    wait_until(lambda: delivered_rows(live.path) == 2)
    assert (mirror.close(), told) == ([], [])
    assert runs_of(store, writer.path.name)["darts seed 0"].info.status == "KILLED"
    assert not deliver(live.path, store)  # harness sync does not know whether it goes on
    live.epochs(3)
    assert deliver(live.path, store, running=True)
    assert {run.info.status for run in runs_of(store, writer.path.name).values()} == {"RUNNING"}


def test_one_damaged_run_does_not_hold_up_the_others(store: Store, writer: StudyWriter) -> None:
    damaged, sound = writer.add("darts", 0, CELLS), writer.add("gdas", 0, CELLS)
    (damaged / "trace.jsonl").write_text("{")
    told: list[str] = []
    mirror = Mirror(told.append)
    mirror.touch(damaged)
    mirror.touch(sound)
    assert mirror.close() == [damaged]
    assert "trace.jsonl is damaged" in told[0]
    assert runs_of(store, writer.path.name)["gdas seed 0"].info.status == "FINISHED"
