"""``harness ui``: MLflow's page on the tracked runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import IO

import click

from harness.errors import HarnessError
from harness.tracking.redact import shown
from harness.tracking.store import SETTINGS, redacted, sqlite_file, tracking_uri

START = 120.0
"""Seconds MLflow has to answer the first time; it needs about five on an idle machine."""

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine without the proxy that the user may have set."""


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
    _check_free(host, port)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryFile() as log, _server(uri, host, port, log) as server:
        try:
            address = f"http://{host}:{port}"
            click.echo(f"starting MLflow on {shown(uri)} ...", err=True)
            _wait(server, address, log)
            click.echo(f"MLflow's page: {address} (Ctrl-C ends it)")
            for study, page in _newest_studies(address):
                click.echo(f"  {study}: {page}")
            server.wait()
            raise HarnessError(f"MLflow ended by itself: {_last_line(log)}")
        except KeyboardInterrupt:
            click.echo("MLflow's page is closed", err=True)
        finally:
            server.terminate()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_free(host: str, port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise HarnessError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another: harness ui --port {port % 65535 + 1}"
        ) from None


def _server(uri: str, host: str, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """MLflow's server in a session of its own, so that Ctrl-C reaches only us. Its address may hold a password."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    quiet = {name: value for name, value in SETTINGS.items() if name != "MLFLOW_LOGGING_LEVEL"}
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_UVICORN_OPTS": "--log-level warning",
        **quiet,
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,
    }
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def _wait(server: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    """Return when the page answers. Raises HarnessError if it never does."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with DIRECT.open(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise HarnessError(f"MLflow's page did not start: {_last_line(log)}")


def _newest_studies(address: str) -> list[tuple[str, str]]:
    """The last five studies and where their runs are: MLflow's first page is about language models."""
    question = {"max_results": 5, "order_by": ["creation_time DESC"], "filter": "name != 'Default'"}
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with DIRECT.open(request, timeout=30) as answer:
        found = json.load(answer).get("experiments", [])
    runs = "#/experiments/{}/runs?workflowType=machine_learning"
    return [(each["name"], f"{address}/{runs.format(each['experiment_id'])}") for each in found]


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return redacted(lines[-1]) if lines else "it printed nothing"
