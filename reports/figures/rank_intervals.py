"""The rank of each method when seeds are drawn again: its 95 % interval, and how often it is first."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from scipy import stats

from harness.reports.figures.style import WIDTH, method_look, short
from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import by_accuracy, uncertain_ranks


def rank_intervals(comparison: Comparison, dataset: str) -> Figure | None:
    """Draw the rank of each method's mean accuracy with its interval; None where the seeds are too few."""
    uncertain = uncertain_ranks(comparison, dataset)
    if not uncertain:
        return None
    ranked = by_accuracy(comparison, dataset)
    ranks = stats.rankdata([-round(one.summary.mean, 9) for one in ranked])
    labels = [method.label for method in comparison.methods]
    figure = Figure(figsize=(WIDTH, 0.34 * len(ranked) + 0.9), layout="constrained")
    ax = figure.subplots()
    for row, (one, mean_rank) in enumerate(zip(ranked, ranks.tolist(), strict=True)):
        color, marker = method_look(labels.index(one.label))
        rank = uncertain[one.label]
        ax.plot([rank.low, rank.high], [row, row], color=color, linewidth=3, solid_capstyle="butt", alpha=0.55)
        for end in (rank.low, rank.high):
            ax.plot([end, end], [row - 0.18, row + 0.18], color=color, linewidth=1.6)
        ax.plot(mean_rank, row, marker=marker, color=color, markersize=7, zorder=3)
        first = "never first" if rank.first == 0 else f"first in {_percent(rank.first)}"
        ax.text(1.02, row, first, transform=ax.get_yaxis_transform(), va="center", fontsize=8.5)
    ax.set_yticks(range(len(ranked)), [short(one.label) for one in ranked])
    ax.set_ylim(len(ranked) - 0.5, -0.5)
    ax.set_xlim(0.7, len(ranked) + 0.3)
    ax.xaxis.set_major_locator(FixedLocator(range(1, len(ranked) + 1)))
    ax.set_xlabel(f"rank of the mean accuracy on {dataset} (1: the highest)")
    return figure


def _percent(value: float) -> str:
    """Return a percentage that is never rounded to 0 or 100."""
    if value < 1:
        return "<1 %"
    return ">99 %" if 99 < value < 100 else f"{value:.0f} %"
