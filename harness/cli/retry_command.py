"""``harness retry``: begin failed runs of a study again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.options import (
    data_option,
    device_option,
    no_mlflow_option,
    place_options,
    retries_option,
    runs_option,
    stoppable,
    timeout_option,
    warn,
    working_place,
)


@click.command("retry")
@click.argument("name", metavar="[STUDY]", required=False)
@click.option("--failed", is_flag=True, help="Only runs that failed or timed out, and none that was interrupted.")
@runs_option
@data_option
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once.  [default: as many as cores and memory allow]")
@device_option
@timeout_option
@retries_option
@place_options
@no_mlflow_option
def retry_command(
    name: str | None,
    failed: bool,
    runs: Path | None,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    retries: int,
    executor: str,
    scheduler: str | None,
    resources: tuple[str, ...],
    no_mlflow: bool,
) -> None:
    """Begin the runs of a study that did not finish again, whichever commands they came from; by default the latest.

    Each goes on from its last good checkpoint, or starts again where there is none. How it had ended is added to its
    attempts.json. Finished runs stay as they are, and so do runs that diverged, which would only diverge again. Cells
    are looked up in the study's table; to retrain them, give the harness run command again.

    Exit code: 0 all of them finished, 1 some did not, 2 wrong usage or input, 130 interrupted.
    """
    from harness.benchmarks.load import load_table
    from harness.config.protocol import stored_protocol
    from harness.data.training_set import load_training_set
    from harness.errors import HarnessError
    from harness.execution.backend import LocalMachine
    from harness.execution.local import Workers
    from harness.execution.memory import bounded
    from harness.registry import get_space
    from harness.runs.environment import cores
    from harness.runs.results import load_study
    from harness.study.retrying import methods_of, to_retry
    from harness.study.running import conduct

    study = load_study(name, runs)
    if not study.runs:
        raise HarnessError(f"study {study.name!r} has no runs; start some with: harness run --study {study.name}")
    config = study.runs[0].config  # protocol, space and data set are the same for all
    training = load_training_set(config["dataset"], data_dir)
    planned = to_retry(study, failed, training)
    finished = sum(run.status == "finished" for run in study.runs)
    if not planned:
        click.echo(f"study {study.name}: nothing to retry; {finished} of {len(study.runs)} runs finished")
        return
    place = working_place(executor, scheduler, resources, study.path.parent)
    place.check(device)
    rules, space = stored_protocol(config["protocol"]), get_space(config["space"])
    table = load_table(study.info["table"], space)
    threads = max(run.config["threads"] for run in planned)
    here = isinstance(place, LocalMachine)
    at_once, _ = place.share(max(1, cores() // threads) if here and jobs is None else jobs, len(planned))
    if here and jobs is None:
        by_table = rules.queries.answers == "table"
        at_once, line = bounded(at_once, methods_of(planned), space, rules, training, device, by_table)
        warn(line)
    workers = Workers(at_once, device, data_dir, 60 * timeout if timeout else None, retries=retries)
    facts = place.facts(device, at_once, threads)
    with stoppable():
        unfinished = conduct(planned, table, place.executor(workers), facts, fresh=False, track=not no_mlflow)
    done = len(planned) - unfinished
    click.echo(f"study {study.name}: {done} of {len(planned)} retried runs finished; in {study.path}")
    if unfinished:
        sys.exit(1)
