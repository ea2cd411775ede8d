"""The figures of accuracy on one dataset, and of operations over the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.reports.figures.style import (
    BLACK,
    GREY,
    WIDTH,
    Stroke,
    accuracy_scale,
    cost_scale,
    mean_over_seeds,
    method_look,
    operation_stroke,
    panels,
    short,
)
from harness.reports.results.comparison import Comparison, MethodResults, SeedResult
from harness.reports.results.ranking import CostOf, by_accuracy, mean_cost, on_front, search_cost
from harness.reports.statistics.summary import Floats
from harness.spaces.labels import operation_label
from harness.spaces.network_size import benchmark_size


def accuracy_over_epochs(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw the accuracy of the derived cell after each epoch: a panel a method, a thin line a seed, a thick mean."""
    shown = [
        (method, [(seed, values) for seed in method.seeds if (values := seed.accuracy.get(dataset))])
        for method in comparison.methods
    ]
    shown = [(method, lines) for method, lines in shown if lines]
    if not shown:
        return None
    values = [value for _, lines in shown for _, line in lines for value in line]
    figure, axes = panels(len(shown), max(len(line) for _, lines in shown for _, line in lines), f"{dataset} (%)")
    for ax, (method, lines) in zip(axes, shown, strict=True):
        color, marker = look(comparison, method)
        for seed, line in lines:
            epochs = np.arange(1, len(line) + 1)
            ax.plot(epochs, line, color=color, alpha=0.55, linewidth=0.7)
            if seed.finished:
                ax.plot(epochs[-1], line[-1], color=color, marker=marker, markersize=3.5)
            else:
                ax.plot(epochs[-1], line[-1], color=BLACK, marker="x", markersize=6)
        finished = [line for seed, line in lines if seed.finished]
        if finished:
            mean = mean_over_seeds(finished)
            ax.plot(np.arange(1, len(mean) + 1), mean, color=color, linewidth=2.2)
        ax.set_title(short(method.label))
    best = references(comparison, dataset, axes, values, "y")
    accuracy_scale(axes[0], "y", min(values + best[1:]), best[0])
    handles = [Line2D([], [], color=BLACK, linewidth=0.7, label="one seed")]
    if any(seed.finished for _, lines in shown for seed, _ in lines):
        handles += [Line2D([], [], color=BLACK, linewidth=2.2, label="mean of finished")]
    if any(not seed.finished for _, lines in shown for seed, _ in lines):
        handles += [Line2D([], [], color=BLACK, linestyle="", marker="x", label="did not finish")]
    legend(figure, handles + reference_handles(comparison))
    return figure


