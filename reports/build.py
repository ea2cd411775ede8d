"""Writing a study's report: one self-contained HTML page, and its figures and tables as files."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from matplotlib.figure import Figure

from harness import __version__
from harness.results import Study
from harness.runs import write_atomically
from reports.comparison import Comparison, compare
from reports.export import Sheet, to_csv, to_latex, to_markdown
from reports.figures import draw_all
from reports.listings import outcomes_sheet, runs_sheet
from reports.pairs import pairs_sheet
from reports.retrained import retrained_sheets, retrained_words
from reports.sheets import accuracy_sheet, cost_sheet, stability_sheet
from reports.style import save
from reports.words import opening, scope


@dataclass(frozen=True)
class Report:
    """A report on disk.

    Attributes:
        folder: holds ``report.html``, ``figures/`` (PNG, PDF) and ``tables/`` (CSV; rankings also Markdown and LaTeX).
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
        study: as read by :func:`harness.results.load_study`.
        out: folder to write into; default ``report`` in the study's folder.
        table: look cells up in this table instead of the study's own.

    Raises:
        HarnessError: the runs must not be compared with each other, ``table`` is not readable, or ``out`` not writable.
    """
    comparison = compare(study, table)
    folder = Path(out) if out is not None else study.path / "report"
    figures = draw_all(comparison)
    accuracy = [accuracy_sheet(comparison, dataset) for dataset in comparison.datasets]
    retrained = retrained_sheets(comparison)
    rankings = [*accuracy, cost_sheet(comparison), stability_sheet(comparison)]
    pairs = [sheet for dataset in comparison.datasets[:1] if (sheet := pairs_sheet(comparison, dataset))]
    listings = [outcomes_sheet(comparison), runs_sheet(comparison)]
    for name, figure in figures.items():
        write_atomically(folder / "figures" / f"{name}.png", save(figure, "png"))
        write_atomically(folder / "figures" / f"{name}.pdf", save(figure, "pdf"))
    for sheet in rankings + retrained + pairs + listings:
        write_atomically(folder / "tables" / f"{sheet.name}.csv", to_csv(sheet).encode())
    for sheet in rankings + retrained + pairs:
        write_atomically(folder / "tables" / f"{sheet.name}.md", to_markdown(sheet).encode())
        write_atomically(folder / "tables" / f"{sheet.name}.tex", to_latex(sheet).encode())
    paragraphs = opening(comparison)
    report = Report(folder, scope(comparison), paragraphs, accuracy[0] if accuracy else None)
    write_atomically(report.page, _page(comparison, report, rankings, retrained, pairs, listings, figures).encode())
    return report


def _page(
    comparison: Comparison,
    report: Report,
    rankings: list[Sheet],
    retrained: list[Sheet],
    pairs: list[Sheet],
    listings: list[Sheet],
    figures: dict[str, Figure],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    *accuracy, cost, stability = rankings
    outcomes, runs = listings
    return environment.get_template("report.html.j2").render(
        comparison=comparison,
        report=report,
        accuracy=accuracy,
        retrained=retrained,
        correlations=retrained_words(comparison),
        pairs=pairs,
        cost=cost,
        stability=stability,
        outcomes=outcomes,
        runs=runs,
        figures={name: _image(figure, *CAPTIONS[name]) for name, figure in figures.items()},
        failures=[seed for method in comparison.methods for seed in method.seeds if not seed.finished],
        protocol=list(_flat(comparison.protocol)),
        provenance=list(_flat(comparison.table_provenance or {})),
        environment=[(name, " | ".join(values)) for name, values in comparison.environments.items()],
        commands=comparison.study.info.get("commands", []),
        version=__version__,
    )


_SCALE = (
    "The accuracy scale is logarithmic in the distance to the best cell: a collapse and tenths of a point both show."
)

CAPTIONS = {
    "accuracy-over-epochs": (
        "Accuracy of the derived cell over the epochs, a panel a method",
        f"Test accuracy of the cell derived after each epoch, looked up after the search. {_SCALE}",
    ),
    "table-distribution": (
        "Every seed's accuracy under the distribution of all cells",
        f"Every finished seed, and above it all cells of the space. {_SCALE}",
    ),
    "accuracy-and-cost": (
        "Accuracy against search cost",
        f"Small: a finished seed. Large and open: a method's mean. The line is the Pareto front of means. {_SCALE}",
    ),
    "operations-over-epochs": (
        "Operations of the derived cell over the epochs, a panel a method",
        "Number of edges that hold each operation after each epoch, mean over the seeds that reached it. A cell that "
        "fills with skip connections is the known way in which DARTS collapses.",
    ),
    "derived-cells": (
        "The most frequent derived cell of each method",
        "Each method's most frequent final cell, how many of its finished seeds derived it, and its test accuracy. "
        "Node 0 is the input, the last node the output.",
    ),
}
"""Alternative text and caption of each figure."""


class _Image(NamedTuple):
    source: str
    alt: str
    caption: str


def _image(figure: Figure, alt: str, caption: str) -> _Image:
    return _Image("data:image/svg+xml;base64," + base64.b64encode(save(figure, "svg")).decode(), alt, caption)


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested fields as dotted names."""
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)
