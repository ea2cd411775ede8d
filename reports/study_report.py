"""Writing a study's report: one self-contained HTML page, and its figures and tables as files.

What is on the page is said in :data:`harness.reports.page.sections.SECTIONS`, which figures there are in
:data:`harness.reports.figures.registry.FIGURES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.reports.figures.registry import draw_all
from harness.reports.figures.style import save
from harness.reports.page.elements import Table, render
from harness.reports.page.sections import sections
from harness.reports.page.summary_text import opening, scope
from harness.reports.results.comparison import compare
from harness.reports.tables.report_table import Sheet, to_csv, to_latex, to_markdown
from harness.runs.folder import write_atomically
from harness.runs.results import Study


@dataclass(frozen=True)
class Report:
    """A report on disk.

    Attributes:
        folder: holds ``report.html``, ``figures/`` (PNG, PDF) and ``tables/`` (CSV, Markdown, LaTeX).
        scope: what was compared, in a sentence.
        opening: the answer in words, a paragraph an item.
        ranking: the accuracy ranking on the headline dataset; None where there are no accuracies.
    """

    folder: Path
    scope: str
    opening: list[str]
    ranking: Sheet | None

    @property
    def page(self) -> Path:
        """The HTML file."""
        return self.folder / "report.html"


def build_report(study: Study, out: str | Path | None = None, table: str | Path | None = None) -> Report:
    """Write the report of a study.

    Args:
        study: as read by :func:`harness.runs.results.load_study`.
        out: folder to write into; default ``report`` in the study's folder.
        table: look cells up in this table instead of the study's own.

    Raises:
        HarnessError: the runs must not be compared with each other, ``table`` is not readable, or ``out`` not writable.
    """
    comparison = compare(study, table)
    folder = Path(out) if out is not None else study.path / "report"
    parts = sections(comparison)
    sheets = [block.sheet for section in parts for block in section.blocks if isinstance(block, Table)]
    for sheet in sheets:
        write_atomically(folder / "tables" / f"{sheet.name}.csv", to_csv(sheet).encode())
        write_atomically(folder / "tables" / f"{sheet.name}.md", to_markdown(sheet).encode())
        write_atomically(folder / "tables" / f"{sheet.name}.tex", to_latex(sheet).encode())
    figures = draw_all(comparison)
    for name, drawn in figures.items():
        write_atomically(folder / "figures" / f"{name}.png", save(drawn.figure, "png"))
        write_atomically(folder / "figures" / f"{name}.pdf", save(drawn.figure, "pdf"))
    ranking = next((sheet for sheet in sheets if sheet.name == f"accuracy-{comparison.headline}"), None)
    report = Report(folder, scope(comparison), opening(comparison), ranking)
    begun = f"{report.scope} Study begun {study.info['created'][:10]}."
    write_atomically(report.page, render(study.name, begun, report.opening, parts, figures).encode())
    return report
