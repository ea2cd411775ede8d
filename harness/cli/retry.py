"""``harness retry``: begin failed runs of a study again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.options import data_option, device_option, runs_option, stoppable
from harness.executor import RETRIES


@click.command("retry")
@click.argument("name", metavar="[STUDY]", required=False)
@click.option("--failed", is_flag=True, help="Only runs that failed or timed out, and none that was interrupted.")
@runs_option
@data_option
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once.  [default: as many as the cores allow]")
@device_option
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES", help="Stop a run that takes longer."
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=RETRIES,
    show_default=True,
    help="How often a search whose process was killed goes on from its checkpoint by itself.",
)
@click.option("--no-mlflow", is_flag=True, help="Do not mirror the runs into MLflow.")
def retry_command(
    name: str | None,
    failed: bool,
    runs: Path | None,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    retries: int,
    no_mlflow: bool,
) -> None:
    """Begin the runs of a study that did not finish again, whichever commands they came from; by default the latest.

    Each goes on from its last good checkpoint, or starts again where there is none. How it had ended is added to its
    attempts.json. Finished runs stay as they are, and so do runs that diverged, which would only diverge again. Cells
    are looked up in the study's table; to retrain them, give the harness run command again.

    Exit code: 0 all of them finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.catalogue import get_space
    from harness.environment import check_device, cores, environment
    from harness.executor import Workers
    from harness.results import load_study
    from harness.retry import to_retry
    from harness.session import conduct
    from harness.tables import load_table

    study = load_study(name, runs)
    planned = to_retry(study, failed, data_dir)
    finished = sum(run.status == "finished" for run in study.runs)
    if not planned:
        click.echo(f"study {study.name}: nothing to retry; {finished} of {len(study.runs)} runs finished")
        return
    check_device(device)
    table = load_table(study.info["table"], get_space(planned[0].config["space"]))
    threads = max(run.config["threads"] for run in planned)
    at_once = min(jobs or max(1, cores() // threads), len(planned))
    workers = Workers(at_once, device, data_dir, 60 * timeout if timeout else None, retries=retries)
    with stoppable():
        unfinished = conduct(
            planned, table, workers, environment(device, at_once, threads), fresh=False, track=not no_mlflow
        )
    done = len(planned) - unfinished
    click.echo(f"study {study.name}: {done} of {len(planned)} retried runs finished; in {study.path}")
    if unfinished:
        sys.exit(1)