def accuracy_and_cost(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw accuracy against search seconds; see :func:`_accuracy_against`."""
    return _accuracy_against(comparison, dataset, search_cost, "search cost (seconds)")


def accuracy_and_flops(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw accuracy against the FLOPs of the derived cell's network; see :func:`_accuracy_against`."""
    millions = {
        text: benchmark_size(comparison.space, comparison.space.parse(text)).flops / 1e6
        for text in {seed.cell for method in comparison.methods for seed in method.finished}
        if text is not None
    }
    label = "FLOPs of the derived cell's network (million multiply-accumulates)"
    return _accuracy_against(comparison, dataset, lambda seed: millions.get(seed.cell or ""), label)


def accuracy_and_latency(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw accuracy against the latency of the derived cell's network; see :func:`_accuracy_against`.

    None where no method penalised latency, so that none was measured.
    """
    measured = [run.config["latencies"] for run in comparison.study.runs if "latencies" in run.config]
    if not measured:
        return None
    space = comparison.space

    def milliseconds(seed: SeedResult) -> float | None:
        if seed.cell is None:
            return None
        chosen = enumerate(space.parse(seed.cell))
        return 1000 * sum(measured[0][edge][operation] for edge, operation in chosen)

    return _accuracy_against(comparison, dataset, milliseconds, "latency of the derived cell's operations (ms)")


def _accuracy_against(comparison: Comparison, dataset: str, cost: CostOf, label: str) -> Figure | None:
    """Draw a small marker a seed, a large one for each method's mean, and the Pareto front of the means."""
    ranked = [one for one in by_accuracy(comparison, dataset) if mean_cost(one.method, cost) is not None]
    if not ranked:
        return None
    figure = Figure(figsize=(WIDTH, 3.4 + 0.1 * len(ranked)), layout="constrained")
    ax = figure.subplots()
    values: list[float] = []
    costs: list[float] = []
    means: dict[str, tuple[float, float]] = {}
    handles: list[Line2D] = []
    for one in ranked:
        color, marker = look(comparison, one.method)
        pairs = [(cost(seed), seed.final(dataset)) for seed in one.method.finished]
        points = [(spent, value) for spent, value in pairs if spent is not None and value is not None]
        costs += [spent for spent, _ in points]
        values += [value for _, value in points]
        ax.plot(*zip(*points, strict=True), linestyle="", marker=marker, color=color, alpha=0.55, markersize=4.5)
        means[one.label] = (mean_cost(one.method, cost) or 0.0, one.summary.mean)
        mean = Line2D([], [], linestyle="", marker=marker, color=color, markersize=10, label=short(one.label))
        mean.set(markerfacecolor="none", markeredgewidth=2, zorder=3)
        mean.set_data(*[[value] for value in means[one.label]])
        handles.append(ax.add_line(mean))
    front = [means[label] for label in on_front(comparison, dataset, cost)]
    if len(front) > 1:
        handles += ax.step(*zip(*front, strict=True), where="post", color=BLACK, linewidth=1, label="Pareto front")
    best = references(comparison, dataset, [ax], values, "y")
    accuracy_scale(ax, "y", min(values + best[1:]), best[0])
    cost_scale(ax, costs)
    ax.set(xlabel=label, ylabel=f"test accuracy on {dataset} (%)")
    legend(figure, handles + reference_handles(comparison))
    return figure


def table_distribution(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw every seed as a point, method by method, below the distribution of all cells of the table."""
    column = comparison.column(dataset)
    ranked = by_accuracy(comparison, dataset)
    if column is None or not ranked:
        return None
    heights = [1.3, 0.3 * len(ranked) + 0.2]
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.1), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=heights)
    lowest, best = float(column.min()), float(column.max())
    accuracy_scale(below, "x", lowest, best)
    edges = best + 1 - np.geomspace(best + 1 - lowest, 1, 61)
    weights = np.full(len(column), 100 / len(column))
    above.hist(column, bins=_closed(edges, column), weights=weights, color="#c9ccd1", edgecolor=GREY, linewidth=0.3)
    above.set_ylabel("cells (%)")
    for row, one in enumerate(reversed(ranked)):
        color, marker = look(comparison, one.method)
        finals = one.method.finals(dataset)
        spread = row + (np.linspace(-0.24, 0.24, len(finals)) if len(finals) > 1 else np.zeros(1))
        below.plot(finals, spread, linestyle="", marker=marker, color=color, alpha=0.8, markersize=5)
        below.plot([one.summary.mean] * 2, [row - 0.36, row + 0.36], color=BLACK, linewidth=1.6)
    below.set_yticks(range(len(ranked)), [short(one.label) for one in reversed(ranked)])
    below.set_ylim(-0.6, len(ranked) - 0.4)
    below.set_xlabel(f"test accuracy on {dataset} (%)")
    references(comparison, dataset, [above, below], [best], "x")
    mean = Line2D([], [], color=BLACK, linestyle="", marker="|", markersize=10, label="mean of seeds")
    legend(figure, [mean, *reference_handles(comparison)])
    return figure


def operations_over_epochs(comparison: Comparison) -> Figure | None:
    """Draw the number of edges with each operation after each epoch, mean over the seeds that reached it."""
    shown = [(method, [seed.run.trace for seed in method.seeds if seed.run.trace]) for method in comparison.methods]
    shown = [(method, traces) for method, traces in shown if traces]
    if not shown:
        return None
    figure, axes = panels(len(shown), max(len(trace) for _, traces in shown for trace in traces), "edges")
    operations = comparison.space.operations
    for ax, (method, traces) in zip(axes, shown, strict=True):
        for index, operation in enumerate(operations):
            mean = mean_over_seeds([[row["operations"].get(operation, 0) for row in trace] for trace in traces])
            stroke = operation_stroke(operation, index)
            line = Line2D(np.arange(1, len(mean) + 1), mean, markevery=[-1], **_line(stroke))
            line.set_zorder(3 if operation == "skip_connect" else 2)
            ax.add_line(line)
        ax.set_title(short(method.label))
    axes[0].set_ylim(-0.3, len(comparison.space.edges) + 0.3)
    axes[0].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    strokes = [(operation_label(operation), operation_stroke(operation, i)) for i, operation in enumerate(operations)]
    legend(figure, [Line2D([], [], label=name, **_line(stroke)) for name, stroke in strokes])
    return figure


def _line(stroke: Stroke) -> dict[str, Any]:
    look = {"color": stroke.color, "linestyle": stroke.line, "linewidth": stroke.width}
    return look | {"marker": stroke.marker, "markersize": 4.5}


def look(comparison: Comparison, method: MethodResults) -> tuple[str, str]:
    """Return colour and marker of a method, the same in all figures of a comparison."""
    return method_look([other.label for other in comparison.methods].index(method.label))


def references(comparison: Comparison, dataset: str, axes: list[Axes], values: list[float], which: str) -> list[float]:
    """Draw the table's mean and best cell; return the best value to show, and the mean if there is a table."""
    column = comparison.column(dataset)
    if column is None:
        return [max(values)]
    best, random = float(column.max()), float(column.mean())
    for ax in axes:
        line = ax.axhline if which == "y" else ax.axvline
        line(random, color=GREY, linestyle="--", linewidth=1, zorder=1)
        line(best, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    return [best, random]


def reference_handles(comparison: Comparison) -> list[Line2D]:
    """Return the legend's entries for :func:`references`."""
    if comparison.table is None:
        return []
    return [
        Line2D([], [], color=GREY, linestyle="--", linewidth=1, label="random cell (mean)"),
        Line2D([], [], color=GREY, linestyle=":", linewidth=1.2, label="best cell"),
    ]


def legend(figure: Figure, handles: list[Line2D]) -> None:
    """Add a legend above the figure."""
    wide = max(len(str(handle.get_label())) for handle in handles) > 24
    columns = 2 if wide else 3
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=2.4, columnspacing=1.4)


def _closed(edges: Floats, column: Floats) -> Floats:
    """Set the outer bin edges to the extremes, which rounding could leave out."""
    edges[0], edges[-1] = column.min(), column.max()
    return edges
