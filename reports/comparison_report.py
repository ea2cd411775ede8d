"""The report of two sides, paired by seed: two methods, or the methods that two studies share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness._version import __version__
from harness.errors import HarnessError
from harness.reports.figures.paired_differences import paired_differences
from harness.reports.figures.style import DrawnFigure, house_style
from harness.reports.page.elements import Element, FigureElement, Paragraph, Section, TableElement, render
from harness.reports.page.pair_text import pair_text, sides_text
from harness.reports.results.pair import Pair
from harness.reports.results.sides import Side, differing_settings, pairs_of, shared_dataset
from harness.reports.tables.paired import paired_table, seeds_table, settings_table
from harness.reports.tables.report_table import ReportTable
from harness.runs.folder import write_atomically


@dataclass(frozen=True)
class ComparisonReport:
    """Two sides ready to print, or to write with :func:`build_comparison_report`.

    Attributes:
        notice: what the reader must know before the numbers, a paragraph an item: the sides, and what differs.
        settings: the settings in which the sides differ, with both values; None where there are none.
        pairs: the compared methods: one pair for two methods, one a shared method for two studies.
    """

    a: Side
    b: Side
    dataset: str
    notice: list[str]
    settings: ReportTable | None
    pairs: list[Pair]

    def seeds(self, pair: Pair) -> ReportTable:
        """Return the table of a pair, seed by seed."""
        return seeds_table(self.a, self.b, pair)

    @property
    def summary(self) -> ReportTable:
        """The table of all pairs, a row each."""
        return paired_table(self.a, self.b, self.pairs)


def compare_sides(a: Side, b: Side, dataset: str | None = None) -> ComparisonReport:
    """Compare two sides, as read by :func:`harness.reports.results.sides.read_sides`, on a dataset.

    The default dataset is the first on which both have accuracies.

    Raises:
        HarnessError: there is no such dataset, or the two studies have no method in common.
    """
    chosen = shared_dataset(a, b, dataset)
    noise = max(a.comparison.noise(chosen), b.comparison.noise(chosen))
    pairs = [
        Pair(one.label if one.label == two.label else f"{one.label} minus {two.label}", one, two, chosen, noise)
        for one, two in pairs_of(a, b)
    ]
    if not pairs:
        raise HarnessError(
            f"studies {a.name!r} ({', '.join(a.labels)}) and {b.name!r} ({', '.join(b.labels)}) have no method in "
            "common; name two methods as STUDY:METHOD"
        )
    settings = differing_settings(a, b)
    kinds = list(dict.fromkeys(setting.kind for setting in settings))
    table = settings_table(a, b, settings) if settings else None
    return ComparisonReport(a, b, chosen, sides_text(a, b, kinds), table, pairs)


def build_comparison_report(report: ComparisonReport, out: str | Path | None = None) -> Path:
    """Write the comparison as one self-contained HTML page, and return the page's path.

    Args:
        report: as made by :func:`compare_sides`.
        out: folder to write ``compared.html`` into; default: ``compared`` in the folder of study A.

    Raises:
        HarnessError: the folder cannot be written.
    """
    with house_style():
        figure = paired_differences(report.pairs)
    caption = (
        "Coloured marker: the difference A minus B of a seed that both finished. Black: their mean and its 95 % "
        "interval. The grey part is the noise of retraining: there the axis is linear, and logarithmic beyond it."
    )
    figures = {"differences": DrawnFigure(figure, "Paired differences, seed by seed", caption)} if figure else {}
    folder = Path(out) if out is not None else report.a.comparison.study.path / "compared"
    scope = f"{len(report.pairs)} {'method' if len(report.pairs) == 1 else 'methods'} on {report.dataset}."
    page = folder / "compared.html"
    title = f"{report.a.name} and {report.b.name}"
    write_atomically(page, render(title, scope, report.notice, _sections(report), figures).encode())
    return page


def _sections(report: ComparisonReport) -> list[Section]:
    seeds: list[Element] = []
    for pair in report.pairs:
        seeds += [TableElement(report.seeds(pair)), *map(Paragraph, pair_text(pair))]
    seeds.append(Paragraph(f"Written by nas-harness {__version__}.", note=True))
    sections = [
        Section(
            "differences", "Side by side", [TableElement(report.summary, heading=False), FigureElement("differences")]
        ),
        Section("seeds", "Seed by seed", seeds),
    ]
    if report.settings is not None:
        settings = Section("settings", report.settings.title, [TableElement(report.settings, heading=False)])
        sections.insert(0, settings)
    return sections
