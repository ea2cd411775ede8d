"""The largest eigenvalue of the Hessian with respect to α over the epochs."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.reports.figures.style import BLACK, GREY, method_look, panels, short
from harness.reports.results.comparison import Comparison
from harness.reports.results.diagnostics import eigenvalue, recorded


def eigenvalues_over_epochs(comparison: Comparison) -> Figure | None:
    """Draw a panel a method and a line a seed; None where no run recorded any eigenvalue."""
    shown = []
    for index, method in enumerate(comparison.methods):
        lines = [(seed, values) for seed in method.seeds if (values := recorded(seed, eigenvalue))]
        if lines:
            shown.append((method_look(index), method, lines))
    if not shown:
        return None
    epochs = max(epoch for _, _, lines in shown for _, line in lines for epoch in line)
    figure, axes = panels(len(shown), epochs, "largest eigenvalue")
    for ax, ((color, marker), method, lines) in zip(axes, shown, strict=True):
        ax.axhline(0, color=GREY, linewidth=0.6, zorder=1)
        for seed, line in lines:
            ax.plot([*line], [*line.values()], color=color, alpha=0.7, linewidth=1, marker=marker, markersize=3)
            if not seed.finished:
                ax.plot(max(line), line[max(line)], color=BLACK, marker="x", markersize=6)
        ax.set_title(short(method.label))
    handles = [Line2D([], [], color=BLACK, linewidth=1, label="one seed")]
    if any(not seed.finished for _, _, lines in shown for seed, _ in lines):
        handles.append(Line2D([], [], color=BLACK, linestyle="", marker="x", label="did not finish"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure
