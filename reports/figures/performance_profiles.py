"""Performance profiles: the share of a method's seeds within a regret, in points below the best cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from harness.reports.figures.style import FAINT, GREY, WIDTH, method_look, others, short
from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.results.ranking import featured
from harness.reports.statistics.summary import Floats

_LINEAR = 0.1
"""Points of regret below which the axis is linear where the noise of retraining is not known."""


def profile(regrets: Sequence[float], ended: int) -> tuple[Floats, Floats]:
    """Return the steps of a profile: every different regret, rising, and the share (%) of ``ended`` seeds within it.

    Regrets are rounded to nine decimals. Seeds that ended without a cell count in ``ended`` only.
    """
    steps, counts = np.unique(np.round(np.asarray(regrets, dtype=float), 9), return_counts=True)
    return steps, 100 * counts.cumsum() / ended


def regret_profiles(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw the profiles of all methods on a dataset; None without a table, or where no run was looked up.

    Failed seeds are within no regret; interrupted seeds have not ended and do not count. The axis is linear from zero
    to the noise of retraining, where regrets mean nothing, and logarithmic beyond it.
    """
    column = comparison.column(dataset)
    shown = [method for method in comparison.methods if method.finals(dataset) or method.failed]
    if column is None or not any(method.finals(dataset) for method in shown):
        return None
    best = float(column.max())
    noise = comparison.noise(dataset)
    largest = max(best - value for method in shown for value in method.finals(dataset))
    limit = 1.25 * max(largest, best - float(column.mean()), _LINEAR)
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    handles = []
    named = featured(comparison, dataset)
    faint = [method for method in shown if method not in named]
    for method in shown:
        steps, shares = profile(
            [best - value for value in method.finals(dataset)], len(method.finals(dataset)) + len(method.failed)
        )
        if method in faint:
            ax.step([0.0, *steps, limit], [0.0, *shares, _last(shares)], where="post", color=FAINT, linewidth=0.8)
            continue
        color, marker = method_look(comparison.methods.index(method))
        ax.step([0.0, *steps, limit], [0.0, *shares, _last(shares)], where="post", color=color, linewidth=1.6)
        ax.plot(steps, shares, linestyle="", marker=marker, color=color, markersize=5, clip_on=False, zorder=3)
        handles.append(Line2D([], [], color=color, marker=marker, markersize=5, label=_named(method, dataset)))
    handles += [others(len(faint))] * bool(faint)
    regrets = np.sort(best - column)
    shares = 100 * np.arange(1, len(regrets) + 1) / len(regrets)
    ax.step(regrets, shares, where="post", color=GREY, linestyle="--", linewidth=1, zorder=1)
    handles.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1, label="random cell"))
    if noise:
        ax.axvspan(0, noise, color="#e6e7ea", zorder=0)
        handles.append(Line2D([], [], color="#e6e7ea", linewidth=6, label="retraining noise"))
    _regret_scale(ax, noise or _LINEAR, limit)
    ax.set(ylim=(0, 102), ylabel="seeds within that regret", xlabel=f"regret on {dataset} (points below the best cell)")
    ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=2.4, columnspacing=1.4)
    return figure


def _last(shares: Floats) -> float:
    return float(shares[-1]) if len(shares) else 0.0


def _named(method: MethodResults, dataset: str) -> str:
    """Return a method's name and, where seeds failed, their number."""
    finished = len(method.finals(dataset))
    failures = f" ({len(method.failed)} of {finished + len(method.failed)} failed)" if method.failed else ""
    return short(method.label) + failures


def _regret_scale(ax: Axes, linear: float, limit: float) -> None:
    """Make the axis linear from 0 to ``linear`` and logarithmic from there to ``limit``."""
    ax.set_xscale("symlog", linthresh=linear, linscale=0.4)
    ax.set_xlim(0, limit)
    ticks = [0.0] + [step * 10.0**power for power in range(-2, 3) for step in (1, 2, 5)]
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick == 0 or linear <= tick <= limit]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
