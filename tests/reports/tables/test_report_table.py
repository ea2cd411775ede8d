"""Tables as files, and the accuracy axis."""

import csv
import io

import pytest

from harness.reports.figures.style import accuracy_ticks, short
from harness.reports.tables.report_table import Column, ReportTable, to_csv, to_latex, to_markdown, to_text

DEMO = ReportTable(
    "demo",
    "Demo",
    "Sorted by the mean.",
    "",
    [Column("method", "Method", text=True), Column("mean", "Mean α", 2), Column("passes", "Passes")],
    [["darts_2nd|a~0", 93.4567, 39100], ["failed", None, None], ["tiny", 0.0004, 0.0]],
    [["100 % random", 87.06, None]],
)


def test_csv_keeps_every_digit_and_marks_references() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(DEMO))))
    assert rows == [
        ["method", "mean", "passes", "reference"],
        ["darts_2nd|a~0", "93.4567", "39100", "no"],
        ["failed", "", "", "no"],
        ["tiny", "0.0004", "0.0", "no"],
        ["100 % random", "87.06", "", "yes"],
    ]


def test_markdown_escapes_what_would_end_a_cell() -> None:
    lines = to_markdown(DEMO).splitlines()
    assert r"| darts_2nd\|a\~0 | 93.46 | 39,100 |" in lines
    assert "| --- | ---: | ---: |" in lines
    assert "| *100 % random* | 87.06 | – |" in lines


def test_latex_escapes_and_rules() -> None:
    latex = to_latex(DEMO)
    assert r"darts\_2nd\textbar{}a\textasciitilde{}0 & 93.46 & 39,100 \\" in latex
    assert r"Method & Mean $\alpha$ & Passes \\" in latex
    assert r"100 \% random & 87.06 & -- \\" in latex
    assert [latex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]


def test_text_aligns_and_shows_that_a_small_number_is_not_zero() -> None:
    lines = to_text(DEMO).splitlines()
    assert lines[2] == "darts_2nd|a~0   93.46  39,100"
    assert lines[4] == "tiny            <0.01       0"


def test_columns_can_be_chosen() -> None:
    assert to_text(DEMO.select(["passes", "method"])).splitlines()[2] == "39,100  darts_2nd|a~0"


@pytest.mark.parametrize(("lowest", "best"), [(10, 94.37), (54.3, 94.37), (87.06, 94.37), (0.83, 47.31), (93, 93)])
def test_accuracy_ticks_lie_on_the_axis(lowest: float, best: float) -> None:
    ticks = accuracy_ticks(lowest, best)
    assert all(lowest <= tick <= best for tick in ticks)
    assert len(ticks) >= (1 if lowest == best else 4)


def test_long_labels_are_cut_in_the_middle_and_stay_distinct() -> None:
    first, second = (f"gdas[alpha_learning_rate=0.0003,tau_max={tau}]" for tau in (5, 20))
    assert len(short(first)) == 32
    assert short(first) != short(second)
    assert short("darts") == "darts"


SPECIAL = ReportTable(
    "special",
    "Share of 5 % & more",
    "See [x=1].",
    "",
    [Column("method", "Method_1", text=True), Column("tau", "τ of 0→1", 2)],
    [[r"a_b[x=1]|~c~*d*<e>&5%$#{}^\\", 0.5], ["[starred]", 1.0], ["_within_ word_s", None]],
)


def test_special_characters_are_escaped_for_latex() -> None:
    lines = to_latex(SPECIAL).splitlines()
    assert r"Method\_1 & $\tau$ of 0$\to$1 \\" in lines
    escaped = r"\textbar{}\textasciitilde{}c\textasciitilde{}*d*\textless{}e\textgreater{}\&5\%\$\#\{\}"
    assert rf"a\_b[x=1]{escaped}\textasciicircum{{}}\textbackslash{{}}\textbackslash{{}} & 0.50 \\" in lines
    assert r"{}[starred] & 1.00 \\" in lines  # or \\ before it would take [starred] as a length
    assert r"\caption{Share of 5 \% \& more. See [x=1].}" in lines


def test_special_characters_are_escaped_for_markdown() -> None:
    lines = to_markdown(SPECIAL).splitlines()
    assert lines[0] == "**Share of 5 % & more**"
    assert r"| a_b\[x=1\]\|\~c\~\*d\*\<e\>&5%$#{}^\\\\ | 0.50 |" in lines
    assert r"| \_within\_ word_s | – |" in lines
    assert r"See \[x=1\]." in lines


def test_special_characters_stay_in_csv() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(SPECIAL))))
    assert [row[0] for row in rows] == ["method", *(str(row[0]) for row in SPECIAL.rows)]


def test_a_frame_has_the_rows_without_the_references() -> None:
    frame = DEMO.frame()
    assert list(frame.columns) == ["method", "mean", "passes"]
    assert frame["method"].tolist() == ["darts_2nd|a~0", "failed", "tiny"]
    assert frame["mean"].isna().tolist() == [False, True, False]
    assert frame["mean"][0] == 93.4567
