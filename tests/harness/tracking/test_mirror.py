"""What a user finds in MLflow of the runs delivered to it."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.runs.folder import RunFolder
from harness.spaces.nas_bench_201 import encoding
from harness.tracking import Store, TrackingError, connect, deliver
from tests.support.studies import StudyWriter, accuracy
from tests.support.tracked import CELLS, LiveRun, history, runs_of, table


def test_each_epoch_arrives_while_the_search_goes_on(store: Store, writer: StudyWriter, live: LiveRun) -> None:
    for epoch in (1, 2, 3):
        live.epochs(epoch)
        assert deliver(live.path, store, accuracy=table, running=True)
        run = runs_of(store, writer.path.name)["darts seed 0"]
        assert run.info.status == "RUNNING"
        assert history(store, run, "train_loss") == [(e, 2.0 / e) for e in range(1, epoch + 1)]
    assert history(store, run, "search_seconds") == [
        (1, pytest.approx(2)),
        (2, pytest.approx(4)),
        (3, pytest.approx(6)),
    ]
    assert history(store, run, "edges.skip_connect") == [(1, 6), (2, 0), (3, 6)]
    assert history(store, run, "table.cifar10") == [(e, accuracy(CELLS[e - 1])) for e in (1, 2, 3)]


def test_what_was_not_measured_is_left_out(store: Store, writer: StudyWriter) -> None:
    folder = writer.add("random-search", 0, CELLS[:1], datasets=())
    rows = RunFolder(folder).read_trace()
    rows[0]["valid_loss"] = rows[0]["alpha_entropy"] = None
    RunFolder(folder).write_trace(rows)
    deliver(folder, store)
    metrics = runs_of(store, writer.path.name)["random-search seed 0"].data.metrics
    assert "train_loss" in metrics
    assert not {"valid_loss", "alpha_entropy", "table.cifar10"} & set(metrics)


def test_a_run_carries_its_configuration_and_environment(store: Store, writer: StudyWriter) -> None:
    settings = {"tau_max": 10.0, "note": "x" * 7000}
    deliver(writer.add("gdas", 3, CELLS, hyperparameters=settings, environment={"torch": "2.13"}), store)
    data = runs_of(store, writer.path.name)["gdas seed 3"].data
    wanted = {"method": "gdas", "method.tau_max": "10.0", "seed": "3", "protocol.search.epochs": "3"}
    assert wanted.items() <= data.params.items()
    assert data.params["method.note"] == "x" * 6000
    assert data.tags["environment.torch"] == "2.13"
    assert (data.tags["harness.study"], data.tags["harness.label"]) == (writer.path.name, "gdas")


def test_seeds_are_nested_in_their_method(store: Store, writer: StudyWriter) -> None:
    for method, seed in (("darts", 0), ("darts", 1), ("gdas", 0)):
        deliver(writer.add(method, seed, CELLS), store)
    runs = runs_of(store, writer.path.name)
    assert set(runs) == {"darts", "gdas", "darts seed 0", "darts seed 1", "gdas seed 0"}
    for name, run in runs.items():
        method, _, seed = name.partition(" ")
        assert run.data.tags.get("mlflow.parentRunId") == (runs[method].info.run_id if seed else None)


def test_a_second_delivery_sends_nothing(store: Store, writer: StudyWriter) -> None:
    folder = writer.add("darts", 0, CELLS)
    assert deliver(folder, store)
    before = runs_of(store, writer.path.name)["darts seed 0"]
    assert not deliver(folder, store)
    assert history(store, before, "table.cifar100") == [(e, accuracy(CELLS[e - 1], "cifar100")) for e in (1, 2, 3, 4)]


def test_a_kill_before_recording_duplicates_nothing(store: Store, writer: StudyWriter, live: LiveRun) -> None:
    live.epochs(2)
    deliver(live.path, store, accuracy=table)
    (live.path / "mlflow.json").unlink()
    live.epochs(3)
    deliver(live.path, store, accuracy=table)
    runs = runs_of(store, writer.path.name)
    assert set(runs) == {"darts", "darts seed 0"}
    assert [step for step, _ in history(store, runs["darts seed 0"], "train_loss")] == [1, 2, 3]
    assert [step for step, _ in history(store, runs["darts seed 0"], "table.cifar10")] == [1, 2, 3]


def test_coordinators_side_by_side_share_the_method_run(store: Store, writer: StudyWriter) -> None:
    folders = [writer.add("darts", seed, CELLS) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda folder: deliver(folder, store), folders))
    assert set(runs_of(store, writer.path.name)) == {"darts", *(f"darts seed {seed}" for seed in range(6))}


def test_table_accuracies_looked_up_later_are_filled_in(store: Store, writer: StudyWriter, live: LiveRun) -> None:
    live.epochs(4)
    deliver(live.path, store)
    assert "table.cifar10" not in runs_of(store, writer.path.name)["darts seed 0"].data.metrics
    live.end()
    deliver(live.path, store)
    run = runs_of(store, writer.path.name)["darts seed 0"]
    assert history(store, run, "table.cifar10") == [(e, accuracy(CELLS[e - 1])) for e in (1, 2, 3, 4)]
    assert [step for step, _ in history(store, run, "train_loss")] == [1, 2, 3, 4]


def test_a_finished_run_has_totals_files_and_a_drawing(store: Store, writer: StudyWriter, tmp_path: Path) -> None:
    folder = writer.add("darts", 0, CELLS)
    deliver(folder, store, draw=lambda space, architecture: f"{space} {architecture}".encode())
    run = runs_of(store, writer.path.name)["darts seed 0"]
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 600_000  # ms: ten minutes, as its result says
    assert run.data.metrics["final.cifar10"] == accuracy(CELLS[-1])
    assert run.data.metrics["final.search_seconds"] == 8.0
    files = {item.path for item in store.client.list_artifacts(run.info.run_id)}
    assert files == {"config.json", "trace.jsonl", "result.json", "evaluation.json", "cell.png"}
    drawing = store.client.download_artifacts(run.info.run_id, "cell.png", str(tmp_path))
    assert Path(drawing).read_text() == f"nas-bench-201 {encoding.to_string(CELLS[-1])}"


@pytest.mark.parametrize(("status", "shown"), [("failed", "FAILED"), ("diverged", "FAILED"), ("timed out", "KILLED")])
def test_a_failure_is_shown_with_its_reason(store: Store, writer: StudyWriter, status: Any, shown: str) -> None:
    deliver(writer.add("darts", 0, CELLS), store)
    folder = writer.add("darts", 1, CELLS[:2], status=status, reason="alpha became nan in epoch 3")
    (folder / "log.txt").write_text("Traceback")
    deliver(folder, store)
    runs = runs_of(store, writer.path.name)
    failed = runs["darts seed 1"]
    assert failed.info.status == shown
    assert failed.data.tags["harness.status"] == status
    assert failed.data.tags["harness.reason"] == "alpha became nan in epoch 3"
    assert "final.cifar10" not in failed.data.metrics
    assert "log.txt" in {item.path for item in store.client.list_artifacts(failed.info.run_id)}
    assert runs["darts"].info.status == "FAILED"


def test_a_failed_run_started_again_ends_as_finished(store: Store, writer: StudyWriter) -> None:
    deliver(writer.add("darts", 0, CELLS[:2], status="failed", reason="out of memory"), store)
    folder = writer.add("darts", 0, CELLS[:2], status=None, datasets=())
    (folder / "result.json").unlink()
    deliver(folder, store, running=True)
    runs = runs_of(store, writer.path.name)
    assert {run.info.status for run in runs.values()} == {"RUNNING"}
    deliver(writer.add("darts", 0, CELLS), store)
    runs = runs_of(store, writer.path.name)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["darts seed 0"].data.tags["harness.reason"] == ""


def test_another_server_gets_what_it_lacks(
    store: Store, writer: StudyWriter, live: LiveRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.epochs(2)
    deliver(live.path, store)
    shutil.copy(store.uri.removeprefix("sqlite:///"), tmp_path / "copy.db")
    live.epochs(4)
    deliver(live.path, store)
    for name in ("copy.db", "empty.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name}")
        other = connect()
        assert deliver(live.path, other)
        run = runs_of(other, writer.path.name)["darts seed 0"]
        assert [step for step, _ in history(other, run, "train_loss")] == [1, 2, 3, 4]


def test_a_run_deleted_in_mlflow_stays_deleted(store: Store, writer: StudyWriter) -> None:
    folder = writer.add("darts", 0, CELLS)
    deliver(folder, store)
    store.client.delete_run(runs_of(store, writer.path.name)["darts seed 0"].info.run_id)
    assert not deliver(folder, store)
    assert set(runs_of(store, writer.path.name)) == {"darts"}


@pytest.mark.parametrize("delivered_before", [True, False])
def test_a_deleted_experiment_is_told(store: Store, writer: StudyWriter, delivered_before: bool) -> None:
    folder = writer.add("darts", 0, CELLS)
    if delivered_before:
        deliver(folder, store)
    else:
        store.client.create_experiment(writer.path.name)
    store.client.delete_experiment(store.client.get_experiment_by_name(writer.path.name).experiment_id)
    with pytest.raises(TrackingError, match="was deleted; restore it"):
        deliver(folder, store)


def test_a_folder_without_configuration_is_left_alone(store: Store, writer: StudyWriter) -> None:
    folder = writer.path / "darts" / "seed-0-abc"
    folder.mkdir(parents=True)
    assert not deliver(folder, store)


def test_the_record_holds_what_was_delivered(store: Store, writer: StudyWriter) -> None:
    folder = writer.add("darts", 0, CELLS)
    deliver(folder, store)
    record = json.loads((folder / "mlflow.json").read_text())
    run = runs_of(store, writer.path.name)["darts seed 0"]
    assert (record["uri"], record["run_id"], record["rows"]) == (store.uri, run.info.run_id, 4)
