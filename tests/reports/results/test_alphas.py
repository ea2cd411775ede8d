"""What a report shows of α, of ranks and of the operations of final cells."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.special import softmax

from harness.reports.figures.alpha_heatmaps import alpha_heatmaps, without_alpha
from harness.reports.figures.rank_intervals import rank_intervals
from harness.reports.results import comparison
from harness.reports.tables.diagnostics import collapse_table
from harness.reports.tables.operations import operations_table
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies

pytestmark = pytest.mark.usefixtures("no_table")


def compared(writer: studies.StudyWriter) -> comparison.Comparison:
    return comparison.make_comparison(load_study(writer.path))


def history(epochs: int, seed: int) -> list[dict[str, list[list[float]]]]:
    """α of a made-up search, as a run stores it."""
    random = np.random.default_rng(seed)
    return [{"alpha": (random.normal(size=(6, 5)) * epoch).tolist()} for epoch in range(1, epochs + 1)]


def shown(figure: Figure) -> dict[str, np.ndarray]:
    """The values of each panel by its title."""
    return {ax.get_title().strip(): ax.collections[0].get_array() for ax in figure.axes if ax.get_title()}


def test_a_heatmap_is_the_mean_of_softmax_over_the_seeds_that_got_there(writer: studies.StudyWriter) -> None:
    alphas = {seed: history(8 - 4 * seed, seed) for seed in range(2)}
    for seed, found in alphas.items():
        cells = [studies.ALL_SKIP] * len(found)
        RunFolder(writer.add("darts", seed, cells)).write_json("alphas.json", found)
    figure = alpha_heatmaps(compared(writer))
    assert figure is not None
    panels = shown(figure)
    assert list(panels) == ["epoch 1", "epoch 2", "epoch 4", "epoch 8"]
    both = [softmax(np.array(alphas[seed][3]["alpha"]), axis=1) for seed in range(2)]
    np.testing.assert_allclose(panels["epoch 4"], np.mean(both, axis=0))
    np.testing.assert_allclose(panels["epoch 8"], softmax(np.array(alphas[0][7]["alpha"]), axis=1))
    assert all((ax.get_xlim(), ax.get_ylim()) == ((0, 5), (6, 0)) for ax in figure.axes[:4])  # every cell in full
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:3] == ["0→1", "0→2", "1→2"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "none",
        "skip",
        "conv 1×1",
        "conv 3×3",
        "avg pool",
    ]


def test_weights_that_are_no_softmax_are_shown_as_recorded(writer: studies.StudyWriter) -> None:
    weights = np.zeros((6, 5))
    weights[:, 1:] = np.random.default_rng(0).uniform(size=(6, 4))
    found = [history(1, 0)[0] | {"operation_weights": weights.tolist()}]
    RunFolder(writer.add("fair-darts", 0, [studies.ALL_SKIP])).write_json("alphas.json", found)
    study = compared(writer)
    figure = alpha_heatmaps(study)
    assert figure is not None
    np.testing.assert_allclose(shown(figure)["epoch 1"], weights)
    (row,) = collapse_table(study).rows
    margin = np.diff(np.sort(weights)[:, -2:]).mean()
    assert dict(zip([c.key for c in collapse_table(study).columns], row, strict=True))["alpha_margin"] == margin


def test_what_recorded_no_alpha_is_on_no_heatmap(writer: studies.StudyWriter) -> None:
    evaluations = [{"evaluations": []}]
    RunFolder(writer.add("random-search", 0, [studies.ALL_SKIP])).write_json("alphas.json", evaluations)
    writer.add("darts", 0, [studies.ALL_SKIP])
    assert alpha_heatmaps(compared(writer)) is None
    RunFolder(writer.add("gdas", 0, [studies.ALL_SKIP])).write_json("alphas.json", history(1, 0))
    found = compared(writer)
    figure = alpha_heatmaps(found)
    assert figure is not None
    assert list(shown(figure)) == ["epoch 1"]
    assert without_alpha(found) == ["darts", "random-search"]


def test_alpha_that_became_nan_is_shown_as_far_as_it_was_finite(writer: studies.StudyWriter) -> None:
    found = history(4, 0)
    found[2:] = [{"alpha": np.full((6, 5), np.nan).tolist()}] * 2
    run = writer.add("darts", 0, [studies.ALL_SKIP] * 4, status="diverged", reason="α became nan")
    RunFolder(run).write_json("alphas.json", found)
    figure = alpha_heatmaps(compared(writer))
    assert figure is not None
    panels = shown(figure)
    assert max(panels) == "epoch 2"
    assert all(np.isfinite(values).all() for values in panels.values())


def test_rank_intervals_are_drawn_from_four_seeds_on(writer: studies.StudyWriter) -> None:
    for seed in range(3):
        writer.add("gdas", seed, [encoding.neighbours(studies.ALL_CONV3)[seed]])
        writer.add("darts", seed, [studies.ALL_SKIP])
    assert rank_intervals(compared(writer), "cifar10") is None
    writer.add("gdas", 3, [studies.ALL_CONV3])
    writer.add("darts", 3, [studies.ALL_SKIP])
    figure = rank_intervals(compared(writer), "cifar10")
    assert figure is not None
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["gdas", "darts"]
    assert [text.get_text() for text in ax.texts] == ["first in 100 %", "never first"]


def test_methods_with_the_same_mean_share_their_rank(writer: studies.StudyWriter) -> None:
    for seed in range(4):
        for method in ("darts", "gdas"):
            writer.add(method, seed, [studies.ALL_SKIP])
    figure = rank_intervals(compared(writer), "cifar10")
    assert figure is not None
    markers = [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() != "None"]
    assert markers == [1.5, 1.5]
    assert [text.get_text() for text in figure.axes[0].texts] == ["first in 50 %"] * 2


def test_operations_of_final_cells_beside_a_random_cell(writer: studies.StudyWriter) -> None:
    half = (encoding.SKIP,) * 3 + (encoding.CONV3,) * 3
    writer.add("darts", 0, [studies.ALL_CONV3, studies.ALL_SKIP])
    writer.add("darts", 1, [half])
    writer.add("darts", 2, [studies.ALL_CONV3], status="diverged", reason="nan")
    table = operations_table(compared(writer))
    assert table is not None
    (row,) = table.rows
    assert row[:2] == ["darts", "2/3"]
    assert dict(zip([column.key for column in table.columns][2:], row[2:], strict=True)) == {
        "none": 0,
        "skip_connect": 4.5,
        "nor_conv_1x1": 0,
        "nor_conv_3x3": 1.5,
        "avg_pool_3x3": 0,
    }
    assert table.references[0][2:] == pytest.approx([1.2] * 5)


def test_without_a_final_cell_there_are_no_operations(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP], status="failed", reason="out of memory")
    assert operations_table(compared(writer)) is None
