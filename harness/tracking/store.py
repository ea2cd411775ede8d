"""Connect to the MLflow store and find a study's runs in it."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.tracking.redact import censored, shown

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
"""Environment MLflow runs under here, except where the user has set it: fail fast, print nothing, report nothing."""

SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""Environment variables whose values must never be printed."""

TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment that makes MLflow's page show training runs and not traces of language models."""


class TrackingError(HarnessError):
    """MLflow did not take what it was sent. Nothing is lost: ``harness sync`` delivers it later."""


@dataclass(frozen=True)
class Store:
    """A connection to an MLflow store that has answered.

    Attributes:
        client: an ``mlflow.MlflowClient``.
        uri: its address without credentials.
        artifacts: folder for the artifacts of new experiments; None where the server decides.
    """

    client: Any
    uri: str
    artifacts: Path | None

    def experiment(self, study: str) -> str:
        """The id of the study's experiment, created if need be. Raises :class:`TrackingError` if it was deleted."""
        experiment = self.client.get_experiment_by_name(study)
        if experiment is None:
            location = (self.artifacts / study).as_uri() if self.artifacts else None
            return str(self.client.create_experiment(study, location, TRAINING))
        self.check_experiment(experiment)
        return str(experiment.experiment_id)

    def check_experiment(self, experiment: Any) -> None:
        """Raise :class:`TrackingError` if an experiment was deleted in MLflow."""
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"MLflow experiment {experiment.name!r} was deleted; restore it with "
                f"`mlflow experiments restore -x {experiment.experiment_id}` or use another study name"
            )

    def find(self, experiment: str, identity: str) -> str | None:
        """The id of the run with this ``harness.identity`` in an experiment."""
        runs = self.client.search_runs([experiment], f"tags.`harness.identity` = '{identity}'", max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def run(self, run_id: str) -> Any:
        """An MLflow run, deleted or not; None where the store does not have it."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def tracking_uri() -> str:
    """The store that is mirrored into: ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the working directory.

    SQLite paths come back absolute. May hold credentials: print and store it only as :func:`shown`.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or "sqlite:///mlflow.db"
    file = sqlite_file(uri)
    _, mark, query = uri.partition("?")
    return f"sqlite:///{file}{mark}{query}" if file else uri


def sqlite_file(uri: str) -> Path | None:
    """The absolute path of the database that a SQLite address names; None for other addresses."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute()


def redacted(text: str) -> str:
    """A text without what is secret in :func:`tracking_uri` and in :data:`SECRETS`, its URLs masked."""
    return censored(text, tracking_uri(), (os.environ.get(name, "").strip() for name in SECRETS))


def explain(error: BaseException) -> str:
    """The first line of what an error comes from, without secrets and at most 300 characters."""
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = cause
    text = redacted(str(error)).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def connect() -> Store:
    """Open the store that :func:`tracking_uri` names, creating a SQLite store that does not exist yet.

    Raises :class:`TrackingError` naming the address, without credentials, where it does not answer.
    """
    uri = tracking_uri()
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for logger in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        file = sqlite_file(uri)
        if file:
            _check_sqlite(file)
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    except Exception as error:
        raise TrackingError(f"MLflow at {shown(uri)} does not answer ({explain(error)})") from None
    return Store(client, shown(uri), file.parent / "mlartifacts" if file else None)


def _check_sqlite(file: Path) -> None:
    """Fail at once where a database cannot be opened: MLflow would try for a hundred seconds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=5)) as database:
        database.execute("PRAGMA schema_version")
