"""Tables of a report, and how they are written: CSV for programs; Markdown, LaTeX and plain text for people."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

Value = str | float | int | None

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column: its name in files, its heading in print, and the decimals of its numbers.

    ``text`` is set to the left; ``sentences`` are given room to wrap.
    """

    key: str
    heading: str
    decimals: int = 0
    text: bool = False
    sentences: bool = False

    def print(self, value: Value) -> str:
        """A value for print; a dash for one that does not exist, and a bound for one that would round to 0."""
        if value is None:
            return MISSING
        if isinstance(value, str):
            return value
        if value > 0 and round(value, self.decimals) == 0:
            return f"<{10**-self.decimals:g}"
        return f"{value:,.{self.decimals}f}"


@dataclass(frozen=True)
class Sheet:
    """A table of a report.

    Attributes:
        name: file stem.
        title: heading.
        caption: what it shows, in which order, under which protocol.
        notes: how its columns are defined.
        rows: one a method, run or outcome, each with a value per column.
        references: rows that are no results of the study, printed below a rule.
    """

    name: str
    title: str
    caption: str
    notes: str
    columns: list[Column]
    rows: list[list[Value]]
    references: list[list[Value]] = field(default_factory=list)

    def printed(self, rows: list[list[Value]]) -> list[list[str]]:
        """Rows as text."""
        return [[column.print(value) for column, value in zip(self.columns, row, strict=True)] for row in rows]

    def select(self, keys: Sequence[str]) -> Sheet:
        """The same table with some of its columns, in the given order."""
        places = [[column.key for column in self.columns].index(key) for key in keys]

        def cut(rows: list[list[Value]]) -> list[list[Value]]:
            return [[row[place] for place in places] for row in rows]

        columns = [self.columns[place] for place in places]
        return Sheet(self.name, self.title, self.caption, self.notes, columns, cut(self.rows), cut(self.references))


def to_csv(sheet: Sheet) -> str:
    """CSV with unrounded numbers, empty where missing; reference rows follow and are marked in the last column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    marked = bool(sheet.references)
    writer.writerow([column.key for column in sheet.columns] + ["reference"] * marked)
    for row in sheet.rows:
        writer.writerow([*row, "no"] if marked else row)
    for row in sheet.references:
        writer.writerow([*row, "yes"])
    return text.getvalue()


def to_markdown(sheet: Sheet) -> str:
    """A Markdown table under its title, with its caption; reference rows are in italics."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [f"**{sheet.title}**", ""]
    lines += [line([column.heading for column in sheet.columns])]
    lines += [line(["---" if column.text else "---:" for column in sheet.columns])]
    lines += [line(row) for row in sheet.printed(sheet.rows)]
    lines += [line([f"*{row[0]}*", *row[1:]]) for row in sheet.printed(sheet.references)]
    return "\n".join([*lines, "", f"{sheet.caption} {sheet.notes}".strip(), ""])


def to_latex(sheet: Sheet) -> str:
    """A LaTeX table for the ``booktabs`` package."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(_latex(cell) for cell in cells) + r" \\"

    lines = [
        "% needs \\usepackage{booktabs}, and UTF-8 input",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_latex(f'{sheet.title}. {sheet.caption} {sheet.notes}'.strip())}}}",
        rf"\label{{tab:{sheet.name}}}",
        rf"\begin{{tabular}}{{{''.join('l' if column.text else 'r' for column in sheet.columns)}}}",
        r"\toprule",
        line([column.heading for column in sheet.columns]),
        r"\midrule",
        *[line(row) for row in sheet.printed(sheet.rows)],
    ]
    if sheet.references:
        lines += [r"\midrule", *[line(row) for row in sheet.printed(sheet.references)]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def to_text(sheet: Sheet) -> str:
    """A table for the terminal."""
    heading = [column.heading for column in sheet.columns]
    body, references = sheet.printed(sheet.rows), sheet.printed(sheet.references)
    widths = [max(len(row[place]) for row in [heading, *body, *references]) for place in range(len(heading))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column.text else cell.rjust(width)
            for cell, width, column in zip(cells, widths, sheet.columns, strict=True)
        ]
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(heading), rule, *map(line, body)]
    return "\n".join(lines + ([rule, *map(line, references)] if references else []))


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "α": r"$\alpha$",
    "×": r"$\times$",
    "−": "$-$",
} | {character: "\\" + character for character in "&%$#_{}"}


def _latex(text: str) -> str:
    return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)
