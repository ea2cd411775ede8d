"""Sending what is new in a run folder to MLflow: study = experiment, method label = parent run, seed = nested run.

``mlflow.json`` in the folder records what has arrived (see :class:`Delivered`), so that a delivery sends only what is
new and can be repeated at any time. A run is found again by its tag ``harness.identity`` where the record is missing,
and metrics carry times computed from its start and costs, so that MLflow recognises one that is sent twice.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, TypedDict

from filelock import FileLock

from harness.errors import HarnessError
from harness.runs.folder import RunFolder
from harness.runs.results import Run
from harness.runs.schema import RunResult
from harness.tracking.metrics import Accuracy, epoch_metrics, params, table_metrics, totals
from harness.tracking.store import Store, TrackingError, explain

Draw = Callable[[str, str], bytes]
"""(space, architecture) to a PNG of the cell."""

ENDED = {
    "finished": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "timed out": "KILLED",
    "interrupted": "KILLED",
}
"""Status of a run: what MLflow calls it."""

ARTIFACTS = (
    "config.json",
    "trace.jsonl",
    "alphas.json",
    "result.json",
    "evaluation.json",
    "attempts.json",
    "method_source.txt",
    "log.txt",
)
MAX_METRICS, MAX_PARAMS, MAX_TAG = 1000, 100, 5000
"""MLflow's limits: metrics and parameters a request, characters a tag."""


class Delivered(TypedDict):
    """``mlflow.json``: what of a run has reached MLflow."""

    uri: str  # of the store, without credentials
    run_id: str
    rows: int  # trace rows sent
    table_rows: int  # trace rows whose table accuracy was sent
    ending: str | None  # digest of the result and evaluation sent, or "interrupted"; None while the run goes on


def deliver(
    folder: Path,
    store: Store,
    draw: Draw | None = None,
    accuracy: Accuracy | None = None,
    running: bool | None = None,
) -> bool:
    """Send what is new in a run folder since the last delivery; whether there was anything.

    Args:
        folder: a run folder, complete or not.
        store: where to; a store other than last time's gets the run from its first epoch on.
        draw: draws the derived cell, for the artifact ``cell.png``.
        accuracy: looks cells up while ``evaluation.json`` does not exist yet.
        running: of a run without a result, whether its search goes on; None where the caller does not know.

    Raises :class:`TrackingError` where MLflow fails; a later call then goes on where this one stopped.
    """
    try:
        with FileLock(folder.parent.parent / ".mlflow.lock", timeout=60):
            return _deliver(RunFolder(folder), store, draw, accuracy, running)
    except HarnessError:
        raise
    except Exception as error:
        raise TrackingError(f"MLflow at {store.uri} did not take {folder.name} ({explain(error)})") from None


def _deliver(
    folder: RunFolder, store: Store, draw: Draw | None, accuracy: Accuracy | None, running: bool | None
) -> bool:
    config, result, evaluation = folder.config, folder.result, folder.evaluation
    if config is None:
        return False
    # read last: beside a result it is complete
    run = Run(folder.path, config, result, folder.read_trace(), evaluation)
    old: Delivered | None = folder.read_json("mlflow.json")
    known = store.run(old["run_id"]) if old and old["uri"] == store.uri else None
    if known and known.info.lifecycle_stage == "deleted":
        store.check_experiment(store.client.get_experiment(known.info.experiment_id))
        return False  # this run was deleted on purpose
    if old is None or known is None:
        known = _find_or_create(run, store, folder.read_json("environment.json") or {})
        sent = Delivered(uri=store.uri, run_id=known.info.run_id, rows=0, table_rows=0, ending=None)
        folder.write_json("mlflow.json", sent)
    else:
        sent = old.copy()

    _send_rows(run, store, sent, known.info.start_time, accuracy)
    ending = _ending(run, running, sent["ending"])
    if ending != sent["ending"]:
        if result:
            _finish(run, result, store, known, draw)
        elif ending:
            _set_status(store, known, "interrupted", "", int(time.time() * 1000))
        else:
            _set_status(store, known, "running", "", None)
        sent["ending"] = ending
    if sent == old:
        return False
    folder.write_json("mlflow.json", sent)
    return True


