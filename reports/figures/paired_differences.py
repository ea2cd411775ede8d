"""Pairs of methods, one of each side, and the figure of their differences seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from harness.reports.figures.style import BLACK, GREY, WIDTH, method_look, short
from harness.reports.results.comparison import MethodResults, SeedResult
from harness.reports.results.ranking import mean_seconds
from harness.reports.statistics.summary import Summary, summarize


@dataclass(frozen=True)
class Pair:
    """One method of side A and one of side B.

    Attributes:
        label: for print: the method's, or both where they are two.
        noise: points below which no difference is one; 0 where not known.
    """

    label: str
    a: MethodResults
    b: MethodResults
    dataset: str
    noise: float

    @property
    def seeds(self) -> list[tuple[int, SeedResult | None, SeedResult | None]]:
        """Every seed of either, with its run on each side."""
        first = {seed.run.seed: seed for seed in self.a.seeds}
        second = {seed.run.seed: seed for seed in self.b.seeds}
        return [(seed, first.get(seed), second.get(seed)) for seed in sorted({*first, *second})]

    @property
    def finals(self) -> tuple[list[float], list[float]]:
        """Accuracies (%) of all finished runs of A and of B."""
        return self.a.finals(self.dataset), self.b.finals(self.dataset)

    @property
    def differences(self) -> list[float]:
        """A less B, in points, of every seed that both finished; equal differences are exactly equal."""
        finals = [(a.final(self.dataset), b.final(self.dataset)) for _, a, b in self.seeds if a and b]
        return [round(x - y, 9) for x, y in finals if x is not None and y is not None]

    @property
    def summary(self) -> Summary | None:
        """Of the differences; None where no seed is common."""
        return summarize(self.differences) if self.differences else None

    @property
    def outcomes(self) -> tuple[int, int, int]:
        """Wins, ties and losses of A among the common seeds, beyond the retraining noise."""
        wins = sum(value > self.noise for value in self.differences)
        losses = sum(value < -self.noise for value in self.differences)
        return wins, len(self.differences) - wins - losses, losses

    @property
    def cost_ratio(self) -> float | None:
        """Mean search seconds of A over those of B; None where either is not known or nothing."""
        a, b = mean_seconds(self.a), mean_seconds(self.b)
        return a / b if a is not None and b else None


_LINEAR = 0.1
"""Points within which the axis is linear where the retraining noise is not known."""


def paired_differences(pairs: Sequence[Pair]) -> Figure | None:
    """The differences of all pairs on one axis, a row a pair; None where no pair has a common seed.

    Logarithmic on both sides of the retraining noise, within which it is linear, so that a collapse and tenths show.
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
