"""``harness sync``: deliver to MLflow what an outage held back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.options import runs_option


@click.command("sync")
@click.option("--study", metavar="NAME", help="Only this study.  [default: all]")
@runs_option
def sync_command(study: str | None, runs: Path | None) -> None:
    """Deliver to MLflow what an outage held back, for one study or for all and for trainings of cells.

    Repeat it as you like: it sends only what MLflow does not have. Exit code 1 if something is still held back.
    """
    from harness.api.mirrors import each_delivery
    from harness.tracking import TrackingError, connect

    failed = 0
    try:
        for delivery in each_delivery(study, runs):
            failed += delivery.failed
            up_to_date = delivery.runs - delivery.delivered - delivery.failed
            line = f"{delivery.name}: {up_to_date} runs up to date, {delivery.delivered} delivered"
            click.echo(line + (f", {delivery.failed} failed" if delivery.failed else ""))
        click.echo(f"mirrored in {connect().uri}; look at it with: harness ui")
    except TrackingError as error:
        click.echo(f"harness: {error}; check it or MLFLOW_TRACKING_URI, then repeat: harness sync", err=True)
        sys.exit(1)
    if failed:
        sys.exit(1)
