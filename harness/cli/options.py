"""What several verbs share: option types, checks of the machine's folders, the name under which we were called."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError
from harness.execution.local import RETRIES

if TYPE_CHECKING:
    from harness.execution.backend import Place

DEFAULT_SPACE = "nas-bench-201"

MOST_SEEDS = 10_000
"""Of one command: more is a slip of the finger."""

FOLDER = click.Path(path_type=Path)


class Seeds(click.ParamType):  # type: ignore[type-arg]
    """``5`` means seeds 0 to 4; ``5,7,9`` and ``10-14`` name them."""

    name = "seeds"

    def convert(self, value: str | list[int], param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        if re.fullmatch(r"[0-9]{1,18}", value):
            ranges = [range(int(value))]
        else:
            named = [re.fullmatch(r" *([0-9]{1,18})(?:-([0-9]{1,18}))? *", part) for part in value.split(",")]
            ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) if part else range(0) for part in named]
        if not all(ranges):
            self.fail(f"{value!r} names no seeds; give a count (5: seeds 0 to 4), a list (5,7,9) or a range (10-14)")
        if sum(map(len, ranges)) > MOST_SEEDS:
            self.fail(f"{value!r} names more than {MOST_SEEDS:,} seeds")
        return list(dict.fromkeys(seed for each in ranges for seed in each))


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


def check_folder(runs: Path) -> Path:
    """The folder of the studies, which may not exist yet. Raises :class:`HarnessError` where it cannot."""
    for folder in (runs, *runs.parents):
        if folder.exists() and not folder.is_dir():
            raise HarnessError(f"{folder} is not a folder; choose another one with --runs")
    return runs


def working_place(executor: str, scheduler: str | None, resources: tuple[str, ...], runs: Path | None) -> Place:
    """What the options of :func:`place_options` mean; a cluster is left when the command ends."""
    from harness.execution.backend import LocalMachine
    from harness.runs.results import runs_directory

    if executor == "local":
        if scheduler or resources:
            raise HarnessError("--scheduler and --worker-resources are for a cluster; add --executor dask")
        return LocalMachine()
    if not scheduler:
        raise HarnessError("--executor dask needs the address of a scheduler; add --scheduler tcp://HOST:PORT")
    from harness.execution.dask.backend import connect

    needed = dict(_resource(text) for text in resources)
    return click.get_current_context().with_resource(
        connect(scheduler, check_folder(runs_directory(runs)), needed, warn)
    )


def _resource(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    if not name or not re.fullmatch(r"[0-9]+(\.[0-9]+)?(e[0-9]{1,2})?", amount):
        raise HarnessError(f"--worker-resources {text!r} is no NAME=AMOUNT such as GPU=1")
    return name, float(amount)


def program() -> str:
    """What the user has to type for this program: ``harness``, or its path where the shell would not find it."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "harness" or shutil.which("harness") == str(called):
        return "harness"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def installer() -> str:
    """How to install into this program's environment: ``pip``, or by its Python where the shell would not find it."""
    called = program()
    return "pip" if called == "harness" else f"{Path(called).with_name('python')} -m pip"


space_option = click.option("--space", "space_name", default=DEFAULT_SPACE, show_default=True, help="Search space.")
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
    "recipe_name",
    metavar="NAME",
    help="By name, or a YAML file of your own.  [default: short for digits, else nas-bench-201]",
)
recipe_settings_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the recipe (training.epochs=12).",
)


def place_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where it works, ``executor``, ``scheduler`` and ``resources``."""
    for option in (
        click.option(
            "--worker-resources",
            "resources",
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
