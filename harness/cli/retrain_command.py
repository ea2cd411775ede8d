"""``harness retrain``: train one cell from scratch and test it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from harness.cli.options import (
    Seeds,
    check_folder,
    data_option,
    device_option,
    recipe_option,
    recipe_settings_option,
    runs_option,
    space_option,
    stoppable,
    warn,
)


@click.command("retrain")
@click.argument("architecture")
@click.option("--dataset", metavar="NAME", default="digits", show_default=True)
@recipe_option
@click.option("--seeds", type=Seeds(), default="3", show_default=True, help="A count, a list 5,7,9 or a range 10-14.")
@recipe_settings_option
@space_option
@runs_option
@data_option
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Trainings at once; cores are shared out.  [default: all cores]"
)
@device_option
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES", help="Stop a training that takes longer."
)
@click.option("--no-mlflow", is_flag=True, help="Do not mirror the trainings into MLflow.")
def retrain_command(
    architecture: str,
    dataset: str,
    recipe_name: str | None,
    seeds: list[int],
    overrides: tuple[str, ...],
    space_name: str,
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
    from harness.data.training_set import load_training_set
    from harness.execution.backend import LocalMachine
    from harness.registry import get_space
    from harness.retraining.trainings import prepare, representative, summary
    from harness.runs.results import runs_directory
    from harness.runs.schema import TRAININGS
    from harness.spaces.base import NetworkConfig
    from harness.spaces.network_size import parameters

    space = get_space(space_name)
    cell = space.find(architecture)
    folder, place = check_folder(runs_directory(runs)), LocalMachine()
    place.check(device)
    training = load_training_set(dataset, data_dir)
    retraining = prepare(folder, space, training, recipe_name, overrides, seeds, data_dir)
    warn(training.warning, retraining.test.warning)
    with stoppable():
        seconds = 60 * timeout if timeout else None
        retraining.carry_out([cell], jobs, device, data_dir, seconds, not no_mlflow, place)

    accuracies = retraining.accuracies(cell)
    recipe = retraining.recipe
    config = NetworkConfig(recipe.network.channels, recipe.network.cells, training.classes)
    click.echo(f"{space.format(cell)}, official index {space.index(cell)}")
    if (trained := representative(space, cell)) != cell:
        click.echo(f"trained as its isomorphic cell {space.format(trained)}, official index {space.index(trained)}")
    click.echo(
        f"C={config.channels}, N={config.cells}, {config.classes} classes: "
        f"{parameters(space.network(cell, config)):,} parameters"
    )
    click.echo(f"{dataset} test accuracy, recipe {recipe.title}: {summary(accuracies)}")
    click.echo(f"trainings in {shlex.quote(str(folder / TRAININGS))}")
    if None in accuracies:
        sys.exit(1)
