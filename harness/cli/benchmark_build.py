"""``harness benchmark build``: a tabular benchmark of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import (
    data_option,
    device_option,
    recipe_option,
    recipe_settings_option,
    space_option,
    stoppable,
    warn,
)


@click.command("build")
@space_option
@click.option("--dataset", metavar="NAME", default="digits", show_default=True)
@recipe_option
@click.option("--seeds", default="3", show_default=True, metavar="SEEDS", help="Training seeds of every cell.")
@click.option("--short", type=click.IntRange(min=1), metavar="EPOCHS", help="The short budget.  [default: a quarter]")
@recipe_settings_option
@click.option("--name", metavar="NAME", help="Name of the table.  [default: data set and recipe]")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes, of one thread each.  [default: one a core]")
@device_option
@data_option
def build(
    space: str,
    dataset: str,
    recipe: str | None,
    seeds: str,
    short: int | None,
    set: tuple[str, ...],
    name: str | None,
    jobs: int | None,
    device: str,
    data_dir: Path | None,
) -> None:
    """Train every functionally unique cell of a space from scratch and keep the results as a table.

    A cell is trained on half of the training images, validated on the other half and tested on the test images, with
    each training seed, for the recipe's epochs and, anew, for the short budget.

    Ctrl-C at any time; the same command goes on where it stopped.
    """
    from harness.benchmark_builder.build import measure_cells, plan_build
    from harness.benchmark_builder.table import make_table, store_table
    from harness.benchmarks.store import new_table_path
    from harness.config.seeds import read_seeds
    from harness.data.training_set import load_training_set
    from harness.progress import Bar
    from harness.registry import get_space
    from harness.retraining.test_set import load_test_set
    from harness.retraining.trainings import recipe_for
    from harness.runs.environment import check_device, cores

    cells = get_space(space)
    check_device(device)
    training = load_training_set(dataset, data_dir)
    settings = recipe_for(training, recipe, set)
    test = load_test_set(dataset, data_dir)
    warn(training.warning, test.warning)
    called = name or f"{dataset}-{settings.name}"
    new_table_path(called)
    planned = plan_build(called, cells, training, test, settings, short, read_seeds(seeds))
    with stoppable(), Bar(called, unit="cells", lines=100) as bar:
        rows = measure_cells(planned, jobs or cores(), device, data_dir, bar.set)
    table = make_table(planned, cells, rows)
    click.echo(f"table {called}: {len(rows):,} cells measured, {cells.size:,} architectures answer")
    click.echo(f"stored as {store_table(planned, cells, table)}")
    click.echo(f"use it: harness run --table {called}")
