"""Retrained cells in the report: the table, and the correlation with the table."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev

import pytest
from scipy import stats

from harness.reports.page.retrained_text import retrained_text
from harness.reports.results import comparison
from harness.reports.tables.retrained import retrained_tables
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies

RECIPE = "short v1 (abcdef012345)"
CELLS = [encoding.cell_at(index) for index in (11, 222, 3333, 4444, 5555, 6666)]


def add(
    writer: studies.StudyWriter, method: str, seed: int, cell: studies.Cell, *values: float | None, recipe: str = RECIPE
) -> None:
    """A run whose cell was retrained with these accuracies, one a training seed."""
    folder = RunFolder(writer.add(method, seed, [cell]))
    known = folder.evaluation
    assert known is not None
    if values:
        folder.write_json("evaluation.json", {**known, "retrained": {"digits": list(values)}, "recipe": recipe})


def compared(writer: studies.StudyWriter) -> comparison.Comparison:
    return comparison.make_comparison(load_study(writer.path))


def test_the_search_seed_is_the_unit_and_the_training_sd_stands_apart(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    add(writer, "darts", 0, CELLS[0], 90.0, 92.0)
    add(writer, "darts", 1, CELLS[1], 80.0, 84.0)
    add(writer, "darts", 2, CELLS[1], 80.0, 84.0)  # the same cell: the same trainings
    add(writer, "gdas", 0, CELLS[2], 95.0, None)
    add(writer, "gdas", 1, CELLS[3])
    add(writer, "snas", 0, CELLS[3], None, None)
    (table,) = retrained_tables(compared(writer))
    assert table.name == "accuracy-retrained-digits"
    assert RECIPE in table.caption
    rows = {str(row[0]): dict(zip([column.key for column in table.columns], row, strict=True)) for row in table.rows}
    assert list(rows) == ["gdas", "darts", "snas"]
    darts, gdas, snas = rows["darts"], rows["gdas"], rows["snas"]
    assert (darts["retrained"], gdas["retrained"], snas["retrained"]) == ("3/3", "1/2", "0/1")
    assert darts["mean"] == pytest.approx(fmean([91, 82, 82]))
    assert darts["std"] == pytest.approx(stdev([91, 82, 82]))
    assert darts["training_std"] == pytest.approx(((2 + 8) / 2) ** 0.5)
    assert (gdas["mean"], gdas["std"], gdas["training_std"], gdas["training_seeds"]) == (95.0, None, None, "1")
    assert snas["mean"] is None


def test_the_correlation_is_over_distinct_cells(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    retrained = [90.0, 95.0, 91.5, 93.0, 96.0, 80.0]
    for seed, (cell, value) in enumerate(zip(CELLS, retrained, strict=True)):
        add(writer, "darts", seed, cell, value - 1, value + 1)
        add(writer, "gdas", seed, cell, value - 1, value + 1)
    looked_up = [studies.accuracy(cell) for cell in CELLS]
    tau, pearson = stats.kendalltau(retrained, looked_up)[0], stats.pearsonr(retrained, looked_up)[0]
    assert retrained_text(compared(writer)) == [
        "Correlation of the accuracy retrained on digits with the one looked up on cifar10, over 6 distinct cells: "
        f"Kendall τ {tau:.2f}, Pearson {pearson:.2f}."
    ]


def test_too_few_cells_and_equal_accuracies_have_a_sentence(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    for seed in range(6):
        add(writer, "darts", seed, CELLS[0], 90.0)
    (sentence,) = retrained_text(compared(writer))
    assert sentence.startswith("Too few distinct cells to correlate")
    assert sentence.endswith(": 1 distinct cell, and 5 are needed.")
    for seed, cell in enumerate(CELLS):
        add(writer, "gdas", seed, cell, 90.0)
    (sentence,) = retrained_text(compared(writer))
    assert sentence.startswith("All 6 distinct cells have the same accuracy on one side")


def test_different_recipes_are_not_ranked_together(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    add(writer, "darts", 0, CELLS[0], 90.0)
    add(writer, "gdas", 0, CELLS[1], 91.0, recipe="nas-bench-201 v1 (0123456789ab)")
    assert retrained_tables(compared(writer)) == []
    (sentence,) = retrained_text(compared(writer))
    assert "by 2 different recipes" in sentence
    assert "run the study's commands again with one --recipe" in sentence


def test_a_study_without_retraining_has_neither(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    add(writer, "darts", 0, CELLS[0])
    assert (retrained_tables(compared(writer)), retrained_text(compared(writer))) == ([], [])
