"""``harness retrain``: train one cell from scratch and test it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from harness.cli.options import (
    data_option,
    device_option,
    no_mlflow_option,
    recipe_option,
    recipe_settings_option,
    runs_option,
    space_option,
    stoppable,
    timeout_option,
)


@click.command("retrain")
@click.argument("architecture")
@click.option("--dataset", metavar="NAME", default="digits", show_default=True, help="Train and test on this data set.")
@recipe_option
@click.option(
    "--seeds", default="3", show_default=True, metavar="SEEDS", help="A count, a list 5,7,9 or a range 10-14."
)
@recipe_settings_option
@space_option
@runs_option
@data_option
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Trainings at once; they share the cores.  [default: all cores]"
)
@device_option
@timeout_option
@no_mlflow_option
def retrain_command(
    architecture: str,
    dataset: str,
    recipe: str | None,
    seeds: str,
    set: tuple[str, ...],
    space: str,
    runs: Path | None,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    no_mlflow: bool,
) -> None:
    """Train a cell's network from scratch on a whole training set, and test it once.

    ARCHITECTURE is a string, in quotes, such as
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|', or the official index.

    Ctrl-C at any time; the same command goes on where it stopped, and finished trainings are not repeated. Isomorphic
    cells are one: the one of the lowest index is trained.

    Exit code: 0 all trainings finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.api.cells import train_cell
    from harness.retraining.trainings import representative, summary
    from harness.runs.schema import TRAININGS
    from harness.spaces.base import NetworkConfig
    from harness.spaces.network_size import parameters

    with stoppable():
        retraining, cell = train_cell(
            architecture, dataset, recipe, seeds, set, space, runs, data_dir, jobs, device, timeout, no_mlflow
        )
    accuracies, shape = retraining.accuracies(cell), retraining.recipe.network
    searched, classes = retraining.space, retraining.training.classes
    click.echo(f"{searched.format(cell)}, official index {searched.index(cell)}")
    if (trained := representative(searched, cell)) != cell:
        click.echo(
            f"trained as its isomorphic cell {searched.format(trained)}, official index {searched.index(trained)}"
        )
    network = searched.network(cell, NetworkConfig(shape.channels, shape.cells, classes))
    click.echo(f"C={shape.channels}, N={shape.cells}, {classes} classes: {parameters(network):,} parameters")
    click.echo(f"{dataset} test accuracy, recipe {retraining.recipe.title}: {summary(accuracies)}")
    click.echo(f"trainings in {shlex.quote(str(retraining.runs / TRAININGS))}")
    if None in accuracies:
        sys.exit(1)
