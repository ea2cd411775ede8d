"""Heat maps over edges and operations, a panel a method.

One shows the change of accuracy by substitutes, by the table; the other what the supernet loses without an operation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from harness.reports.figures.style import BLACK, WIDTH, short
from harness.reports.results.ablation import ablations, perturbation
from harness.reports.results.comparison import Comparison
from harness.reports.statistics.summary import Floats
from harness.spaces.labels import operation_label

COLORS = "PuOr"
"""Diverging, and safe for colour-blind readers; the printed sign says on which side of white a colour is."""


@dataclass(frozen=True)
class _Map:
    """One panel: values (edges, operations), their print, and the number of seeds that chose each operation."""

    label: str
    values: Floats
    printed: list[list[str]]
    chosen: npt.NDArray[np.int64]


def edge_ablation(comparison: Comparison) -> Figure | None:
    """Draw the change in test accuracy by each substitute, mean over the seeds that chose another operation.

    None without a table.
    """
    maps = []
    for method in comparison.methods:
        if cells := ablations(comparison, method):
            chosen = np.sum([cell.chosen for cell in cells], axis=0)
            replaced = len(cells) - chosen
            values = np.sum([cell.change for cell in cells], axis=0) / np.maximum(replaced, 1)
            same = np.all([cell.same for cell in cells], axis=0)
            printed = [
                ["=" if unchanged else _signed(value) for unchanged, value in zip(*row, strict=True)]
                for row in zip(same, values, strict=True)
            ]
            for edge, operation in np.argwhere(replaced == 0):
                printed[edge][operation] = "•"
            maps.append(_Map(method.label, values, printed, chosen))
    if not maps:
        return None
    most = max(1.0, *(float(np.abs(one.values).max()) for one in maps))
    linear = comparison.noise(comparison.headline) if comparison.headline else 0.0
    return _draw(
        comparison, maps, SymLogNorm(linear or 0.1, vmin=-most, vmax=most), "points of test accuracy (logarithmic)"
    )


def perturbations(comparison: Comparison) -> Figure | None:
    """Draw the accuracy that the supernet loses without each operation, mean over seeds; None where not recorded."""
    maps = []
    for method in comparison.methods:
        recorded = [(seed, lost) for seed in method.finished if (lost := perturbation(comparison, seed)) is not None]
        if recorded:
            cells = np.array([comparison.space.parse(seed.cell) for seed, _ in recorded if seed.cell is not None])
            chosen = np.sum(cells[:, :, None] == np.arange(len(comparison.space.operations)), axis=0)
            values: Floats = np.mean([lost for _, lost in recorded], axis=0)
            maps.append(
                _Map(method.label, values, [[_signed(value).lstrip("+") for value in row] for row in values], chosen)
            )
    if not maps:
        return None
    most = max(float(np.abs(one.values).max()) for one in maps) or 1.0
    return _draw(comparison, maps, Normalize(-most, most), "points of search-validation accuracy lost")


def _signed(value: float) -> str:
    """Return a number with its sign, to a tenth; 0 has none."""
    return "0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", "−")


def _draw(comparison: Comparison, maps: list[_Map], norm: Normalize, label: str) -> Figure:
    edges, operations = comparison.space.edges, comparison.space.operations
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(WIDTH, (0.15 * len(edges) + 0.3) * rows + 1.2), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for spare in axes[len(maps) :]:
        spare.set_axis_off()
        axes[axes.index(spare) - columns].xaxis.set_tick_params(labelbottom=True)
    for ax, one in zip(axes, maps, strict=False):
        mesh = ax.pcolormesh(one.values, cmap=COLORS, norm=norm, edgecolors="white", linewidth=0.6)
        _print(ax, one, norm)
        ax.set_title(short(one.label))
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, labelsize=7.5)
        ax.tick_params("x", rotation=90)
    for first in axes[::columns]:
        first.set_ylabel("edge")
    axes[0].set_yticks(np.arange(len(edges)) + 0.5, comparison.space.edge_names)
    axes[0].set_xticks(np.arange(len(operations)) + 0.5, [operation_label(operation) for operation in operations])
    axes[0].set(xlim=(0, len(operations)), ylim=(len(edges), 0))
    bar = figure.colorbar(mesh, ax=grid, location="bottom", aspect=45, label=label)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    return figure


def _print(ax: Axes, one: _Map, norm: Normalize) -> None:
    """Print the numbers, and frame the operation that most seeds chose."""
    for edge, row in enumerate(one.printed):
        for operation, text in enumerate(row):
            red, green, blue, _ = colormaps[COLORS](float(norm(one.values[edge, operation])))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            number = ax.text(operation + 0.5, edge + 0.5, text, color="white" if dark else BLACK, fontsize=6.5)
            number.set(ha="center", va="center_baseline", in_layout=False)
        most = int(one.chosen[edge].argmax())
        ax.add_patch(Rectangle((most + 0.04, edge + 0.06), 0.92, 0.88, fill=False, edgecolor=BLACK, linewidth=1.1))
