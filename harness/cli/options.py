"""What several verbs share: option types, checks of the machine's folders, the name under which we were called."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from harness.errors import HarnessError

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


def program() -> str:
    """What the user has to type for this program: ``harness``, or its path where the shell would not find it."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "harness" or shutil.which("harness") == str(called):
        return "harness"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


space_option = click.option("--space", "space_name", default=DEFAULT_SPACE, show_default=True, help="Search space.")
runs_option = click.option(
    "--runs", type=FOLDER, metavar="DIR", help="Folder of the studies.  [default: $HARNESS_RUNS_DIR or runs]"
)
data_option = click.option(
    "--data-dir", type=FOLDER, metavar="DIR", help="Data sets.  [default: $HARNESS_DATA_DIR or data]"
)
device_option = click.option("--device", default="cpu", show_default=True, help="PyTorch's name: cpu, cuda, cuda:1.")
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
