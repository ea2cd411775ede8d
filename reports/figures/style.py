"""The style of figures: colours, markers, scales and files.

It is safe for colour-blind readers and in greyscale: nothing is shown by colour alone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from harness.reports.statistics.summary import Floats

WIDTH = 6.0
"""Width of a figure (inches): 9-point text stays legible on a telephone."""

# The palette of Okabe and Ito (2008), less its yellow, which is too faint on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#777777"
FAINT = "#cfcfcf"
"""Colour of curves that are not named."""

_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

LineStyle = str | tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class Stroke:
    """The line and marker of an operation."""

    color: str
    line: LineStyle
    width: float
    marker: str


_STROKES = {
    "skip_connect": Stroke(VERMILLION, "-", 2.6, "o"),
    "nor_conv_3x3": Stroke(BLUE, (0, (6, 1.5)), 1.6, "s"),
    "nor_conv_1x1": Stroke(SKY, (0, (5, 1.5, 1, 1.5)), 1.6, "^"),
    "avg_pool_3x3": Stroke(GREEN, (0, (1, 1)), 1.8, "D"),
    "max_pool_3x3": Stroke(PURPLE, (0, (2, 1)), 1.8, "P"),
    "sep_conv_3x3": Stroke(BLUE, (0, (6, 1.5)), 1.6, "s"),
    "sep_conv_5x5": Stroke(SKY, (0, (5, 1.5, 1, 1.5)), 1.6, "^"),
    "dil_conv_3x3": Stroke(ORANGE, (0, (4, 1)), 1.6, "v"),
    "dil_conv_5x5": Stroke(BLACK, (0, (3, 1, 1, 1)), 1.4, "*"),
    "none": Stroke(GREY, (0, (2, 3)), 1.0, "x"),
}


def house_style() -> AbstractContextManager[None]:
    """Return the context in which figures are made and saved."""
    return mpl.rc_context(
        {
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": GREY,
            "legend.frameon": False,
            "legend.fontsize": 8.5,
            "svg.hashsalt": "harness",
            "pdf.fonttype": 42,
        }
    )


def method_look(index: int) -> tuple[str, str]:
    """Return colour and marker of the method at an index of the study's sorted labels."""
    return _COLORS[index % len(_COLORS)], _MARKERS[index % len(_MARKERS)]


def others(number: int) -> Line2D:
    """Return the legend's entry for a number of curves that are not named."""
    return Line2D([], [], color=FAINT, linewidth=0.8, label=f"{number} other methods")


def operation_stroke(operation: str, index: int) -> Stroke:
    """Return the stroke of an operation by its name, or by its index in the space where the name is not known.

    Skip connections always stand out and ``none`` is always faint.
    """
    return _STROKES.get(operation) or Stroke(_COLORS[index % len(_COLORS)], "-", 1.4, _MARKERS[index % len(_MARKERS)])


def short(label: str) -> str:
    """Return a method's label, cut in the middle to 32 characters."""
    return label if len(label) <= 32 else f"{label[:18]}…{label[-13:]}"


def accuracy_scale(axes: Axes, which: Literal["x", "y"], lowest: float, best: float) -> None:
    """Make an axis logarithmic in the distance to just above the best cell, to show a collapse and tenths."""
    top = best + 1

    def forward(accuracy: Floats) -> Floats:
        position: Floats = -np.log(np.maximum(top - np.asarray(accuracy, dtype=float), 1e-3))
        return position

    def inverse(position: Floats) -> Floats:
        accuracy: Floats = top - np.exp(-np.asarray(position, dtype=float))
        return accuracy

    axis: Axis = axes.yaxis if which == "y" else axes.xaxis
    scale, limits = (axes.set_yscale, axes.set_ylim) if which == "y" else (axes.set_xscale, axes.set_xlim)
    scale("function", functions=(forward, inverse))
    low, high = forward(np.array([lowest, best]))
    margin = 0.04 * (high - low)
    limits(*inverse(np.array([low - margin, high + margin])))
    ticks = accuracy_ticks(lowest, best)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def cost_scale(axes: Axes, costs: Sequence[float]) -> None:
    """Make the x axis logarithmic where costs differ more than tenfold; otherwise start it at 0."""
    if min(costs) <= 0 or max(costs) <= 10 * min(costs):
        axes.set_xlim(0, 1.1 * max(costs) or 1)
        return
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.5, max(costs) * 1.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(costs) < 300 * min(costs) else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def accuracy_ticks(lowest: float, best: float) -> list[float]:
    """Return round accuracies, evenly spread over the accuracy scale; the coarsest round numbers are tried first."""
    low, high = -np.log(best + 1 - lowest), 0.0
    chosen: dict[float, float] = {}
    for step in (10.0, 5.0, 2.0, 1.0, 0.5):
        for tick in np.arange(np.ceil(lowest / step) * step, best + 1e-9, step).tolist():
            position = -np.log(best + 1 - tick)
            if all(abs(position - other) > (high - low) / 9 for other in chosen.values()):
                chosen[tick] = position
    return sorted(chosen)


def panels(count: int, epochs: int, ylabel: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels over the epochs, in at most two columns that share both axes."""
    columns = min(2, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, 0.9 + max(1.5 * rows, 2.4)), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for spare in axes[count:]:
        spare.set_axis_off()
        axes[axes.index(spare) - columns].xaxis.set_tick_params(labelbottom=True)
    for first in axes[::columns]:
        first.set_ylabel(ylabel)
    margin = max(0.04 * epochs, 0.6)
    axes[0].set_xlim(1 - margin, epochs + margin)
    axes[0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    figure.supxlabel("epoch", fontsize=9)
    return figure, axes[:count]


def save(figure: Figure, kind: Literal["png", "pdf", "svg"]) -> bytes:
    """Return a figure as bytes; the same figure gives the same bytes.

    Its layout is computed once, at the first saving, because it takes longer than drawing.
    """
    metadata: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    buffer = io.BytesIO()
    with house_style():
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format=kind, dpi=200, metadata=metadata[kind])
    return buffer.getvalue()


@dataclass(frozen=True)
class DrawnFigure:
    """A figure with its alternative text and its caption."""

    figure: Figure
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The whole figure as a data address (SVG)."""
        return "data:image/svg+xml;base64," + base64.b64encode(save(self.figure, "svg")).decode()


def mean_over_seeds(rows: Sequence[Sequence[float]]) -> Floats:
    """Return the mean over the seeds that reached an epoch, epoch by epoch."""
    epochs = max(len(row) for row in rows)
    return np.array([np.mean([row[epoch] for row in rows if epoch < len(row)]) for epoch in range(epochs)])
