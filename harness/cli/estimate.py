"""``harness estimate``: what ``harness run`` with the same options would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import DEFAULT_SPACE, FOLDER, Seeds, warn
from harness.cli.run import default_study, study_folder, table_answers

if TYPE_CHECKING:
    from harness.estimate import Estimate, Part


@click.command("estimate")
@click.option("--method", "names", multiple=True, required=True, metavar="NAME", help="Repeat it for several methods.")
@click.option("--seeds", type=Seeds(), default="5", show_default=True, help="A count, a list 5,7,9 or a range 10-14.")
@click.option("--protocol", default="quick", show_default=True, help="By name, or a YAML file of your own.")
@click.option("--dataset", metavar="NAME", help="Search on this data set; short for --set dataset=NAME.")
@click.option("--space", "space_name", default=DEFAULT_SPACE, show_default=True, help="Search space.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="As for harness run.")
@click.option("--table", metavar="NAME", help="As for harness run; matters where a table answers a search.")
@click.option("--study", "study_name", metavar="NAME", help="As for harness run: its finished runs cost nothing.")
@click.option("--runs", type=FOLDER, metavar="DIR", help="Folder of the studies.  [default: $HARNESS_RUNS_DIR or runs]")
@click.option("--data-dir", type=FOLDER, metavar="DIR", help="Data sets.  [default: $HARNESS_DATA_DIR or data]")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once; cores are shared out.  [default: all cores]")
@click.option("--device", default="cpu", show_default=True, help="PyTorch's name: cpu, cuda, cuda:1.")
def estimate_command(
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
) -> None:
    """Measure a few steps of each method and print what harness run with the same options would cost.

    Nothing is searched and no run folder is written. Finished runs of the study are not counted again.
    """
    from harness.catalogue import get_space
    from harness.data import load_training_set
    from harness.environment import check_device, cores
    from harness.estimate import estimate
    from harness.experiment import check_comparable, check_possible, configure, known_table, plan, split_overrides
    from harness.protocol import load_protocol
    from harness.results import runs_directory
    from harness.tables import table_reference

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
    warn(training.warning)

    study = study_folder(runs_directory(runs), study_name or default_study(rules, load_protocol(protocol), space_name))
    at_once = min(jobs or cores(), len(methods) * len(seeds))
    threads = max(1, cores() // at_once)
    source = known_table(study) if table is None else table_reference(table)
    told = table_answers(methods, rules, space, source)
    planned = plan(study, methods, seeds, space, rules, training, threads, told)
    check_comparable(study, planned)
    todo = sum(not run.cached for run in planned)
    click.echo(f"study {study.name}: {len(planned)} runs, {todo} of them to do; protocol {rules.name}, {rules.dataset}")
    if todo:
        worker = f"{threads} thread{'s' if threads > 1 else ''} of the CPU" if device == "cpu" else device
        _print(estimate(planned, threads, device, data_dir), at_once, worker)


def _print(found: Estimate, jobs: int, worker: str) -> None:
    """The table of methods, the total, and how long workers would take."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid("method", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("runs", "to do", "one run", "memory of one", "all to do"):
        grid.add_column(heading, justify="right")
    for part in found.parts:
        grid.add_row(*_row(part))
    Console(highlight=False, soft_wrap=True).print(grid)
    click.echo(f"total: {_hours(sum(found.queue))}, a device being {worker}")
    click.echo(f"time until all are done, by workers at once: {', '.join(_makespans(found, jobs))}")
    click.echo(
        "measured in a few steps of each method alone on this machine, diagnostics included; start-up, checkpoints and "
        "evaluation are not. Workers beyond this machine's cores or memory need machines of their own, and workers "
        "that share a machine are slower than one alone."
    )


def _row(part: Part) -> list[str]:
    from harness.progress import duration

    measured = part.measured
    costs = [duration(measured.seconds), f"{measured.memory_mib:,.0f} MiB"] if measured else ["", ""]
    return [part.label, str(part.runs), str(len(part.left)), *costs, duration(part.seconds)]


def _makespans(found: Estimate, jobs: int) -> list[str]:
    """The time until all are done of 1, 2, 4, … workers up to one a run, and of as many as there would be here."""
    from harness.progress import duration

    counts = {1, len(found.queue), min(jobs, len(found.queue))}
    counts |= {2**power for power in range(1, len(found.queue).bit_length()) if 2**power < len(found.queue)}
    here = " (--jobs)"
    return [f"{count}{here if count == jobs else ''}: {duration(found.makespan(count))}" for count in sorted(counts)]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} device-hours"
