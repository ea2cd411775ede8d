"""``harness ui``: MLflow's page on the tracked runs."""

from __future__ import annotations

import importlib.util
import os
import shlex
import socket
import sys
from pathlib import Path

import click

from harness.errors import HarnessError
from harness.tracking.redact import shown
from harness.tracking.store import SETTINGS, connect, sqlite_file, tracking_uri


@click.command("ui")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def ui_command(port: int, host: str) -> None:
    """Open MLflow's page on the tracked runs until Ctrl-C.

    Shows the store that runs are mirrored into: MLFLOW_TRACKING_URI, else mlflow.db in the working directory. Where
    that is a server, its page is already open and its address is printed.
    """
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        click.echo(f"MLFLOW_TRACKING_URI is a server; its page is {shown(uri)}")
        return
    file = sqlite_file(uri)
    if file and not file.is_file():
        raise HarnessError(f"nothing tracked yet: no {file}; start with: harness run --method darts --seeds 5")
    package = importlib.util.find_spec("mlflow")
    if package is None or package.origin is None:
        raise HarnessError("harness ui needs the package mlflow; install it with: pip install mlflow")
    _check_free(host, port)
    environment = _environment(uri, Path(package.origin).parents[1])
    store = connect()  # a store that does not answer is named here without its password; MLflow would print all
    click.echo(f"MLflow's page opens in a few seconds: http://{host}:{port} (Ctrl-C ends it)")
    newest = store.client.search_experiments(
        max_results=5, filter_string="name != 'Default'", order_by=["creation_time DESC"]
    )
    for study in newest:  # MLflow's first page is about language models
        page = f"#/experiments/{study.experiment_id}/runs?workflowType=machine_learning"
        click.echo(f"  {study.name}: http://{host}:{port}/{page}")
    options = ["--host", host, "--port", str(port), "--workers", "1"]
    click.echo(shlex.join(["mlflow", "ui", "--backend-store-uri", store.uri, *options]), err=True)
    sys.stdout.flush()
    # in the place of this process, so that no server is left when it is killed or its terminal closes
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options], environment)


def _environment(uri: str, packages: Path) -> dict[str, str]:
    """Variables of MLflow's process. The address of the store may hold a password, so it is no option.

    Neither Python nor uvicorn looks for modules in the working directory, which may hold an ``mlflow.py``.
    """
    return {
        **SETTINGS,
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_UVICORN_OPTS": f"--log-level warning --app-dir {shlex.quote(str(packages))}",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "PYTHONSAFEPATH": "1",
    }


def _check_free(host: str, port: int) -> None:
    """Raise :class:`HarnessError` where another program listens on the port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise HarnessError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another: harness ui --port {port % 65535 + 1}"
        ) from None
