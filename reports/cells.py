"""Derived cells, drawn: nodes in a row, an arrow an edge, labelled with its operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from reports.comparison import Comparison
from reports.style import BLACK, GREY, WIDTH, house_style, operation_name, operation_stroke, save, short
from spaces.base import SearchSpace


def cell_png(space_name: str, architecture: str) -> bytes:
    """One cell as a PNG image.

    Raises:
        HarnessError: no such space.
        InvalidArchitecture: ``architecture`` is no cell of the space.
    """
    from harness.catalogue import get_space

    space = get_space(space_name)
    with house_style():
        figure = Figure(figsize=(WIDTH / 1.5, 2.6 * len(space.cells)), layout="constrained")
        draw_cell(figure.subplots(), space, space.parse(architecture))
    return save(figure, "png")


def derived_cells(comparison: Comparison) -> Figure | None:
    """The most frequent final cell of every method, with how many seeds derived it and its accuracy."""
    shown = []
    for method in comparison.methods:
        cells = Counter(seed.cell for seed in method.finished if seed.cell)
        if cells:
            shown.append((method, *cells.most_common(1)[0]))
    if not shown:
        return None
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    kinds = len(comparison.space.cells)
    figure = Figure(figsize=(WIDTH, (2.2 if kinds == 1 else 2.5 * kinds) * rows), layout="constrained")
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

    Arcs run below where they start at an odd node. Edges that the architecture has not kept are left out.
    """
    kept = space.kept(architecture)
    base, floor, right = 0.0, 0.0, 0.0
    for name, edges in space.cells.items():
        first = min(source for source, _ in (space.edges[edge] for edge in edges))
        ends = [(source - first, target - first) for source, target in (space.edges[edge] for edge in edges)]
        shown = [(*end, architecture[edge]) for end, edge in zip(ends, edges, strict=True) if edge in kept]
        nodes = 1 + max(target for _, target in ends)
        heights = [_height(source, target) for source, target, _ in shown]
        if len(space.cells) > 1:
            base = floor - max(0.0, *heights) - (0.8 if floor else 0.0)
            ax.text(-0.2, base + 0.35, name, ha="right", fontsize=8)
        _draw_nodes_and_edges(ax, space, shown, nodes, base)
        floor, right = base + min(-0.75, *heights) - 0.15, max(right, nodes - 0.75)
    several = len(space.cells) > 1
    ax.set(xlim=(-0.9 if several else -0.25, right), ylim=(floor, 0.2 if several else 1.45), aspect="equal")
    ax.set_axis_off()


def _height(source: int, target: int) -> float:
    """How far above the nodes an edge runs, in distances between nodes; negative: below."""
    span = target - source
    return 0.0 if span == 1 else (-1 if source % 2 else 1) * (0.5 + 0.12 * span) * span / 2


def _draw_nodes_and_edges(
    ax: Axes, space: SearchSpace, edges: Sequence[tuple[int, int, int]], nodes: int, base: float
) -> None:
    """One cell on the height ``base``; ``edges`` are (source, target, operation)."""
    for source, target, operation in edges:
        name = space.operations[operation]
        stroke = operation_stroke(name, operation)
        height = _height(source, target)
        faint = name == "none"
        arrow = FancyArrowPatch(
            (source, base),
            (target, base),
            connectionstyle=f"arc3,rad={-2 * height / (target - source)}",
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=8,
            shrinkB=8,
            color="#b5b5b5" if faint else stroke.colour,
            linestyle=stroke.line if faint else "-",
            linewidth=stroke.width,
        )
        ax.add_patch(arrow)
        ax.text(
            (source + target) / 2 - (0 if height else 0.04),
            base + (height or (0.07 if nodes <= 4 else 0.22)),  # above the circles where the nodes stand closer
            operation_name(name),
            ha="center",
            va="center" if height else "bottom",
            fontsize=7.2,
            color=GREY if faint else BLACK,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"} if height else None,
        )
    for node in range(nodes):
        ax.plot(node, base, "o", markersize=13, markerfacecolor="white", markeredgecolor=BLACK, zorder=4)
        ax.text(node, base, str(node), ha="center", va="center", fontsize=8, zorder=5)
