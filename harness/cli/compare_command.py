"""``harness compare``: two studies, or two methods, side by side."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--study", metavar="NAME", help="Study of methods named alone; default: the latest.")
@click.option("--dataset", metavar="NAME", help="Of the table; default: cifar10, else the first that both have.")
@click.option("--runs", metavar="DIR", type=click.Path(path_type=Path), help="Folder of the studies; default: runs.")
@click.option("--table", metavar="PATH", help="Look cells up in this table instead of the studies' own.")
def compare_command(
    a: str, b: str, study: str | None, dataset: str | None, runs: Path | None, table: str | None
) -> None:
    """Put two methods, or two studies, side by side, paired by seed.

    A and B are each a study, or a method of a study, written STUDY:METHOD; METHOD alone is one of the latest study or
    of --study. Of two studies every method that both have is report. What differs between the two sides besides the
    methods, such as the protocol, is said first; the numbers then are side by side, and no ranking.

    'harness report --compare A B' writes the same as an HTML page.
    """
    from harness.reports.comparison_report import compare_sides
    from harness.reports.page.pair_text import pair_text
    from harness.reports.results.sides import read_sides
    from harness.reports.tables.report_table import to_text

    report = compare_sides(*read_sides(a, b, study, runs, table), dataset)
    for paragraph in report.notice:
        click.echo(click.wrap_text(paragraph, width=100) + "\n")
    if report.settings is not None:
        click.echo(to_text(report.settings) + "\n")
    for pair in report.pairs:
        seeds = report.seeds(pair)
        click.echo(f"{seeds.title}: test accuracy in % on {report.dataset}")
        click.echo(to_text(seeds))
        for sentence in pair_text(pair):
            click.echo(click.wrap_text(sentence, width=100))
        click.echo()
