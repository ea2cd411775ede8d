"""Accuracy against the cost so far: the quality of a method at any budget up to its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.reports.figures.accuracy import legend, look, reference_handles, references
from harness.reports.figures.style import FAINT, WIDTH, accuracy_scale, cost_scale, mean_over_seeds, others, short
from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.results.ranking import FEATURED, by_accuracy, featured, seconds_spent
from harness.reports.statistics.summary import Floats
from harness.runs.schema import TraceRow

Spent = Callable[[TraceRow], float | None]
"""The cost of a search up to a row of its trace; None where it is not known."""

ENOUGH = 5
"""Fewest seeds whose middle half is shaded."""


def cells_looked_up(row: TraceRow) -> float | None:
    """Return the number of cells looked up so far; None for a search without look-ups."""
    return row.get("evaluations")


def accuracy_over_seconds(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw the accuracy of the derived cell against search seconds so far."""
    return _curves(comparison, dataset, seconds_spent, "search cost so far (seconds)")


def accuracy_over_cells(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw the test accuracy of the best cell so far, by validation, against the number of cells looked up."""
    return _curves(comparison, dataset, cells_looked_up, "cells looked up so far")


def _curves(comparison: Comparison, dataset: str, spent: Spent, label: str) -> Figure | None:
    """Draw a line a method: means over finished seeds after each epoch, with the middle half of the seeds shaded."""
    shown = [(one.method, *_of(one.method, dataset, spent)) for one in by_accuracy(comparison, dataset)]
    shown = [(method, costs, lines) for method, costs, lines in shown if lines]
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 3.4 + 0.1 * min(len(shown), FEATURED)), layout="constrained")
    ax = figure.subplots()
    handles: list[Line2D] = []
    faint: list[Line2D] = []
    named = featured(comparison, dataset)
    for method, costs, lines in shown:
        color, marker = look(comparison, method)
        cost, mean = mean_over_seeds(costs), mean_over_seeds(lines)
        if method not in named:
            faint += ax.plot(cost, mean, color=FAINT, linewidth=0.8, zorder=1)
            continue
        if len(lines) >= ENOUGH:
            ax.fill_between(cost, *_middle_half(lines), color=color, alpha=0.12, linewidth=0)
        handles += ax.plot(
            cost, mean, color=color, linewidth=1.8, marker=marker, markevery=[-1], label=short(method.label)
        )
    drawn = handles + faint
    values = [float(value) for line in drawn for value in np.asarray(line.get_ydata())]
    best = references(comparison, dataset, [ax], values, "y")
    accuracy_scale(ax, "y", min(values + best[1:]), best[0])
    cost_scale(ax, [float(cost) for line in drawn for cost in np.asarray(line.get_xdata())])
    ax.set(xlabel=label, ylabel=f"test accuracy on {dataset} (%)")
    legend(figure, handles + [others(len(faint))] * bool(faint) + reference_handles(comparison))
    return figure


def _of(method: MethodResults, dataset: str, spent: Spent) -> tuple[list[list[float]], list[list[float]]]:
    """Return costs and accuracies after each epoch, a list a finished seed; a seed with an unknown cost is left out."""
    costs, lines = [], []
    for seed in method.finished:
        paid = [value for row in seed.run.trace if (value := spent(row))]
        if (accuracies := seed.accuracy.get(dataset)) and len(paid) == len(accuracies):
            costs.append(paid)
            lines.append(accuracies)
    return costs, lines


def _middle_half(lines: list[list[float]]) -> tuple[Floats, Floats]:
    """Return the quartiles over the seeds that reached an epoch, epoch by epoch."""
    reached = [[line[epoch] for line in lines if epoch < len(line)] for epoch in range(max(map(len, lines)))]
    low, high = np.array([np.quantile(values, [0.25, 0.75]) for values in reached]).T
    return low, high
