"""Curves of accuracy against what was spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.reports.figures.anytime import accuracy_over_cells, accuracy_over_seconds
from harness.reports.figures.performance_profiles import regret_profiles
from harness.reports.page.summary_text import opening
from harness.reports.results import comparison
from harness.reports.results.ranking import FEATURED, on_front
from harness.reports.tables.rankings import cost_table
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.runs.schema import search_seconds
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies
from tests.support.studies import StudyWriter

Draw = Callable[[comparison.Comparison, str], Figure | None]
CELLS = [studies.ALL_SKIP, studies.ALL_CONV3, studies.ALL_CONV3, studies.ALL_SKIP]


def axes(figure: Figure | None) -> Axes:
    assert figure is not None
    (found,) = figure.axes
    return found


def drawn(writer: StudyWriter, draw: Draw = accuracy_over_seconds) -> dict[str, tuple[list[float], list[float]]]:
    """What the curves show, by method."""
    found = axes(draw(comparison.make_comparison(load_study(writer.path)), "cifar10"))
    lines = [line for line in found.lines if not str(line.get_label()).startswith("_")]
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in lines
    }


def extremes(writer: StudyWriter) -> tuple[float, float]:
    """Accuracies of the worst and the best of the cells."""
    column = comparison.make_comparison(load_study(writer.path)).column("cifar10")
    assert column is not None
    return float(column[encoding.index(studies.ALL_SKIP)]), float(column[encoding.index(studies.ALL_CONV3)])


def looked_up(folder: Path, per_epoch: int, seconds: float | None) -> None:
    """Make a run one whose cells a table told."""
    run = RunFolder(folder)
    rows = run.read_trace()
    for row in rows:
        row["evaluations"] = per_epoch * row["epoch"]
        if seconds is not None:
            row["simulated_seconds"] = seconds * row["evaluations"]
    run.write_trace(rows)


def test_a_curve_is_the_mean_over_seeds_of_cost_and_accuracy(writer: StudyWriter) -> None:
    writer.add("darts", 0, CELLS, seconds_per_epoch=2.0)
    writer.add("darts", 1, [studies.ALL_SKIP] * 4, seconds_per_epoch=4.0)
    seconds, accuracies = drawn(writer)["darts"]
    assert seconds[-1] == pytest.approx(
        np.mean([search_seconds(run.trace[-1]) for run in load_study(writer.path).runs])
    )
    low, high = extremes(writer)
    assert accuracies == pytest.approx([low, (low + high) / 2, (low + high) / 2, low])


def test_a_run_that_did_not_finish_is_on_no_curve(writer: StudyWriter) -> None:
    writer.add("darts", 0, CELLS, status="failed", reason="out of order")
    assert accuracy_over_seconds(comparison.make_comparison(load_study(writer.path)), "cifar10") is None


def test_cells_of_a_table_with_times_cost_simulated_seconds(writer: StudyWriter) -> None:
    looked_up(writer.add("random-search", 0, CELLS, seconds_per_epoch=0.0), per_epoch=5, seconds=100)
    assert drawn(writer)["random-search"][0] == pytest.approx([500, 1000, 1500, 2000])
    assert drawn(writer, accuracy_over_cells)["random-search"][0] == [5, 10, 15, 20]


def test_cells_of_a_table_without_times_are_counted_and_have_no_seconds(writer: StudyWriter) -> None:
    writer.add("darts", 0, CELLS)
    looked_up(writer.add("random-search", 0, CELLS), per_epoch=5, seconds=None)
    assert list(drawn(writer)) == ["darts"]
    assert list(drawn(writer, accuracy_over_cells)) == ["random-search"]
    compared = comparison.make_comparison(load_study(writer.path))
    assert on_front(compared, "cifar10") == ["darts"]  # the milliseconds of drawing cells are no search cost
    assert not any("Pareto front" in sentence for sentence in opening(compared))


def test_of_many_methods_the_best_are_named_and_the_others_drawn_faintly(writer: StudyWriter) -> None:
    for number in range(FEATURED + 3):
        cell = (encoding.CONV3,) * 5 + (encoding.NONE,) if number == 4 else CELLS[0]
        writer.add(f"method-{number}", 0, [*CELLS[:-1], cell])
    compared = comparison.make_comparison(load_study(writer.path))
    for draw in (accuracy_over_seconds, regret_profiles):
        figure = draw(compared, "cifar10")
        assert figure is not None
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert sum(label.startswith("method-") for label in labels) == FEATURED
        assert {"method-4", "3 other methods"} <= set(labels)


def test_the_search_cost_has_the_columns_that_a_method_of_the_study_uses(writer: StudyWriter) -> None:
    path = writer.add("random-search", 0, CELLS, seconds_per_epoch=0.0)
    looked_up(path, per_epoch=5, seconds=100)
    gradients, cells = {"weight_seconds", "alpha_seconds"}, {"evaluations", "simulated_seconds"}
    columns = {column.key for column in cost_table(comparison.make_comparison(load_study(writer.path))).columns}
    assert (columns & cells, columns & gradients) == (cells, set())
    writer.add("darts", 0, CELLS)
    columns = {column.key for column in cost_table(comparison.make_comparison(load_study(writer.path))).columns}
    assert columns >= cells | gradients


def test_the_middle_half_is_shaded_from_five_seeds_on(writer: StudyWriter) -> None:
    for seed in range(4):
        writer.add("darts", seed, CELLS)
    assert not axes(accuracy_over_seconds(comparison.make_comparison(load_study(writer.path)), "cifar10")).collections
    writer.add("darts", 4, [studies.ALL_SKIP] * 4)
    found = axes(accuracy_over_seconds(comparison.make_comparison(load_study(writer.path)), "cifar10"))
    (band,) = found.collections
    heights = np.concatenate([np.asarray(path.vertices)[:, 1] for path in band.get_paths()])
    assert (heights.min(), heights.max()) == pytest.approx(extremes(writer))
