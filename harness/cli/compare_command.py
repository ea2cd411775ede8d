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
    of --study. Of two studies every method that both have is compared. What differs between the two sides besides the
    methods, such as the protocol, is said first; the numbers then are side by side, and no ranking.

    'harness report --compare A B' writes the same as an HTML page.
    """
    from harness.reports.comparison_report import put_side_by_side, seeds_sheet, words
    from harness.reports.results.sides import read_sides
    from harness.reports.tables.report_table import to_text

    compared = put_side_by_side(*read_sides(a, b, study, runs, table), dataset)
    for paragraph in compared.notice:
        click.echo(click.wrap_text(paragraph, width=100) + "\n")
    if compared.unlike is not None:
        click.echo(to_text(compared.unlike) + "\n")
    for pair in compared.pairs:
        sheet = seeds_sheet(compared, pair)
        click.echo(f"{sheet.title}: test accuracy in % on {compared.dataset}")
        click.echo(to_text(sheet))
        for sentence in filter(None, words(pair)):
            click.echo(click.wrap_text(sentence, width=100))
        click.echo()
