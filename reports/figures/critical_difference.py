"""The critical-difference diagram: mean ranks on an axis, and bars over tied methods."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.reports.figures.style import BLACK, GREY, WIDTH, method_look, short
from harness.reports.results.comparison import Comparison
from harness.reports.results.friedman import friedman_of

_BAR, _ROW, _GAP = 0.22, 0.26, 0.3
"""Inches: between two bars, between two names, and between the axis, the bars and the names."""

_LONG = 20
"""Longest name (characters) in the usual size; longer names make all smaller, to fit beside the axis."""


def critical_difference(comparison: Comparison) -> Figure | None:
    """Draw the diagram on the headline dataset; None where the design allows no Friedman test.

    After Demšar (2006), with bars from pairwise tests (Benavoli, Corani & Mangili 2016) instead of one critical
    distance. The dots on a bar mark its members, since it may pass over another method.
    """
    tests, _ = friedman_of(comparison)
    if tests is None:
        return None
    count = len(tests.labels)
    half = (count + 1) // 2
    names = _GAP + _BAR * len(tests.cliques)
    depth = names + _ROW * half
    figure = Figure(figsize=(WIDTH, 0.7 + depth), layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(1, count), ylim=(depth, 0), yticks=[])
    ax.xaxis.set_major_locator(MaxNLocator(min(count, 9), integer=True))
    ax.xaxis.set_ticks_position("top")
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(f"mean rank on {tests.dataset} over {len(tests.seeds)} seeds (1 is best)")
    ax.spines["top"].set_visible(True)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    labels = [method.label for method in comparison.methods]
    size = 9 if max(map(len, labels)) <= _LONG else 6.5
    for index, (label, rank) in enumerate(zip(tests.labels, tests.mean_ranks, strict=True)):
        # The outermost name is the highest, so that no line to the axis crosses a name.
        left = index < half
        low = names + _ROW * ((index if left else count - 1 - index) + 0.5)
        color, marker = method_look(labels.index(label))
        ax.plot([rank, rank], [0, low], color=GREY, linewidth=0.8, zorder=1, clip_on=False)
        ax.plot(rank, 0, marker=marker, color=color, markersize=7, clip_on=False, zorder=4)
        text = f"{short(label)}  {rank:.2f} " if left else f" {rank:.2f}  {short(label)}"
        ax.text(rank, low, text, ha="right" if left else "left", va="center", fontsize=size)
    for row, clique in enumerate(tests.cliques):
        ranks = [tests.mean_ranks[index] for index in clique]
        height = _GAP + _BAR * row
        bar = ax.plot([min(ranks), max(ranks)], [height] * 2, color=BLACK, linewidth=3.2, solid_capstyle="round")
        bar[0].set(clip_on=False, gid=f"clique-{row}")
        ax.plot(ranks, [height] * len(ranks), "o", color=BLACK, markersize=6, clip_on=False)
    return figure
