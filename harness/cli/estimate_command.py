"""``harness estimate``: the cost of what ``harness run`` with the same options would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.study_options import takes_study_options

if TYPE_CHECKING:
    from harness.config.study_options import StudyOptions
    from harness.study.estimating import Estimate, Part


@click.command("estimate")
@takes_study_options
def estimate_command(options: StudyOptions) -> None:
    """Measure a few steps of each method and print what harness run with the same options would cost.

    Nothing is searched and no run folder is written. Finished runs of the study are not counted again. Retraining is
    not measured.
    """
    from harness.api.searches import estimate_options

    planned, estimate = estimate_options(options)
    protocol, todo = planned.protocol, len(planned.to_do)
    click.echo(
        f"study {planned.path.name}: {len(planned.runs)} runs, {todo} of them to do; protocol {protocol.name}, "
        f"{protocol.dataset}"
    )
    if todo:
        threads = f"{planned.threads} thread{'s' if planned.threads > 1 else ''} of the CPU"
        _print(estimate, planned.jobs, threads if options.device == "cpu" else options.device)


def _print(estimate: Estimate, jobs: int, worker: str) -> None:
    """The table of methods, the total, and how long workers would take."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid("method", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("runs", "to do", "one run", "memory of one", "all to do"):
        grid.add_column(heading, justify="right")
    for part in estimate.parts:
        grid.add_row(*_row(part))
    Console(highlight=False, soft_wrap=True).print(grid)
    click.echo(f"total: {sum(estimate.queue) / 3600:.2f} device-hours, a device being {worker}")
    click.echo(f"time until all are done, by workers at once: {', '.join(_makespans(estimate, jobs))}")
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


def _makespans(estimate: Estimate, jobs: int) -> list[str]:
    """Time until all are done with 1, 2, 4, … workers up to one a run, and with as many as there would be here."""
    from harness.progress import duration

    runs = len(estimate.queue)
    counts = {1, runs, min(jobs, runs)} | {2**power for power in range(1, runs.bit_length()) if 2**power < runs}
    here = " (--jobs)"
    return [f"{count}{here if count == jobs else ''}: {duration(estimate.makespan(count))}" for count in sorted(counts)]
