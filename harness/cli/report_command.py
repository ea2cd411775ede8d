"""``harness report``: rank the methods of a study."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.option("--study", "name", metavar="NAME", help="Study to report on, by name or folder; default: the latest.")
@click.option("--runs", metavar="DIR", type=click.Path(path_type=Path), help="Folder of the studies; default: runs.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Default: report in the study's folder.")
@click.option("--table", metavar="PATH", help="Look cells up in this table instead of the study's own.")
@click.option(
    "--compare", "sides", nargs=2, metavar="A B", help="Two studies side by side, as 'harness compare' reads them."
)
def report_command(
    name: str | None, runs: Path | None, out: Path | None, table: str | None, sides: tuple[str, str] | None
) -> None:
    """Rank the methods of a study by accuracy, search cost and stability.

    Writes one self-contained HTML page, its figures as PNG and PDF, and its tables as CSV, Markdown and LaTeX; prints
    the answer and the accuracy ranking. With --compare it writes one page on two studies instead, paired by seed.
    """
    if sides is not None:
        _compare(sides, name, runs, out, table)
        return
    from harness.reports.study_report import build_report
    from harness.reports.tables.report_table import to_text
    from harness.runs.results import load_study

    report = build_report(load_study(name, runs), out, table)
    for paragraph in [report.scope, *report.opening]:
        click.echo(click.wrap_text(paragraph, width=100) + "\n")
    if report.ranking is not None:
        columns = ["method", "finished", "mean", "std", "interval_low", "interval_high", "median", "worst", "best"]
        click.echo(f"{report.ranking.title}, test accuracy in %; the page explains the columns")
        click.echo(to_text(report.ranking.select([*columns, "regret"])) + "\n")
    click.echo(f"page     {report.page}")
    click.echo(f"figures  {report.folder / 'figures'}")
    click.echo(f"tables   {report.folder / 'tables'}")


def _compare(sides: tuple[str, str], study: str | None, runs: Path | None, out: Path | None, table: str | None) -> None:
    """Write the page of two sides, and print what must be known before it is read."""
    from harness.reports.comparison_report import build_comparison_report, compare_sides
    from harness.reports.results.sides import read_sides

    report = compare_sides(*read_sides(*sides, study, runs, table))
    for paragraph in report.notice:
        click.echo(click.wrap_text(paragraph, width=100) + "\n")
    click.echo(f"page     {build_comparison_report(report, out)}")
