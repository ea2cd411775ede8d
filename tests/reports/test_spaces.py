"""Reports of a space with two cells, nodes that drop edges, and no table."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path

from harness.reports.figures.cells import cell_png, derived_cells
from harness.reports.figures.edge_heatmaps import edge_ablation, perturbations
from harness.reports.page.edge_importance_text import edge_importance_text
from harness.reports.page.summary_text import opening
from harness.reports.results.comparison import Comparison, make_comparison
from harness.reports.results.diagnostics import identity_paths
from harness.reports.tables.diagnostics import collapse_table
from harness.reports.tables.operations import operations_table
from harness.reports.tables.rankings import stability_table
from harness.reports.tables.report_table import ReportTable
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.spaces.base import SearchSpace
from harness.spaces.darts.space import PUBLISHED, DARTSSpace
from harness.spaces.labels import operation_label
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support import studies

SPACE = DARTSSpace()
V2 = SPACE.parse(PUBLISHED)


@pytest.fixture
def study(writer: studies.StudyWriter) -> Comparison:
    for seed in range(2):
        writer.add("darts", seed, [SPACE.architecture(seed), V2], datasets=(), space="darts")
    return make_comparison(load_study(writer.path))


def test_the_verdict_points_to_the_retrained_cells(study: Comparison) -> None:
    assert opening(study)[0].startswith("No finished run was looked up in a table, so")
    for run in study.study.runs:
        evaluation = {"table": {}, "accuracy": {}, "retrained": {"digits": [90.0]}, "recipe": "short v1"}
        RunFolder(run.path).write_json("evaluation.json", evaluation)
    again = make_comparison(load_study(study.study.path))
    assert opening(again)[0] == "No finished run was looked up in a table; the report ranks the retrained cells."


def row(table: ReportTable | None) -> dict[str, Any]:
    assert table is not None
    return dict(zip([column.key for column in table.columns], table.rows[0], strict=True))


def test_a_missing_table_is_no_problem_where_there_can_be_none(study: Comparison) -> None:
    assert (study.table, study.table_problem, study.datasets) == (None, "", [])


def test_operations_are_counted_beside_those_of_a_random_genotype(study: Comparison) -> None:
    table = operations_table(study)
    found = row(table)
    assert (found["none"], found["max_pool_3x3"], found["skip_connect"], found["sep_conv_3x3"]) == (12, 5, 5, 5)
    assert table is not None
    ((_, _, none, *others),) = table.references
    assert none == 12
    assert others == [pytest.approx(16 / 7)] * 7
    assert "of 16, with each" in table.caption


def test_edges_that_are_left_out_are_not_parameter_free(study: Comparison) -> None:
    assert row(stability_table(study))["parameter_free_edges"] == 10


def test_identity_paths_end_in_any_node_of_the_output(study: Comparison) -> None:
    assert identity_paths(SPACE, V2) == 2  # the skips from node 0 of the normal cell
    assert row(collapse_table(study))["identity_paths"] == 2


def test_both_cells_are_drawn_without_the_edges_left_out(study: Comparison) -> None:
    figure = derived_cells(study)
    assert isinstance(figure, Figure)
    (drawn,) = [ax for ax in figure.axes if ax.texts]
    words = [text.get_text() for text in drawn.texts]
    assert {"normal", "reduce"} <= set(words)
    assert sum(isinstance(patch, FancyArrowPatch) for patch in drawn.patches) == 16
    assert "none" not in words
    assert cell_png("darts", PUBLISHED).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("space", "cell"),
    [
        *((SPACE, SPACE.architecture(index)) for index in range(SPACE.size // 15, SPACE.size, SPACE.size // 7)),
        (SPACE, V2),
        (NASBench201(), studies.ALL_CONV3),
    ],
)
def test_the_label_of_an_edge_covers_no_node_no_label_and_no_other_edge(
    writer: studies.StudyWriter, space: SearchSpace, cell: tuple[int, ...]
) -> None:
    for method in ("darts", "gdas", "snas"):
        writer.add(method, 0, [cell], datasets=(), space=space.name)
    figure = derived_cells(make_comparison(load_study(writer.path)))
    assert figure is not None
    figure.draw_without_rendering()
    drawn = figure.axes[0]
    nodes = [patch.get_window_extent() for patch in drawn.patches if isinstance(patch, Circle)]
    arrows = [patch for patch in drawn.patches if isinstance(patch, FancyArrowPatch)]
    lines = [arrow.get_path().to_polygons(arrow.get_transform(), closed_only=False) for arrow in arrows]
    operations = {operation_label(operation) for operation in space.operations}
    labels = [text.get_window_extent() for text in drawn.texts if text.get_text() in operations]
    assert len(labels) == len(arrows) == len(space.kept(cell))
    for place, label in enumerate(labels):
        assert not any(label.overlaps(other) for other in nodes + labels[:place])
        others = [part for line in lines[:place] + lines[place + 1 :] for part in line]
        assert not any(Path(part).intersects_bbox(label, filled=False) for part in others)


def test_what_the_supernet_lost_is_mapped_by_the_edges_of_either_cell(writer: studies.StudyWriter) -> None:
    path = writer.add("darts", 0, [V2], datasets=(), space="darts")
    lost = [[float(edge == 27 and operation == 3) for operation in range(8)] for edge in range(28)]
    RunFolder(path).write_json("diagnostics.json", {"perturbation": lost})
    found = make_comparison(load_study(writer.path))
    figure = perturbations(found)
    assert figure is not None
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert (len(names), names[0], names[-1]) == (28, "normal 0→2", "reduce 4→5")
    assert edge_ablation(found) is None
    assert edge_importance_text(found) == [
        "There is no table, and the importance of edges needs one: it comes from looking up changed cells."
    ]
