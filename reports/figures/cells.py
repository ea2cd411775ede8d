"""Derived cells, drawn: nodes in a row, an arrow an edge, labelled with its operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path

from harness.reports.figures.style import BLACK, GREY, WIDTH, house_style, operation_stroke, save, short
from harness.reports.results.comparison import Comparison
from harness.reports.statistics.summary import Floats
from harness.spaces.base import SearchSpace
from harness.spaces.labels import operation_label

RADIUS = 0.12
"""Radius of a node's circle, in distances between nodes."""


def cell_png(space_name: str, architecture: str) -> bytes:
    """Draw one cell as a PNG image.

    Raises:
        HarnessError: there is no such space.
        InvalidArchitecture: ``architecture`` is not a cell of the space.
    """
    from harness.registry import get_space

    space = get_space(space_name)
    kinds = len(space.cells)
    with house_style():
        figure = Figure(figsize=(WIDTH / 1.5, 1.9) if kinds == 1 else (WIDTH, 2.1 * kinds), layout="constrained")
        draw_cell(figure.subplots(), space, space.parse(architecture))
    return save(figure, "png")


def derived_cells(comparison: Comparison) -> Figure | None:
    """Draw the most frequent final cell of every method, with the number of seeds that derived it and its accuracy."""
    shown = []
    for method in comparison.methods:
        cells = Counter(seed.cell for seed in method.finished if seed.cell)
        if cells:
            shown.append((method, *cells.most_common(1)[0]))
    if not shown:
        return None
    kinds = len(comparison.space.cells)
    columns = min(2, len(shown)) if kinds == 1 else 1
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(WIDTH, (1.8 if kinds == 1 else 0.4 + 2.1 * kinds) * rows), layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[len(shown) :]:
        spare.set_axis_off()
    for ax, (method, cell, count) in zip(axes, shown, strict=False):
        draw_cell(ax, comparison.space, comparison.space.parse(cell))
        title = f"{short(method.label)}\n{count} of {len(method.finished)} seeds"
        first = next(seed for seed in method.finished if seed.cell == cell)
        for dataset in comparison.datasets[:1]:
            if (value := first.final(dataset)) is not None:
                title += f", {value:.2f} %"
        ax.set_title(title)
    return figure


def draw_cell(ax: Axes, space: SearchSpace, architecture: Sequence[int]) -> None:
    """Draw the cells of an architecture below one another: nodes in a row, joined straight or by arcs.

    Arcs that start at an odd node run below. Edges that the architecture has not kept are left out.
    """
    kept = space.kept(architecture)
    several = len(space.cells) > 1
    base, floor, right = 0.0, 0.0, 0.0
    for name, edges in space.cells.items():
        first = min(source for source, _ in (space.edges[edge] for edge in edges))
        ends = [(source - first, target - first) for source, target in (space.edges[edge] for edge in edges)]
        shown = [(*end, architecture[edge]) for end, edge in zip(ends, edges, strict=True) if edge in kept]
        heights = [_height(source, target) for source, target, _ in shown]
        if several:
            base = floor - max(0.0, *heights) - 0.15
            ax.text(-0.25, base, name, ha="right", va="center", fontsize=8)
        nodes = 1 + max(target for _, target in ends)
        _draw_nodes_and_edges(ax, space, shown, nodes, base)
        floor, right = base + min(-0.2, *heights) - 0.15, max(right, nodes - 0.75)
    ax.set(xlim=(-0.95 if several else -0.25, right), ylim=(floor, 0.0 if several else 0.95), aspect="equal")
    ax.set_axis_off()


def _height(source: int, target: int) -> float:
    """Return the height of an edge above the nodes, in distances between nodes; negative: below."""
    span = target - source
    return 0.0 if span == 1 else (-1 if source % 2 else 1) * (0.27 * span - 0.06)


def _points(source: int, target: int, base: float) -> Floats:
    """Return the control points of an edge between nodes at height ``base``, (4, 2): a cubic Bézier curve.

    It leaves the nodes steeply, to keep clear of the labels between them, and ends before the target's circle.
    """
    rise = 4 / 3 * _height(source, target)
    lean = 0.07 * (target - source) if rise else 1 / 3
    points: Floats = np.array([(source, 0), (source + lean, rise), (target - lean, rise), (target, 0)])
    points += [0, base]
    back = points[2] - points[3]
    points[3] += 1.3 * RADIUS * back / np.hypot(*back)
    return points


def _draw_nodes_and_edges(
    ax: Axes, space: SearchSpace, edges: Sequence[tuple[int, int, int]], nodes: int, base: float
) -> None:
    """Draw one cell at height ``base``; ``edges`` are (source, target, operation)."""
    for source, target, operation in edges:
        name = space.operations[operation]
        stroke = operation_stroke(name, operation)
        faint = name == "none"
        points = _points(source, target, base)
        arrow = FancyArrowPatch(
            path=Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]),
            arrowstyle="-|>",
            mutation_scale=9,
            color="#b5b5b5" if faint else stroke.color,
            linestyle=stroke.line if faint else "-",
            linewidth=stroke.width,
        )
        ax.add_patch(arrow)
        straight = target - source == 1
        # Arcs that start at a later node meet others on their first half.
        along = 0.5 if source < 2 else 0.62
        x, y = np.array([(1 - along) ** 3, 3 * along * (1 - along) ** 2, 3 * along**2 * (1 - along), along**3]) @ points
        ax.text(
            (source + target) / 2 if straight else x,
            base + 0.05 if straight else y,
            operation_label(name),
            ha="center",
            va="bottom" if straight else "center",
            fontsize=7.2,
            color=GREY if faint else BLACK,
            bbox=None if straight else {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"},
        )
    for node in range(nodes):
        ax.add_patch(Circle((node, base), RADIUS, facecolor="white", edgecolor=BLACK, zorder=4))
        ax.text(node, base, str(node), ha="center", va="center_baseline", fontsize=8, zorder=5)
