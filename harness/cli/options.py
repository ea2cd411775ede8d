"""Options and helpers that several verbs share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

DEFAULT_SPACE = "nas-bench-201"
RETRIES = 2

FOLDER = click.Path(path_type=Path)


def warn(*warnings: str) -> None:
    """Print warnings; an empty one is none."""
    for warning in filter(None, warnings):
        click.echo(f"harness: {warning}", err=True)


@contextmanager
def stoppable() -> Iterator[None]:
    """In the block, the signal by which schedulers stop a process is like Ctrl-C."""
    terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, terminated)


def program() -> str:
    """The command that starts this program: ``harness``, or its path where the shell would not find it."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "harness" or shutil.which("harness") == str(called):
        return "harness"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def installer() -> str:
    """The command that installs into this program's environment: ``pip``, or its Python with ``-m pip``."""
    called = program()
    return "pip" if called == "harness" else f"{Path(called).with_name('python')} -m pip"


space_option = click.option("--space", default=DEFAULT_SPACE, show_default=True, help="Search space.")
runs_option = click.option(
    "--runs", type=FOLDER, metavar="DIR", help="Folder of the studies.  [default: $HARNESS_RUNS_DIR or runs]"
)
data_option = click.option(
    "--data-dir", type=FOLDER, metavar="DIR", help="Data sets.  [default: $HARNESS_DATA_DIR or data]"
)
device_option = click.option("--device", default="cpu", show_default=True, help="PyTorch's name: cpu, cuda, cuda:1.")
timeout_option = click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES", help="Stop a run that takes longer."
)
retries_option = click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=RETRIES,
    show_default=True,
    help="How often a search whose process was killed, by a lack of memory say, goes on from its checkpoint.",
)
no_mlflow_option = click.option("--no-mlflow", is_flag=True, help="Do not mirror the runs into MLflow.")
recipe_option = click.option(
    "--recipe",
    metavar="NAME",
    help="By name, or a YAML file of your own.  [default: short for digits, else nas-bench-201]",
)
recipe_settings_option = click.option(
    "--set",
    "set",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the recipe (training.epochs=12).",
)


def backend_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where it works: ``executor``, ``scheduler`` and ``worker_resources``."""
    for option in (
        click.option(
            "--worker-resources",
            multiple=True,
            metavar="NAME=AMOUNT",
            help="What a run takes of what Dask workers offer (GPU=1).",
        ),
        click.option("--scheduler", metavar="ADDRESS", help="Of the Dask cluster: tcp://HOST:PORT."),
        click.option(
            "--executor",
            type=click.Choice(["local", "dask"]),
            default="local",
            show_default=True,
            help="Where runs go: processes here, or a Dask cluster that shares the --runs folder (docs/cluster.md).",
        ),
    ):
        command = option(command)
    return command
