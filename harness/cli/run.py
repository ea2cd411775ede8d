"""``harness run``: search with one or several methods and seeds."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.experiment import PlannedRun

DEFAULT_SPACE = "nas-bench-201"

FOLDER = click.Path(path_type=Path)


class Seeds(click.ParamType):  # type: ignore[type-arg]
    """``5`` means seeds 0 to 4; ``5,7,9`` and ``10-14`` name them."""

    name = "seeds"

    def convert(self, value: str | list[int], param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        try:
            parts = [f"0-{int(value) - 1}"] if value.isdecimal() and int(value) else value.split(",")
            seeds = [seed for part in parts for seed in _seed_range(part)]
        except ValueError:
            seeds = []
        if not seeds:
            self.fail(f"{value!r} names no seeds; give a count (5: seeds 0 to 4), a list (5,7,9) or a range (10-14)")
        return list(dict.fromkeys(seeds))


def _seed_range(text: str) -> range:
    first, dash, last = text.partition("-")
    return range(int(first), int(last if dash else first) + 1)


@click.command("run")
@click.option("--method", "names", multiple=True, required=True, metavar="NAME", help="Repeat it for several methods.")
@click.option("--seeds", type=Seeds(), default="5", show_default=True, help="A count, a list 5,7,9 or a range 10-14.")
@click.option("--protocol", default="quick", show_default=True, help="By name, or a YAML file of your own.")
@click.option("--dataset", metavar="NAME", help="Search on this data set; short for --set dataset=NAME.")
@click.option("--space", "space_name", default=DEFAULT_SPACE, show_default=True, help="Search space.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a hyper-parameter (gdas.tau_max=5) or a setting of the protocol (search.epochs=10).",
)
@click.option(
    "--table", metavar="CSV", help="Look cells up in this table.  [default: the study's, at first the embedded]"
)
@click.option("--study", "study_name", metavar="NAME", help="[default: the protocol, with its hash if it was changed]")
@click.option("--runs", type=FOLDER, metavar="DIR", help="Folder of the studies.  [default: $HARNESS_RUNS_DIR or runs]")
@click.option("--data-dir", type=FOLDER, metavar="DIR", help="Data sets.  [default: $HARNESS_DATA_DIR or data]")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once; cores are shared out.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="PyTorch's name: cpu, cuda, cuda:1.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES", help="Stop a run that takes longer."
)
@click.option("--fresh", is_flag=True, help="Start over: delete what these runs left before.")
@click.option("--no-mlflow", is_flag=True, help="Do not mirror the runs into MLflow.")
@click.option("--dry-run", is_flag=True, help="Print the runs and stop.")
def run_command(
    names: tuple[str, ...],
    seeds: list[int],
    protocol: str,
    dataset: str | None,
    space_name: str,
    overrides: tuple[str, ...],
    table: str | None,
    study_name: str | None,
    runs: Path | None,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    fresh: bool,
    no_mlflow: bool,
    dry_run: bool,
) -> None:
    """Search with one or several methods and seeds, look the derived cells up, and track it all.

    Ctrl-C at any time; the same command goes on where it stopped, and finished runs are not repeated.

    Exit code: 0 all runs finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.catalogue import get_space
    from harness.data import load_training_set
    from harness.environment import check_device, cores, environment
    from harness.executor import Workers
    from harness.experiment import check_possible, configure, known_table, open_study, plan, split_overrides
    from harness.protocol import load_protocol
    from harness.results import runs_directory
    from harness.session import conduct
    from harness.tables import EMBEDDED, load_table

    hyperparameters, settings = split_overrides(overrides)
    if dataset:
        settings.append(f"dataset={dataset}")
    methods = configure(list(dict.fromkeys(names)), hyperparameters)
    rules = load_protocol(protocol, settings)
    space = get_space(space_name)
    check_device(device)
    training = load_training_set(rules.dataset, data_dir)
    for method in methods:
        check_possible(method, space, rules, training)
    if training.warning:
        click.echo(f"harness: {training.warning}", err=True)

    default = rules.name + (f"-{rules.hash[:6]}" if settings else "")
    default += "" if space_name == DEFAULT_SPACE else f"-{space_name}"
    study = runs_directory(runs) / (study_name or default)
    at_once = min(jobs or cores(), len(methods) * len(seeds))
    threads = max(1, cores() // at_once)
    planned = plan(study, methods, seeds, space, rules, training, threads)
    if dry_run:
        _print_plan(planned, study, at_once, fresh)
        return

    source = known_table(study) if table is None else None if table == EMBEDDED else str(Path(table).absolute())
    loaded = load_table(source, space)
    open_study(study, planned, shlex.join([program(), *sys.argv[1:]]), source)
    workers = Workers(at_once, device, data_dir, 60 * timeout if timeout else None)
    facts = environment(device, at_once, threads)
    unfinished = conduct(planned, loaded, workers, facts, fresh=fresh, track=not no_mlflow)
    click.echo(f"study {study.name}: {len(planned) - unfinished} of {len(planned)} runs finished, in {study}")
    click.echo(f"table {loaded.name}: {loaded.provenance['description']}")
    click.echo(f"rank the methods: {program()} report" + (f" --runs {shlex.quote(str(runs))}" if runs else ""))
    if unfinished:
        sys.exit(1)


def _print_plan(planned: list[PlannedRun], study: Path, at_once: int, fresh: bool) -> None:
    todo = [run for run in planned if fresh or not run.cached]
    for run in planned:
        click.echo(f"{run.name}: {run.config['epochs']} epochs, {'new' if fresh else run.state}, {run.folder.path}")
    click.echo(f"study {study.name}: {len(todo)} of {len(planned)} runs to do, {at_once} at once")


def program() -> str:
    """What the user has to type for this program: ``harness``, or its path where the shell would not find it."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "harness" or shutil.which("harness") == str(called):
        return "harness"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)
