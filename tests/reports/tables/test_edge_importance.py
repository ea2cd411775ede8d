"""The report's explanation: edges ablated by the table, what the search knew of it, and every kind of nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.benchmarks.table import TabularBenchmark
from harness.reports.figures.edge_heatmaps import edge_ablation, perturbations
from harness.reports.figures.style import house_style
from harness.reports.page.edge_importance_text import edge_importance_text
from harness.reports.results import comparison
from harness.reports.results.ablation import ablations, lost_without, substitutes, within_edges
from harness.reports.results.comparison import Comparison, make_comparison
from harness.reports.tables.edge_importance import edge_importance_table
from harness.reports.tables.report_table import to_csv
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies
from tests.support.studies import ALL_CONV3, ALL_SKIP, StudyWriter
from tests.support.toy import NAS_BENCH_201

MIXED = (encoding.CONV3, encoding.CONV3, encoding.SKIP, encoding.CONV1, encoding.POOL, encoding.CONV3)
DEAD_END = (encoding.NONE, encoding.CONV3, encoding.SKIP, encoding.CONV1, encoding.POOL, encoding.CONV3)
"""Node 1 receives nothing, so that what its outgoing edges hold makes no difference."""


def read(writer: StudyWriter) -> Comparison:
    return make_comparison(load_study(writer.path))


def replaced(cell: tuple[int, ...], edge: int, operation: int) -> tuple[int, ...]:
    return (*cell[:edge], operation, *cell[edge + 1 :])


def by_hand(cell: tuple[int, ...]) -> list[list[float]]:
    """Look-ups one by one."""
    form, before = encoding.canonical(cell), studies.accuracy(cell)
    cells = [[replaced(cell, edge, operation) for operation in range(5)] for edge in range(6)]
    return [[0 if encoding.canonical(c) == form else studies.accuracy(c) - before for c in row] for row in cells]


def record(path: Path, alpha: Any = None, perturbation: Any = None) -> None:
    """Add the last α, and what the supernet lost, to a run."""
    if alpha is not None:
        (path / "alphas.json").write_text(json.dumps([{"alpha": [[0] * 5] * 6}, {"alpha": alpha}]))
    if perturbation is not None:
        RunFolder(path).write_json("diagnostics.json", {"perturbation": perturbation})


def row(found: Comparison, label: str) -> dict[str, Any]:
    table = edge_importance_table(found)
    assert table is not None
    keys = [column.key for column in table.columns]
    return next(dict(zip(keys, line, strict=True)) for line in table.rows if line[0] == label)


# --- by the table


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 4)] * 6))
def test_the_substitutes_of_a_cell_are_itself_and_its_neighbours(cell: tuple[int, ...]) -> None:
    indices, same = substitutes(NAS_BENCH_201, cell)
    cells = [[encoding.cell_at(index) for index in row] for row in indices.tolist()]
    assert [row[operation] for row, operation in zip(cells, cell, strict=True)] == [cell] * 6
    assert {one for row in cells for one in row} == {cell, *encoding.neighbours(cell)}
    assert all(
        unchanged == (encoding.canonical(one) == encoding.canonical(cell))
        for row, flags in zip(cells, same.tolist(), strict=True)
        for one, unchanged in zip(row, flags, strict=True)
    )


@pytest.mark.parametrize("cell", [MIXED, DEAD_END, ALL_SKIP, ALL_CONV3])
def test_an_ablation_is_what_single_look_ups_give(cell: tuple[int, ...], writer: StudyWriter) -> None:
    writer.add("darts", 0, [cell])
    found = read(writer)
    (ablation,) = ablations(found, found.methods[0])
    assert ablation.change == pytest.approx(np.array(by_hand(cell)))
    assert [row.tolist().index(True) for row in ablation.chosen] == list(cell)
    assert lost_without(NAS_BENCH_201, ablation) == pytest.approx([-row[encoding.NONE] for row in by_hand(cell)])


def test_a_substitute_that_computes_the_same_changes_nothing(writer: StudyWriter) -> None:
    writer.add("darts", 0, [DEAD_END])
    found = read(writer)
    (ablation,) = ablations(found, found.methods[0])
    for edge in (2, 4):  # from node 1
        assert ablation.same[edge].all()
        assert not ablation.change[edge].any()
        assert studies.accuracy(replaced(DEAD_END, edge, 0)) != studies.accuracy(DEAD_END)  # the table's own noise
    assert row(found, "darts")["lost_without_1_2"] == 0


def test_the_edge_that_carries_most_is_named_with_what_it_carries(writer: StudyWriter) -> None:
    for seed, cell in enumerate([MIXED, ALL_CONV3, MIXED]):
        writer.add("darts", seed, [ALL_SKIP, cell])
    lost = np.mean([[-row[encoding.NONE] for row in by_hand(cell)] for cell in (MIXED, ALL_CONV3, MIXED)], axis=0)
    most = int(lost.argmax())
    source, target = encoding.EDGES[most]
    found = read(writer)
    (sentence,) = edge_importance_text(found)
    assert sentence.startswith(
        f"darts: edge {source}→{target} is the most important: without it the cell loses {lost[most]:.1f} points "
        "(mean over 3 seeds)."
    )
    line = row(found, "darts")
    assert [line[f"lost_without_{a}_{b}"] for a, b in encoding.EDGES] == pytest.approx(lost.tolist())
    assert line["best_change"] == pytest.approx(np.mean([np.max(by_hand(c)) for c in (MIXED, ALL_CONV3, MIXED)]))
    assert line["ablated"] == "3/3"


def test_a_cell_of_which_no_edge_carries_anything_is_said_to_be_so(writer: StudyWriter) -> None:
    writer.add("darts", 0, [(encoding.NONE,) * 6])
    (sentence,) = edge_importance_text(read(writer))
    assert "no single edge of the cell adds more than the noise of retraining, 0.17 points (one seed)." in sentence


def test_a_cell_that_is_better_without_its_edges_is_said_to_be_so(
    writer: StudyWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = 100 - studies.table().test_accuracy("cifar10")
    upside_down = TabularBenchmark("made-up", "nas-bench-201", {("cifar10", "test_accuracy"): column}, {})
    monkeypatch.setattr(comparison, "load_table", lambda *_: upside_down)
    writer.add("darts", 0, [MIXED])
    gains = [-row[encoding.NONE] for row in by_hand(MIXED)]
    assert min(gains) > 0.17
    source, target = encoding.EDGES[int(np.argmax(gains))]
    (sentence,) = edge_importance_text(read(writer))
    assert (
        f"0.17 points; without edge {source}→{target} the cell is {max(gains):.1f} points better (one seed)."
        in sentence
    )


def test_the_map_averages_the_seeds_that_chose_another_operation(writer: StudyWriter) -> None:
    writer.add("darts", 0, [MIXED])
    writer.add("darts", 1, [replaced(MIXED, 0, encoding.POOL)])
    figure = edge_ablation(read(writer))
    assert figure is not None
    shown = figure.axes[0].collections[0].get_array()
    assert shown is not None
    values = np.asarray(shown).reshape(6, 5)
    one, other = by_hand(MIXED), by_hand(replaced(MIXED, 0, encoding.POOL))
    assert values[0, encoding.POOL] == pytest.approx(one[0][encoding.POOL])
    assert values[0, encoding.SKIP] == pytest.approx((one[0][encoding.SKIP] + other[0][encoding.SKIP]) / 2)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[5 + encoding.CONV3] == "•"  # both seeds have it on the second edge
    assert "•" not in texts[:5]


# --- what the search knew


def test_alpha_and_perturbation_that_order_operations_as_the_table_does_or_the_other_way_round(
    writer: StudyWriter,
) -> None:
    for seed in range(3):
        record(writer.add("darts", seed, [MIXED] * 2), by_hand(MIXED), (-np.array(by_hand(MIXED))).tolist())
    found = read(writer)
    line = row(found, "darts")
    assert (line["alpha_tau"], line["perturbation_tau"]) == (pytest.approx(1), pytest.approx(-1))
    (sentence,) = edge_importance_text(found)
    assert "α agrees with the table: τ +1.00, 95 % interval +1.00 to +1.00." in sentence
    assert "The supernet's perturbation contradicts the table: τ −1.00" in sentence


def test_seeds_that_disagree_say_nothing_of_what_matters(writer: StudyWriter) -> None:
    for seed, sign in enumerate([1, -1, 1, -1]):
        record(writer.add("darts", seed, [MIXED] * 2), (sign * np.array(by_hand(MIXED))).tolist())
    (sentence,) = edge_importance_text(read(writer))
    assert "These seeds do not show that α agrees with the table: τ +0.00, 95 % interval −1.00 to +1.00." in sentence


def test_tau_is_taken_edge_by_edge_and_leaves_out_what_is_constant() -> None:
    scores = np.array([[1.0, 2, 3], [5, 5, 5], [30, 20, 10], [1, 2, 3]])
    values = np.array([[0.0, 1, 2], [1, 2, 3], [1, 2, 3], [7, 7, 7]])
    assert within_edges(scores, values) == pytest.approx((1 - 1) / 2)
    assert within_edges(scores[1:2], values[1:2]) is None
    assert within_edges(np.array([[1.0, 2, 3]]), np.array([[1.0, 1, 2]])) == pytest.approx(2 / np.sqrt(3 * 2))


def test_perturbations_are_shown_beside_the_operation_chosen(writer: StudyWriter) -> None:
    lost = np.arange(30.0).reshape(6, 5) - 10
    record(writer.add("darts", 0, [MIXED]), perturbation=lost.tolist())
    record(writer.add("darts", 1, [MIXED]), perturbation=(lost + 2).tolist())
    writer.add("gdas", 0, [MIXED])
    figure = perturbations(read(writer))
    assert figure is not None
    (ax,) = [ax for ax in figure.axes if ax.texts]
    assert ax.get_title() == "darts"
    assert [text.get_text() for text in ax.texts][:3] == ["−9.0", "−8.0", "−7.0"]
    assert [round(frame.get_x()) for frame in ax.patches] == list(MIXED)  # type: ignore[attr-defined]


# --- every kind of nothing


def test_what_cannot_be_said_is_a_sentence_and_never_nan(writer: StudyWriter) -> None:
    record(writer.add("darts", 0, [MIXED]), [[0.5] * 5] * 6, [[0.0] * 5] * 6)  # constant: no order
    record(writer.add("gdas", 0, [MIXED]), by_hand(MIXED))
    writer.add("random-search", 0, [MIXED])
    writer.add("snas", 0, [MIXED], status="diverged")
    record(writer.add("odd", 0, [MIXED]), [[1.0, 2.0]], [[1.0, 2.0]])  # of another shape
    found = read(writer)
    said = dict(sentence.split(": ", 1) for sentence in edge_importance_text(found))
    nothing = "The search recorded nothing to compare with that."
    assert said["darts"].endswith(nothing)
    assert "α agrees with the table to τ +1.00 in one seed, which shows nothing." in said["gdas"]
    assert said["random-search"].endswith(f"(one seed). {nothing}")
    assert said["odd"].endswith(nothing)
    assert said["snas"] == "no run finished, so there is no cell to explain."
    table = edge_importance_table(found)
    assert table is not None
    assert "nan" not in to_csv(table)
    assert row(found, "snas")["alpha_tau"] is row(found, "odd")["alpha_tau"] is None
    with house_style():
        drawn = [edge_ablation(found), perturbations(found)]
    assert [[ax.get_title(loc="left") for ax in figure.axes if ax.texts] for figure in drawn if figure] == [
        ["darts", "gdas", "odd", "random-search"],
        ["darts"],
    ]


def test_a_study_whose_runs_all_failed_has_no_cell_to_explain(writer: StudyWriter) -> None:
    writer.add("darts", 0, [MIXED], status="failed")
    found = read(writer)
    assert edge_importance_text(found) == ["No run finished, so there is no cell to explain."]
    assert edge_importance_table(found) is None
    assert edge_ablation(found) is None
    assert perturbations(found) is None


def test_without_a_table_perturbations_are_shown_all_the_same(
    writer: StudyWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies.use_no_table(monkeypatch)
    record(writer.add("darts", 0, [MIXED], datasets=()), by_hand(MIXED), by_hand(MIXED))
    found = read(writer)
    (sentence,) = edge_importance_text(found)
    assert "There is no table" in sentence
    assert edge_importance_table(found) is None
    assert edge_ablation(found) is None
    assert perturbations(found) is not None
