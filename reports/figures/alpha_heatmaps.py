"""Heat maps of the weights that α gives each operation on each edge at a few epochs, a row a method."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.reports.figures.style import WIDTH, short
from harness.reports.results.alphas import operation_weights
from harness.reports.results.comparison import Comparison, SeedResult
from harness.reports.statistics.summary import Floats
from harness.spaces.labels import operation_label

COLORS = "cividis_r"
"""Perceptually uniform, in greyscale too; darker is larger."""

MOMENTS = (0.0, 0.25, 0.5, 1.0)
"""The epochs shown, as fractions of the run."""


def alpha_heatmaps(comparison: Comparison) -> Figure | None:
    """Draw the weights at start, quarter, half and end, mean over the seeds that reached the epoch; None without α."""
    shown = [(method.label, seeds) for method in comparison.methods if (seeds := _seeds(comparison, method.seeds))]
    if not shown:
        return None
    edges, operations = comparison.space.edges, comparison.space.operations
    columns = [(label, [(epoch, _mean(seeds, epoch)) for epoch in _epochs(seeds)]) for label, seeds in shown]
    most = max(float(mean.max()) for _, panels in columns for _, mean in panels)
    height = 0.125 * len(edges) + 0.75
    figure = Figure(figsize=(WIDTH, height * len(shown) + 1.25), layout="constrained")
    grid = figure.subplots(len(shown), len(MOMENTS), sharex=True, sharey=True, squeeze=False)
    grid[0, 0].set(xlim=(0, len(operations)), ylim=(len(edges), 0))  # of all panels, which then never autoscale
    for row, (label, panels) in zip(grid, columns, strict=True):
        for spare in row[len(panels) :]:
            spare.set_axis_off()
        for ax, (epoch, mean) in zip(row, panels, strict=False):
            mesh = ax.pcolormesh(mean, cmap=COLORS, vmin=0, vmax=most, edgecolors="white", linewidth=0.6)
            _mark_largest(ax, mean, most)
            ax.set_title(f"\nepoch {epoch}")
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0, labelsize=7.5)
            ax.tick_params("x", rotation=90)
        at = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 17), "textcoords": "offset points"}
        row[0].annotate(short(label), weight="bold", **at).set_in_layout(False)
        row[0].set_ylabel("edge")
    grid[0, 0].set_yticks(np.arange(len(edges)) + 0.5, comparison.space.edge_names)
    grid[0, 0].set_xticks(np.arange(len(operations)) + 0.5, [operation_label(operation) for operation in operations])
    figure.colorbar(mesh, ax=grid, location="bottom", aspect=45, label="weight")
    return figure


def without_alpha(comparison: Comparison) -> list[str]:
    """Return the labels of the methods that recorded no α and are therefore left out."""
    return [method.label for method in comparison.methods if not _seeds(comparison, method.seeds)]


def _seeds(comparison: Comparison, seeds: list[SeedResult]) -> list[Floats]:
    """Return the weights of each seed that has any: (epochs, edges, operations)."""
    return [weights for seed in seeds if (weights := operation_weights(comparison, seed)) is not None]


def _epochs(seeds: list[Floats]) -> list[int]:
    """Return the epochs to show, from 1, each once."""
    last = max(len(seed) for seed in seeds)
    return sorted({max(1, round(moment * last)) for moment in MOMENTS})


def _mean(seeds: list[Floats], epoch: int) -> Floats:
    """Return the mean over the seeds that reached an epoch: (edges, operations)."""
    mean: Floats = np.mean([seed[epoch - 1] for seed in seeds if len(seed) >= epoch], axis=0)
    return mean


def _mark_largest(ax: Axes, mean: Floats, most: float) -> None:
    """Mark the largest mean of each edge with a dot, in white on a dark ground."""
    colors = ["white" if value > 0.55 * most else "black" for value in mean.max(axis=1).tolist()]
    ax.scatter(mean.argmax(axis=1) + 0.5, np.arange(len(mean)) + 0.5, s=7, c=colors, linewidth=0)
