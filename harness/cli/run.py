"""``harness run``: search with one or several methods and seeds."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import DEFAULT_SPACE, FOLDER, Seeds, check_folder, program, stoppable, warn
from harness.errors import HarnessError
from harness.executor import RETRIES

if TYPE_CHECKING:
    from harness.answers import Answers
    from harness.data import TrainingSet
    from harness.experiment import PlannedRun
    from harness.protocol import Protocol
    from harness.retrain import Retraining
    from methods.base import Method
    from spaces.base import SearchSpace

RECIPE = "recipe."
"""What settings of the recipe begin with, in --set."""


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
    "--table", metavar="NAME", help="Imported table, or a CSV file.  [default: the study's, at first the embedded]"
)
@click.option(
    "--evaluate",
    type=click.Choice(["lookup", "retrain", "both"]),
    default="lookup",
    show_default=True,
    help="Final cells: look them up, train them from scratch on the data searched on, or both.",
)
@click.option(
    "--recipe",
    "recipe_name",
    metavar="NAME",
    help="How cells are retrained; change a setting with --set recipe.KEY=VALUE.  "
    "[default: short for digits, else nas-bench-201]",
)
@click.option(
    "--training-seeds", type=Seeds(), default="3", show_default=True, help="Of each retrained cell, as for --seeds."
)
@click.option("--study", "study_name", metavar="NAME", help="[default: the protocol, with its hash if it was changed]")
@click.option("--runs", type=FOLDER, metavar="DIR", help="Folder of the studies.  [default: $HARNESS_RUNS_DIR or runs]")
@click.option("--data-dir", type=FOLDER, metavar="DIR", help="Data sets.  [default: $HARNESS_DATA_DIR or data]")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once; cores are shared out.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="PyTorch's name: cpu, cuda, cuda:1.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES", help="Stop a run that takes longer."
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=RETRIES,
    show_default=True,
    help="How often a search whose process was killed, by a lack of memory say, goes on from its checkpoint.",
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
    evaluate: str,
    recipe_name: str | None,
    training_seeds: list[int],
    study_name: str | None,
    runs: Path | None,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    retries: int,
    fresh: bool,
    no_mlflow: bool,
    dry_run: bool,
) -> None:
    """Search with one or several methods and seeds, evaluate the derived cells, and track it all.

    Ctrl-C at any time; the same command goes on where it stopped, and finished runs are not repeated.

    Exit code: 0 all runs finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.catalogue import get_space
    from harness.data import load_training_set
    from harness.environment import check_device, cores, environment
    from harness.executor import Workers
    from harness.experiment import (
        check_comparable,
        check_possible,
        configure,
        known_table,
        open_study,
        plan,
        split_overrides,
    )
    from harness.protocol import load_protocol
    from harness.results import runs_directory
    from harness.session import conduct
    from harness.tables import load_table, table_reference

    of_recipe = [text for text in overrides if text.startswith(RECIPE)]
    hyperparameters, settings = split_overrides(text for text in overrides if text not in of_recipe)
    if dataset:
        settings.append(f"dataset={dataset}")
    methods = configure(list(dict.fromkeys(names)), hyperparameters)
    rules = load_protocol(protocol, settings)
    space = get_space(space_name)
    check_device(device)
    training = load_training_set(rules.dataset, data_dir)
    for method in methods:
        check_possible(method, space, rules, training)
    place = runs_directory(runs)
    retraining = _retraining(evaluate, place, space, training, recipe_name, of_recipe, training_seeds, data_dir)
    warn(training.warning, retraining.test.warning if retraining else "")

    study = study_folder(place, study_name or default_study(rules, load_protocol(protocol), space_name))
    at_once = min(jobs or cores(), len(methods) * len(seeds))
    threads = max(1, cores() // at_once)
    source = known_table(study) if table is None else table_reference(table)
    loaded = None if evaluate == "retrain" else load_table(source, space)
    told = table_answers(methods, rules, space, source)
    planned = plan(study, methods, seeds, space, rules, training, threads, told)
    if dry_run:
        check_comparable(study, planned)
        _print_plan(planned, study, at_once, fresh)
        return

    open_study(study, planned, shlex.join([program(), *sys.argv[1:]]), source)
    seconds = 60 * timeout if timeout else None
    workers = Workers(at_once, device, data_dir, seconds, retries=retries)
    facts = environment(device, at_once, threads)
    with stoppable():
        unfinished = conduct(planned, loaded, workers, facts, fresh=fresh, track=not no_mlflow)
        if retraining:
            retraining.final_cells(planned, jobs, device, data_dir, seconds, not no_mlflow)
    click.echo(f"study {study.name}: {len(planned) - unfinished} of {len(planned)} runs finished, in {study}")
    if retraining and not _print_retrained(planned, retraining):
        unfinished += 1
    click.echo(f"protocol {rules.name}: {rules.description}")
    if loaded:
        click.echo(f"table {loaded.name}: {loaded.provenance['description']}")
    click.echo(f"rank the methods: {program()} report" + (f" --runs {shlex.quote(str(runs))}" if runs else ""))
    if unfinished:
        sys.exit(1)


def table_answers(
    methods: Sequence[Method], protocol: Protocol, space: SearchSpace, source: str | None
) -> Answers | None:
    """What the table tells the query-based methods; None where it tells nothing. Raises as :func:`answers` does."""
    from harness.answers import answers
    from harness.tables import load_table
    from methods.base import QueryMethod

    if protocol.queries.answers != "table" or not any(isinstance(method, QueryMethod) for method in methods):
        return None
    return answers(load_table(source, space), protocol)


def _retraining(
    evaluate: str,
    runs: Path,
    space: SearchSpace,
    training: TrainingSet,
    recipe: str | None,
    overrides: Sequence[str],
    seeds: list[int],
    data_directory: Path | None,
) -> Retraining | None:
    """How final cells are retrained; None: not at all. Raises as :func:`harness.retrain.prepare` does."""
    from harness.retrain import prepare

    if evaluate != "lookup":
        settings = [text.removeprefix(RECIPE) for text in overrides]
        return prepare(runs, space, training, recipe, settings, seeds, data_directory)
    if recipe or overrides:
        raise HarnessError("a recipe is for retraining; add --evaluate retrain or --evaluate both")
    return None


def _print_retrained(planned: list[PlannedRun], retraining: Retraining) -> bool:
    """A line for each run whose final cell was to be retrained; whether all trainings finished."""
    from harness.retrain import summary

    found = {run.name: retraining.accuracies(cell) for run, cell in retraining.derived(planned)}
    for name, accuracies in found.items():
        click.echo(f"{name}: retrained on {retraining.training.name}, {summary(accuracies)}")
    return not any(None in accuracies for accuracies in found.values())


def default_study(protocol: Protocol, unchanged: Protocol, space: str) -> str:
    """A name that runs under other rules do not get."""
    name = protocol.name + (f"-{protocol.hash[:6]}" if protocol.hash != unchanged.hash else "")
    return name if space == DEFAULT_SPACE else f"{name}-{space}"


def study_folder(runs: Path, name: str) -> Path:
    """Where a study of this name is kept. Raises :class:`HarnessError` where that cannot be."""
    if name.startswith(".") or "/" in name or os.sep in name:
        raise HarnessError(f"--study {name!r} is no name; give one without a slash that does not begin with a dot")
    return check_folder(runs) / name


def _print_plan(planned: list[PlannedRun], study: Path, at_once: int, fresh: bool) -> None:
    todo = [run for run in planned if fresh or not run.cached]
    for run in planned:
        click.echo(f"{run.name}: {run.config['epochs']} epochs, {'new' if fresh else run.state}, {run.folder.path}")
    click.echo(f"study {study.name}: {len(todo)} of {len(planned)} runs to do, {at_once} at once")
