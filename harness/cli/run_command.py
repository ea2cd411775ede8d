"""``harness run``: search with one or several methods and seeds."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    Seeds,
    no_mlflow_option,
    place_options,
    program,
    retries_option,
    stoppable,
    timeout_option,
    warn,
    working_place,
)
from harness.cli.search_options import SearchOptions, asked, search_options
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.data.training_set import TrainingSet
    from harness.retraining.trainings import Retraining
    from harness.spaces.base import SearchSpace
    from harness.study.planned_run import PlannedRun

RECIPE = "recipe."
"""What settings of the recipe begin with, in --set."""


@click.command("run")
@search_options
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
@timeout_option
@retries_option
@place_options
@click.option("--fresh", is_flag=True, help="Start over: delete what these runs left before.")
@no_mlflow_option
@click.option("--dry-run", is_flag=True, help="Print the runs and stop.")
def run_command(
    given: SearchOptions,
    evaluate: str,
    recipe_name: str | None,
    training_seeds: list[int],
    timeout: float | None,
    retries: int,
    executor: str,
    scheduler: str | None,
    resources: tuple[str, ...],
    fresh: bool,
    no_mlflow: bool,
    dry_run: bool,
) -> None:
    """Search with one or several methods and seeds, evaluate the derived cells, and track it all.

    Ctrl-C at any time; the same command goes on where it stopped, and finished runs are not repeated.

    Exit code: 0 all runs finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.benchmarks.load import load_table
    from harness.execution.local import Workers
    from harness.study.folder import check_comparable, open_study
    from harness.study.running import conduct
    from harness.tracking.redact import masked, shown

    of_recipe = [text for text in given.overrides if text.startswith(RECIPE)]
    place = working_place(executor, scheduler, resources, given.runs)
    found = asked(given, [text for text in given.overrides if text not in of_recipe], place)
    rules, study, planned, runs = found.rules, found.study, found.planned, found.study.parent
    retraining = _retraining(
        evaluate, runs, found.space, found.training, recipe_name, of_recipe, training_seeds, given.data_dir
    )
    warn(retraining.test.warning if retraining else "")
    loaded = None if evaluate == "retrain" else load_table(found.source, found.space)
    if dry_run:
        check_comparable(study, planned)
        _print_plan(planned, study, found.at_once, fresh)
        return

    words = [word.replace(scheduler, shown(scheduler)) if scheduler else word for word in sys.argv[1:]]
    open_study(study, planned, masked(shlex.join([program(), *words])), found.source)
    seconds = 60 * timeout if timeout else None
    workers = Workers(found.at_once, given.device, given.data_dir, seconds, retries=retries)
    facts = place.facts(given.device, found.at_once, found.threads)
    with stoppable():
        unfinished = conduct(planned, loaded, place.executor(workers), facts, fresh=fresh, track=not no_mlflow)
        if retraining:
            retraining.final_cells(planned, given.jobs, given.device, given.data_dir, seconds, not no_mlflow, place)
    click.echo(f"study {study.name}: {len(planned) - unfinished} of {len(planned)} runs finished, in {study}")
    if retraining and not _print_retrained(planned, retraining):
        unfinished += 1
    click.echo(f"protocol {rules.name}: {rules.description}")
    if loaded:
        click.echo(f"table {loaded.name}: {loaded.provenance['description']}")
    where = f" --runs {shlex.quote(str(given.runs))}" if given.runs else ""
    click.echo(f"rank the methods: {program()} report{where}")
    if unfinished:
        sys.exit(1)


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
    """How final cells are retrained; None: not at all. Raises as :func:`harness.retraining.trainings.prepare` does."""
    from harness.retraining.trainings import prepare

    if evaluate != "lookup":
        settings = [text.removeprefix(RECIPE) for text in overrides]
        return prepare(runs, space, training, recipe, settings, seeds, data_directory)
    if recipe or overrides:
        raise HarnessError("a recipe is for retraining; add --evaluate retrain or --evaluate both")
    return None


def _print_retrained(planned: list[PlannedRun], retraining: Retraining) -> bool:
    """A line for each run whose final cell was to be retrained; whether all trainings finished."""
    from harness.retraining.trainings import summary

    found = {run.name: retraining.accuracies(cell) for run, cell in retraining.derived(planned)}
    for name, accuracies in found.items():
        click.echo(f"{name}: retrained on {retraining.training.name}, {summary(accuracies)}")
    return not any(None in accuracies for accuracies in found.values())


def _print_plan(planned: list[PlannedRun], study: Path, at_once: int, fresh: bool) -> None:
    todo = [run for run in planned if fresh or not run.cached]
    for run in planned:
        click.echo(f"{run.name}: {run.config['epochs']} epochs, {'new' if fresh else run.state}, {run.folder.path}")
    click.echo(f"study {study.name}: {len(todo)} of {len(planned)} runs to do, {at_once} at once")
