"""``harness retry``: start failed runs of a study again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.options import (
    backend_options,
    data_option,
    device_option,
    no_mlflow_option,
    retries_option,
    runs_option,
    stoppable,
    timeout_option,
)


@click.command("retry")
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--failed", is_flag=True, help="Only runs that failed or timed out, and none that was interrupted.")
@runs_option
@data_option
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once.  [default: as many as cores and memory allow]")
@device_option
@timeout_option
@retries_option
@backend_options
@no_mlflow_option
def retry_command(
    study: str | None,
    failed: bool,
    runs: Path | None,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    retries: int,
    executor: str,
    scheduler: str | None,
    worker_resources: tuple[str, ...],
    no_mlflow: bool,
) -> None:
    """Start the runs of a study that did not finish again, whichever commands they came from; default: the latest.

    Each goes on from its last good checkpoint, or starts again where there is none. How it had ended is added to its
    attempts.json. Finished runs stay as they are, and so do runs that diverged, which would only diverge again. Cells
    are looked up in the study's table; to retrain them, give the harness run command again.

    Exit code: 0 all of them finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.api.searches import retry_runs
    from harness.api.studies import load_study
    from harness.config.study_options import resources_of

    read = load_study(study, runs)
    with stoppable():
        outcome = retry_runs(
            read,
            failed=failed,
            data_dir=data_dir,
            jobs=jobs,
            device=device,
            timeout=timeout,
            retries=retries,
            executor=executor,
            scheduler=scheduler,
            worker_resources=resources_of(worker_resources),
            no_mlflow=no_mlflow,
        )
    if not outcome.runs:
        finished = sum(run.status == "finished" for run in read.runs)
        click.echo(f"study {read.name}: nothing to retry; {finished} of {len(read.runs)} runs finished")
        return
    done = len(outcome.runs) - outcome.unfinished
    click.echo(f"study {read.name}: {done} of {len(outcome.runs)} retried runs finished; in {read.path}")
    if outcome.unfinished:
        sys.exit(1)
