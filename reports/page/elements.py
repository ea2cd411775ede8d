"""What the sections of a report are made of, and how they become one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jinja2
from matplotlib.figure import Figure

from harness.reports.figures.style import save
from harness.reports.tables.report_table import Sheet


@dataclass(frozen=True)
class Words:
    """A paragraph; ``note`` prints it smaller, and ``to`` makes it lead to the section at that address."""

    kind: ClassVar[str] = "words"
    text: str
    note: bool = False
    to: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading below the section's."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Table:
    """A sheet, under its own title unless the section's heading says the same, with or without its notes."""

    kind: ClassVar[str] = "table"
    sheet: Sheet
    heading: bool = True
    notes: bool = True


@dataclass(frozen=True)
class Picture:
    """A figure of the report, left out where it was not drawn; ``note`` follows its caption."""

    kind: ClassVar[str] = "picture"
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


Block = Words | Heading | Table | Picture | Facts | Items | Commands


@dataclass(frozen=True)
class Section:
    """A part of the page: ``anchor`` is its address within the page."""

    anchor: str
    heading: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn, its alternative text and its caption."""

    figure: Figure
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The figure as an address that holds it whole."""
        return "data:image/svg+xml;base64," + base64.b64encode(save(self.figure, "svg")).decode()


def render(title: str, scope: str, answer: list[str], sections: list[Section], figures: dict[str, Drawn]) -> str:
    """The page: ``answer`` is its opening, a paragraph an item."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.reports.page"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.j2").render(
        title=title, scope=scope, answer=answer, sections=sections, figures=figures
    )


def flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested fields as dotted names."""
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)
