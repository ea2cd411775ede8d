"""The report of a study: one self-contained HTML page, and its figures and tables as files.

:data:`harness.reports.page.sections.SECTIONS` lists what is on the page, and
:data:`harness.reports.figures.registry.FIGURES` the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.reports.figures.registry import draw_all
from harness.reports.figures.style import save
from harness.reports.page.elements import TableElement, render
from harness.reports.page.sections import sections
from harness.reports.page.summary_text import opening, scope
from harness.reports.results.comparison import make_comparison
from harness.reports.tables.report_table import ReportTable, to_csv, to_latex, to_markdown
from harness.runs.folder import write_atomically
from harness.runs.results import StudyRuns


@dataclass(frozen=True)
class Report:
    """A report on disk.

    Attributes:
        folder: holds ``report.html``, ``figures/`` (PNG, PDF) and ``tables/`` (CSV, Markdown, LaTeX).
        scope: the compared methods, seeds, space, dataset and protocol, in a sentence.
        opening: the answer in sentences, a paragraph an item.
        ranking: the accuracy ranking on the headline dataset; None where there are no accuracies.
    """

    folder: Path
    scope: str
    opening: list[str]
    ranking: ReportTable | None

    @property
    def page(self) -> Path:
        """The HTML file."""
        return self.folder / "report.html"


def build_report(study: StudyRuns, out: str | Path | None = None, table: str | Path | None = None) -> Report:
    """Write the report of a study, and return where it is and what it says first.

    Args:
        study: as read by :func:`harness.runs.results.load_study`.
        out: folder to write into; default: ``report`` in the study's folder.
        table: look cells up in this table instead of the study's own.

    Raises:
        HarnessError: the runs must not be ranked together, ``table`` cannot be read, or ``out`` cannot be written.
    """
    comparison = make_comparison(study, table)
    folder = Path(out) if out is not None else study.path / "report"
    parts = sections(comparison)
    tables = [one.table for section in parts for one in section.elements if isinstance(one, TableElement)]
    for content in tables:
        for suffix, text in (("csv", to_csv(content)), ("md", to_markdown(content)), ("tex", to_latex(content))):
            write_atomically(folder / "tables" / f"{content.name}.{suffix}", text.encode())
    figures = draw_all(comparison)
    for name, drawn in figures.items():
        write_atomically(folder / "figures" / f"{name}.png", save(drawn.figure, "png"))
        write_atomically(folder / "figures" / f"{name}.pdf", save(drawn.figure, "pdf"))
    ranking = next((content for content in tables if content.name == f"accuracy-{comparison.headline}"), None)
    report = Report(folder, scope(comparison), opening(comparison), ranking)
    scoped = f"{report.scope} The study was started on {study.info['created'][:10]}."
    write_atomically(report.page, render(study.name, scoped, report.opening, parts, figures).encode())
    return report
