"""``harness evaluate``: look the cells of a study up in another table."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import runs_option


@click.command("evaluate")
@click.argument("study", metavar="[STUDY]", required=False)
@click.option(
    "--table", metavar="NAME", help="An imported table, or a CSV file.  [default: the study's own, as it is now]"
)
@runs_option
def evaluate_command(study: str | None, table: str | None, runs: Path | None) -> None:
    """Look all cells of a study up again, in another table or in the study's own; default: the latest study.

    A study has one table: reports, frames and further runs use the new one from now on. To see a report with another
    table and leave the study as it is, use harness report --table.
    """
    from harness.api.studies import evaluate

    changed = evaluate(study, table, runs)
    name = changed.info["table"] or "embedded"
    click.echo(f"study {changed.name}: {len(changed.runs)} runs looked up in the table {name}; in {changed.path}")
