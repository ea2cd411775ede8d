"""The elements of a report's sections, and the self-contained HTML page made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import jinja2

from harness.reports.figures.style import DrawnFigure
from harness.reports.tables.report_table import ReportTable


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text.

    Attributes:
        note: printed smaller.
        to: anchor of the section that the paragraph links to; empty for none.
    """

    kind: ClassVar[str] = "paragraph"
    text: str
    note: bool = False
    to: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading below the section's."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class TableElement:
    """A table, with its title unless the section's heading is the same, and with or without its notes."""

    kind: ClassVar[str] = "table"
    table: ReportTable
    heading: bool = True
    notes: bool = True


@dataclass(frozen=True)
class FigureElement:
    """A figure by its file stem, left out where it was not drawn; ``note`` follows its caption."""

    kind: ClassVar[str] = "figure"
    name: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and their values."""

    kind: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    kind: ClassVar[str] = "items"
    texts: Sequence[str]


@dataclass(frozen=True)
class Commands:
    """Command lines, as typed."""

    kind: ClassVar[str] = "commands"
    lines: Sequence[str]


Element = Paragraph | Heading | TableElement | FigureElement | Facts | Items | Commands


@dataclass(frozen=True)
class Section:
    """A part of the page; ``anchor`` is its address within the page."""

    anchor: str
    heading: str
    elements: list[Element] = field(default_factory=list)


def render(title: str, scope: str, answer: list[str], sections: list[Section], figures: dict[str, DrawnFigure]) -> str:
    """Return the page as HTML; ``answer`` is its opening, a paragraph an item."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.reports.page"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.j2").render(
        title=title, scope=scope, answer=answer, sections=sections, figures=figures
    )
