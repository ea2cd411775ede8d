"""The figures of a report, an entry each, with alternative text and caption."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure

from harness.reports.figures.accuracy import (
    accuracy_and_cost,
    accuracy_and_flops,
    accuracy_and_latency,
    accuracy_over_epochs,
    operations_over_epochs,
    table_distribution,
)
from harness.reports.figures.alpha_heatmaps import alpha_heatmaps
from harness.reports.figures.anytime import ENOUGH, accuracy_over_cells, accuracy_over_seconds
from harness.reports.figures.cells import derived_cells
from harness.reports.figures.critical_difference import critical_difference
from harness.reports.figures.edge_heatmaps import edge_ablation, perturbations
from harness.reports.figures.eigenvalues import eigenvalues_over_epochs
from harness.reports.figures.performance_profiles import regret_profiles
from harness.reports.figures.rank_intervals import rank_intervals
from harness.reports.figures.style import DrawnFigure, house_style
from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import FEATURED
from harness.spaces.network_size import LATENCY_BATCH


class FigureEntry(NamedTuple):
    """A figure: file stem, function that draws it or returns None, alternative text and caption."""

    name: str
    draw: Callable[[Comparison], Figure | None]
    alt: str
    caption: str


def draw_all(comparison: Comparison) -> dict[str, DrawnFigure]:
    """Draw every figure that the study has data for; by file stem."""
    with house_style():
        drawn = [(entry, entry.draw(comparison)) for entry in FIGURES]
    return {entry.name: DrawnFigure(figure, entry.alt, entry.caption) for entry, figure in drawn if figure is not None}


def _headline(draw: Callable[[Comparison, str], Figure | None]) -> Callable[[Comparison], Figure | None]:
    """Make a figure of one dataset one of the headline dataset; None where there is none."""
    return lambda comparison: draw(comparison, comparison.headline) if comparison.headline else None


_SCALE = (
    "The accuracy axis is logarithmic in the distance to the best cell, so that it shows a collapse and tenths of a "
    "point."
)
_NAMED = f"With more than {FEATURED} methods, only the {FEATURED} best by mean accuracy are named."
_MEANS = "Small marker: a finished seed. Large open marker: a method's mean. Line: the Pareto front of the means."

FIGURES = [
    FigureEntry(
        "accuracy-over-epochs",
        _headline(accuracy_over_epochs),
        "Accuracy of the derived cell over the epochs, a panel a method",
        f"Test accuracy of the cell derived after each epoch, looked up after the search. {_SCALE}",
    ),
    FigureEntry(
        "table-distribution",
        _headline(table_distribution),
        "Accuracy of every seed below the distribution of all cells",
        f"Below: every finished seed. Above: all cells of the space. {_SCALE}",
    ),
    FigureEntry(
        "regret-profiles",
        _headline(regret_profiles),
        "Share of each method's seeds whose regret is within a bound",
        "Share of a method's seeds (up) whose final cell is within so many points of the table's best cell (across); "
        "further up and left is better. A failed seed counts as within no regret: a method with failures stays below "
        "100 %. The grey part is the noise of retraining: there the axis is linear, and logarithmic beyond it. "
        f"{_NAMED}",
    ),
    FigureEntry(
        "critical-difference",
        critical_difference,
        "Mean rank of each method over the search seeds, with bars over tied methods",
        "Critical-difference diagram: mean ranks over blocks. A block is a search seed that every method finished "
        "(one split, one set of initial weights, one order of batches). A bar joins tied methods; a dot on it marks "
        "each. Two methods differ significantly if Friedman's test and then the pair's exact Wilcoxon signed-rank test "
        "with Holm's correction reject at 5 %, and the means differ by more than retraining moves them.",
    ),
    FigureEntry(
        "accuracy-and-cost",
        _headline(accuracy_and_cost),
        "Accuracy against search cost",
        f"{_MEANS} {_SCALE}",
    ),
    FigureEntry(
        "accuracy-over-seconds",
        _headline(accuracy_over_seconds),
        "Accuracy of the derived cell against the search cost so far",
        f"Accuracy of the cell that the method would derive at this cost, mean over finished seeds; from {ENOUGH} "
        "seeds on, their middle half is shaded. A point of the curve is not the result of a shorter search: schedules, "
        f"such as that of the learning rate, span the whole search. {_NAMED} {_SCALE}",
    ),
    FigureEntry(
        "accuracy-over-cells",
        _headline(accuracy_over_cells),
        "Accuracy of the best cell so far against the cells looked up",
        "Query-based methods that looked cells up in a table: test accuracy of the cell that they would return at this "
        f"number of cells, mean over finished seeds; from {ENOUGH} seeds on, their middle half is shaded. {_SCALE}",
    ),
    FigureEntry(
        "accuracy-and-flops",
        _headline(accuracy_and_flops),
        "Accuracy against the FLOPs of the derived cell",
        f"{_MEANS} FLOPs are multiply-accumulates of the cell's network with C=16, N=5 and ten classes, for one image "
        f"of 32×32 pixels. {_SCALE}",
    ),
    FigureEntry(
        "accuracy-and-latency",
        _headline(accuracy_and_latency),
        "Accuracy against the latency of the derived cell",
        f"{_MEANS} Latency is measured when the study is planned: the time that an edge's operation adds to a forward "
        f"pass of {LATENCY_BATCH} images, above the fastest operation on the edge, summed over edges. {_SCALE}",
    ),
    FigureEntry(
        "rank-intervals",
        _headline(rank_intervals),
        "Rank of each method with its interval",
        "Marker: rank of the method's mean over its seeds. Bar: 95 % of the ranks that it takes when seeds are drawn "
        "again with replacement. Right: how often it is then first. Any difference counts, also one within the noise "
        "of retraining.",
    ),
    FigureEntry(
        "alpha-heatmaps",
        alpha_heatmaps,
        "Weight of each operation on each edge at four epochs, a row a method",
        "Weight that α gives each operation (across) on each edge (down), after the first epoch, a quarter, half and "
        "all of the search: softmax(α), or the method's own weights, such as the sigmoid of FairDARTS. Mean over the "
        "seeds that reached the epoch; a single seed can be more decided than the mean. The dot marks the largest mean "
        "of an edge. On an edge of one even shade no operation is preferred. Methods without α are left out.",
    ),
    FigureEntry(
        "operations-over-epochs",
        operations_over_epochs,
        "Operations of the derived cell over the epochs, a panel a method",
        "Number of edges with each operation after each epoch, mean over the seeds that reached it. The known collapse "
        "of DARTS is a cell that fills with skip connections.",
    ),
    FigureEntry(
        "edge-ablation",
        edge_ablation,
        "Change in test accuracy by each other operation on each edge of the derived cells, a panel a method",
        "Points of test accuracy, by the table, that the derived cell gains or loses with another operation (across) "
        "on one edge (down), mean over the seeds that chose a different one. Frame: the operation that most seeds "
        "chose. Dot: all seeds chose it. Equals sign: the cell computes the same function as before. The colours are "
        "logarithmic beyond the noise of retraining.",
    ),
    FigureEntry(
        "perturbations",
        perturbations,
        "Accuracy that the supernet loses without each operation of each edge, a panel a method",
        "Points of search-validation accuracy that the supernet loses after the last epoch when one operation (across) "
        "is removed from an edge's mixture (down), mean over seeds: the score by which DARTS-PT selects operations "
        "(Wang et al., ICLR 2021). Frame: the operation that most seeds chose. Methods that recorded none are left "
        "out.",
    ),
    FigureEntry(
        "eigenvalues-over-epochs",
        eigenvalues_over_epochs,
        "Largest eigenvalue of the Hessian with respect to α over the epochs, a panel a method",
        "Largest eigenvalue of the Hessian of the validation loss with respect to α, on one fixed batch of each seed, "
        "without weight decay. Zela et al. (ICLR 2020) found that it grows while DARTS collapses. Methods that "
        "recorded none are left out.",
    ),
    FigureEntry(
        "derived-cells",
        derived_cells,
        "The most frequent derived cell of each method",
        "Each method's most frequent final cell, the number of finished seeds that derived it, and its test accuracy. "
        "Node 0 is the input and the last node the output. In the DARTS space nodes 0 and 1 are the outputs of the two "
        "previous cells, and the other nodes together are the output.",
    ),
]
"""Every figure. The sections of :mod:`harness.reports.page.sections` place them on the page."""
