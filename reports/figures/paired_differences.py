"""The figure of paired differences between two sides, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from harness.reports.figures.style import BLACK, GREY, WIDTH, method_look, short
from harness.reports.results.pair import Pair

_LINEAR = 0.1
"""Points within which the axis is linear where the noise of retraining is not known."""


def paired_differences(pairs: Sequence[Pair]) -> Figure | None:
    """Draw the differences of all pairs on one axis, a row a pair; None where no pair has a common seed.

    The axis is linear within the noise of retraining and logarithmic beyond it, to show a collapse and tenths.
    """
    shown = [(pair, pair.summary) for pair in pairs]
    rows = [(pair, summary) for pair, summary in shown if summary is not None]
    if not rows:
        return None
    noise = rows[0][0].noise
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(rows)), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(-noise, noise, color="#e6e7ea", zorder=0)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    for row, (pair, summary) in enumerate(rows):
        color, marker = method_look(row)
        values = pair.differences
        spread = row + (np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1))
        ax.plot(values, spread, linestyle="", marker=marker, color=color, alpha=0.8, markersize=5, zorder=3)
        ax.plot([summary.mean] * 2, [row - 0.36, row + 0.36], color=BLACK, linewidth=1.8, zorder=4)
        if summary.interval is not None:
            ax.plot(summary.interval, [row, row], color=BLACK, linewidth=1.2, zorder=4)
    linear = noise or _LINEAR
    ends = [abs(end) for _, summary in rows for end in (summary.best, summary.worst, *(summary.interval or ()))]
    limit = 1.3 * max(*ends, linear)
    ax.set_xscale("symlog", linthresh=linear, linscale=0.4)
    ax.set_xlim(-limit, limit)
    ticks = [step * 10.0**power for power in range(-2, 3) for step in (1, 3) if step * 10.0**power >= linear]
    ax.xaxis.set_major_locator(FixedLocator([*(-tick for tick in ticks), 0, *ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    ax.set_yticks(range(len(rows)), [short(pair.label) for pair, _ in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel(f"A − B on {rows[0][0].dataset} (points)")
    return figure
