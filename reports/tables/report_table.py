"""Tables of a report, and their files: CSV for programs; Markdown, LaTeX and plain text for people.

pandas writes the CSV. It does not write the other three well (tried with pandas 3.1 and tabulate 0.9): ``to_markdown``
escapes nothing, so a ``|`` in the name of a cell ends the column and two ``~`` strike it through; ``to_latex`` and
``Styler.to_latex`` leave ``| < > α τ →``, which pdfLaTeX prints wrong or refuses, and draw no rule above the reference
rows; ``to_string`` aligns text to the right. The tables of special characters would remain here with either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

Value = str | float | int | None

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column: its name in files, its heading in print, and the decimals of its numbers.

    Attributes:
        text: aligned to the left.
        sentences: given room to wrap.
    """

    key: str
    heading: str
    decimals: int = 0
    text: bool = False
    sentences: bool = False

    def print(self, value: Value) -> str:
        """Return a value for print; a dash where it is missing, and a bound where it would round to 0."""
        if value is None:
            return MISSING
        if isinstance(value, str):
            return value
        if value > 0 and round(value, self.decimals) == 0:
            return f"<{10**-self.decimals:g}"
        return f"{value:,.{self.decimals}f}"


METHOD = Column("method", "Method", text=True)
AGAINST = Column("against", "Against", text=True)
DIFFERENCE = Column("difference", "Difference", 2)
INTERVAL = [Column("interval_low", "95 % low", 2), Column("interval_high", "95 % high", 2)]
MEAN_STD_INTERVAL = [Column("mean", "Mean", 2), Column("std", "std", 2), *INTERVAL]
P, P_HOLM, SMALLEST_P = Column("p", "p", 4), Column("p_holm", "p (Holm)", 4), Column("smallest_p", "Smallest p", 4)
VERDICT = Column("verdict", "Verdict", text=True)


def verdict(significantly_different: bool) -> str:
    """Return the printed verdict on a pair of methods, for the column :data:`VERDICT`."""
    return "different" if significantly_different else "tie"


@dataclass(frozen=True)
class ReportTable:
    """A table of a report.

    Attributes:
        name: file stem.
        title: heading.
        caption: what it shows, in which order, under which protocol.
        notes: definitions of its columns.
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
        """Return rows as text."""
        return [[column.print(value) for column, value in zip(self.columns, row, strict=True)] for row in rows]

    def select(self, keys: Sequence[str]) -> ReportTable:
        """Return the same table with some of its columns, in the order of ``keys``."""
        indices = [[column.key for column in self.columns].index(key) for key in keys]

        def cut(rows: list[list[Value]]) -> list[list[Value]]:
            return [[row[index] for index in indices] for row in rows]

        columns = [self.columns[index] for index in indices]
        return replace(self, columns=columns, rows=cut(self.rows), references=cut(self.references))

    def frame(self) -> pd.DataFrame:
        """Return the rows without the references as a frame, named by the columns' keys; unrounded."""
        frame: pd.DataFrame = pd.DataFrame(self.rows, columns=[column.key for column in self.columns])
        return frame


def to_csv(table: ReportTable) -> str:
    """Return CSV with unrounded numbers, empty where missing.

    Reference rows come last; a last column then marks them.
    """
    columns = [column.key for column in table.columns]
    rows = table.rows
    if table.references:
        columns = [*columns, "reference"]
        rows = [[*row, "no"] for row in table.rows] + [[*row, "yes"] for row in table.references]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)  # keeps whole numbers beside missing values
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text


def to_markdown(table: ReportTable) -> str:
    """Return a Markdown table under its title, with its caption; reference rows are in italics."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def body(rows: list[list[Value]]) -> list[list[str]]:
        return [[_markdown(cell) for cell in row] for row in table.printed(rows)]

    lines = [f"**{_markdown(table.title)}**", ""]
    lines += [line([_markdown(column.heading) for column in table.columns])]
    lines += [line(["---" if column.text else "---:" for column in table.columns])]
    lines += [line(row) for row in body(table.rows)]
    lines += [line([f"*{row[0]}*", *row[1:]]) for row in body(table.references)]
    return "\n".join([*lines, "", _markdown(f"{table.caption} {table.notes}".strip()), ""])


def to_latex(table: ReportTable) -> str:
    """Return a LaTeX table for the ``booktabs`` package."""

    def line(cells: Sequence[str]) -> str:
        row = " & ".join(_latex(cell) for cell in cells) + r" \\"
        return f"{{}}{row}" if row.startswith(("[", "*")) else row  # which the command before would take as its own

    lines = [
        "% needs \\usepackage{booktabs}, and UTF-8 input",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_latex(f'{table.title}. {table.caption} {table.notes}'.strip())}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{''.join('l' if column.text else 'r' for column in table.columns)}}}",
        r"\toprule",
        line([column.heading for column in table.columns]),
        r"\midrule",
        *[line(row) for row in table.printed(table.rows)],
    ]
    if table.references:
        lines += [r"\midrule", *[line(row) for row in table.printed(table.references)]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def to_text(table: ReportTable) -> str:
    """Return a table for the terminal."""
    heading = [column.heading for column in table.columns]
    body, references = table.printed(table.rows), table.printed(table.references)
    widths = [max(map(len, cells)) for cells in zip(heading, *body, *references, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column.text else cell.rjust(width)
            for cell, width, column in zip(cells, widths, table.columns, strict=True)
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
    "τ": r"$\tau$",
    "→": r"$\to$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
} | {character: "\\" + character for character in "&%$#_{}"}


def _latex(text: str) -> str:
    return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)


def _markdown(text: str) -> str:
    """Escape what Markdown would take as markup; an underscore within a word is none."""
    return re.sub(r"[\\`*~<>|\[\]]|(?<![^\W_])_|_(?![^\W_])", lambda match: "\\" + match.group(), text)