def _find_or_create(run: Run, store: Store, environment: dict[str, Any]) -> Any:
    """The seed's run, nested in its method's, each found by its tag or created."""
    study, label = run.config["study"], run.label
    experiment = store.experiment(study)
    # the configuration is written first, and never again
    started = _moment(run.result["started"]) if run.result else int((run.path / "config.json").stat().st_mtime * 1000)
    common = {"harness.study": study, "harness.label": label, "mlflow.source.name": "harness run"}

    def find_or_create(identity: str, name: str, tags: dict[str, str]) -> str:
        tags = {**common, **tags, "harness.identity": identity}
        known = store.find(experiment, identity)
        return known or str(store.client.create_run(experiment, started, tags, name).info.run_id)

    method = find_or_create("method-" + hashlib.sha256(label.encode()).hexdigest()[:16], label, {})
    tags = {f"environment.{key}": str(value)[:MAX_TAG] for key, value in environment.items()}
    tags |= {"mlflow.parentRunId": method, "harness.status": "running"}
    run_id = find_or_create(run.config["identity"], f"{label} seed {run.seed}", tags)
    configuration = params(run.config)
    for first in range(0, len(configuration), MAX_PARAMS):
        store.client.log_batch(run_id, params=configuration[first : first + MAX_PARAMS])
    _settle(store, experiment, method)
    return store.run(run_id)


def _send_rows(run: Run, store: Store, sent: Delivered, started: int, accuracy: Accuracy | None) -> None:
    """Send the epochs that are new, and the table accuracies that have become known."""
    first = sent["table_rows"]
    epochs = [epoch_metrics(row, started) for row in run.trace[sent["rows"] :]]
    looked_up = (table_metrics(run, position, started, accuracy) for position in range(first, len(run.trace)))
    tables = list(takewhile(bool, looked_up))
    metrics = [metric for row in epochs + tables for metric in row]
    for start in range(0, len(metrics), MAX_METRICS):
        store.client.log_batch(sent["run_id"], metrics=metrics[start : start + MAX_METRICS])
    sent["rows"] += len(epochs)
    sent["table_rows"] += len(tables)


def _ending(run: Run, running: bool | None, before: str | None) -> str | None:
    if run.result:
        return hashlib.sha256(json.dumps([run.result, run.evaluation], sort_keys=True).encode()).hexdigest()
    if running is None:
        return before
    return None if running else "interrupted"


def _finish(run: Run, result: RunResult, store: Store, known: Any, draw: Draw | None) -> None:
    """Send totals, files and the drawing, then close the run."""
    client, run_id = store.client, known.info.run_id
    ended = _moment(result["ended"])
    client.log_batch(run_id, metrics=totals(run, result, ended))
    for name in ARTIFACTS:
        if (run.path / name).is_file():
            client.log_artifact(run_id, str(run.path / name))
    if draw and result["architecture"]:
        with tempfile.TemporaryDirectory() as scratch:
            drawing = Path(scratch) / "cell.png"
            drawing.write_bytes(draw(run.config["space"], result["architecture"]))
            client.log_artifact(run_id, str(drawing))
    _set_status(store, known, result["status"], result["reason"], ended)


def _moment(timestamp: str) -> int:
    """An ISO 8601 time in MLflow's milliseconds."""
    return int(datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000)


def _set_status(store: Store, known: Any, status: str, reason: str, ended: int | None) -> None:
    """Set a run's status, and with it that of its method. No end time means that the run goes on."""
    from mlflow.entities import RunTag

    run_id = known.info.run_id
    tags = [RunTag("harness.status", status), RunTag("harness.reason", reason[:MAX_TAG])]
    store.client.log_batch(run_id, tags=tags)
    if ended is None:
        store.client.update_run(run_id, status="RUNNING")
    else:
        store.client.set_terminated(run_id, ENDED[status], ended)
    _settle(store, known.info.experiment_id, known.data.tags["mlflow.parentRunId"])


def _settle(store: Store, experiment: str, method: str) -> None:
    """A method's run goes on while one of its seeds does, and has failed where one has not finished."""
    if store.client.get_run(method).info.lifecycle_stage == "deleted":
        return
    seeds = store.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{method}'")
    statuses = {seed.info.status for seed in seeds}
    if "RUNNING" in statuses:
        store.client.update_run(method, status="RUNNING")
    else:
        ended = max(seed.info.end_time for seed in seeds)
        store.client.set_terminated(method, "FINISHED" if statuses == {"FINISHED"} else "FAILED", ended)
