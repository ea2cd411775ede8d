"""``harness run``: search with one or several methods and seeds."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import program, stoppable
from harness.cli.study_options import takes_study_options

if TYPE_CHECKING:
    from harness.api.searches import Outcome
    from harness.config.study_options import StudyOptions


@click.command("run")
@takes_study_options
@click.option("--dry-run", is_flag=True, help="Print the options as a file for --config, with the runs, and stop.")
def run_command(options: StudyOptions, dry_run: bool) -> None:
    """Search with one or several methods and seeds, evaluate the derived cells, and track it all.

    Ctrl-C at any time; the same command goes on where it stopped, and finished runs are not repeated.

    Exit code: 0 all runs finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.api.searches import plan_options, run_options

    if dry_run:
        click.echo(options.to_yaml(), nl=False)
        for line in str(plan_options(options)).splitlines():
            click.echo(f"# {line}")
        return
    with stoppable():
        outcome = run_options(options, _command(options.scheduler))
    _print(outcome, options.runs)
    if outcome.unfinished or _retraining_unfinished(outcome):
        sys.exit(1)


def _command(scheduler: str | None) -> str:
    """The command line as the study records it, without credentials."""
    from harness.tracking.redact import masked, shown

    words = [word.replace(scheduler, shown(scheduler)) if scheduler else word for word in sys.argv[1:]]
    return masked(shlex.join([program(), *words]))


def _print(outcome: Outcome, runs: Path | None) -> None:
    """Print how many runs finished, what was retrained, and where the numbers come from."""
    from harness.retraining.trainings import summary

    study, total = outcome.study, len(outcome.runs)
    click.echo(f"study {study.name}: {total - outcome.unfinished} of {total} runs finished, in {study.path}")
    if (retraining := outcome.retraining) is not None:
        for planned, cell in retraining.derived(outcome.runs):
            line = summary(retraining.accuracies(cell))
            click.echo(f"{planned.name}: retrained on {retraining.training.name}, {line}")
    if outcome.protocol is not None:
        click.echo(f"protocol {outcome.protocol.name}: {outcome.protocol.description}")
    if outcome.table is not None:
        click.echo(f"table {outcome.table.name}: {outcome.table.provenance['description']}")
    where = f" --runs {shlex.quote(str(runs))}" if runs else ""
    click.echo(f"rank the methods: {program()} report{where}")


def _retraining_unfinished(outcome: Outcome) -> bool:
    """True if a training of a final cell did not finish."""
    if (retraining := outcome.retraining) is None:
        return False
    return any(None in retraining.accuracies(cell) for _, cell in retraining.derived(outcome.runs))
