"""``harness estimate``: what ``harness run`` with the same options would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.search_options import SearchOptions, asked, search_options

if TYPE_CHECKING:
    from harness.study.estimating import Estimate, Part


@click.command("estimate")
@search_options
def estimate_command(given: SearchOptions) -> None:
    """Measure a few steps of each method and print what harness run with the same options would cost.

    Nothing is searched and no run folder is written. Finished runs of the study are not counted again.
    """
    from harness.execution.backend import LocalMachine
    from harness.study.estimating import estimate
    from harness.study.folder import check_comparable

    found = asked(given, given.overrides, LocalMachine())
    study, planned, rules, threads = found.study, found.planned, found.rules, found.threads
    check_comparable(study, planned)
    todo = sum(not run.cached for run in planned)
    click.echo(f"study {study.name}: {len(planned)} runs, {todo} of them to do; protocol {rules.name}, {rules.dataset}")
    if todo:
        worker = f"{threads} thread{'s' if threads > 1 else ''} of the CPU" if given.device == "cpu" else given.device
        _print(estimate(planned, threads, given.device, given.data_dir), found.at_once, worker)


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
    from harness.study.progress import duration

    measured = part.measured
    costs = [duration(measured.seconds), f"{measured.memory_mib:,.0f} MiB"] if measured else ["", ""]
    return [part.label, str(part.runs), str(len(part.left)), *costs, duration(part.seconds)]


def _makespans(found: Estimate, jobs: int) -> list[str]:
    """The time until all are done of 1, 2, 4, … workers up to one a run, and of as many as there would be here."""
    from harness.study.progress import duration

    counts = {1, len(found.queue), min(jobs, len(found.queue))}
    counts |= {2**power for power in range(1, len(found.queue).bit_length()) if 2**power < len(found.queue)}
    here = " (--jobs)"
    return [f"{count}{here if count == jobs else ''}: {duration(found.makespan(count))}" for count in sorted(counts)]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} device-hours"
