"""``harness sync``: what an outage held back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.errors import HarnessError
from harness.progress import Bar
from harness.runs.results import find_study, runs_directory
from harness.runs.schema import TRAININGS
from harness.tracking import Store, TrackingError, connect, deliver


@click.command("sync")
@click.option("--study", metavar="NAME", help="Only this study.  [default: all]")
@click.option(
    "--runs", type=click.Path(path_type=Path), help="Folder of the studies.  [default: $HARNESS_RUNS_DIR or runs]"
)
def sync_command(study: str | None, runs: Path | None) -> None:
    """Deliver to MLflow what an outage held back, for one study or for all and for trainings of cells.

    Repeat it as you like: it sends only what MLflow does not have. Exit code 1 if something is still held back.
    """
    root = runs_directory(runs)
    studies = sorted(file.parent for file in root.glob("*/study.json"))
    studies += [root / TRAININGS] if (root / TRAININGS).is_dir() else []
    if study is not None or not studies:
        studies = [find_study(study, runs)]
    try:
        store = connect()
        complete = [_sync(folder, store) for folder in studies]
    except TrackingError as error:
        click.echo(f"harness: {error}; check it or MLFLOW_TRACKING_URI, then repeat: harness sync", err=True)
        sys.exit(1)
    click.echo(f"mirrored in {store.uri}; look at it with: harness ui")
    if not all(complete):
        sys.exit(1)


def _sync(study: Path, store: Store) -> bool:
    """Deliver a study's runs and print a line; whether all went through. Raises TrackingError if MLflow goes away."""
    delivered = failed = 0
    folders = sorted(file.parent for file in study.glob("*/*/config.json"))
    with Bar(study.name, len(folders), unit="runs", lines=0, transient=True) as bar:
        for folder in folders:
            try:
                delivered += deliver(folder, store, _draw)
            except HarnessError as error:
                failed += 1
                click.echo(f"harness: {error}", err=True)
                connect()
            bar.update(1)
    line = f"{study.name}: {len(folders) - delivered - failed} runs up to date, {delivered} delivered"
    click.echo(line + (f", {failed} failed" if failed else ""))
    return not failed


def _draw(space: str, architecture: str) -> bytes:
    from harness.reports.figures.cells import cell_png  # takes a second to import, and only ended runs are drawn

    return cell_png(space, architecture)
