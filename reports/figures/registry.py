"""The figures of a report: one entry a figure, with the words that go with it."""

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
from harness.reports.figures.style import house_style
from harness.reports.page.elements import Drawn
from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import FEATURED
from harness.search.operation_latency import BATCH


class Plugin(NamedTuple):
    """A figure: its file stem, the function that draws it or gives None, its alternative text and its caption."""

    name: str
    draw: Callable[[Comparison], Figure | None]
    alt: str
    caption: str


def draw_all(comparison: Comparison) -> dict[str, Drawn]:
    """Every figure that the study has data for, by file stem."""
    with house_style():
        drawn = [(entry, entry.draw(comparison)) for entry in FIGURES]
    return {entry.name: Drawn(figure, entry.alt, entry.caption) for entry, figure in drawn if figure is not None}


def _headline(draw: Callable[[Comparison, str], Figure | None]) -> Callable[[Comparison], Figure | None]:
    """A figure of one dataset, drawn for the headline dataset where there is one."""
    return lambda comparison: draw(comparison, comparison.headline) if comparison.headline else None


_SCALE = (
    "The accuracy scale is logarithmic in the distance to the best cell: a collapse and tenths of a point both show."
)
_NAMED = f"Of more than {FEATURED} methods the {FEATURED} best by mean accuracy are named."

FIGURES = [
    Plugin(
        "accuracy-over-epochs",
        _headline(accuracy_over_epochs),
        "Accuracy of the derived cell over the epochs, a panel a method",
        f"Test accuracy of the cell derived after each epoch, looked up after the search. {_SCALE}",
    ),
    Plugin(
        "table-distribution",
        _headline(table_distribution),
        "Every seed's accuracy under the distribution of all cells",
        f"Every finished seed, and above it all cells of the space. {_SCALE}",
    ),
    Plugin(
        "regret-profiles",
        _headline(regret_profiles),
        "Share of each method's seeds whose regret is within a bound",
        "How many of a method's seeds end within so many points of the best cell of the table; further up and left is "
        "better. A failed seed never gets there, so a method that fails does not reach 100 %. The axis is logarithmic; "
        f"in the grey part, where retraining alone makes such differences, and down to zero it is linear. {_NAMED}",
    ),
    Plugin(
        "critical-difference",
        critical_difference,
        "Mean rank of each method over the search seeds, with bars over methods not told apart",
        "Critical-difference diagram: mean ranks over blocks. A block is a search seed that every method finished "
        "(one split, one set of initial weights, one order of batches). A bar joins the methods with a dot on it, "
        "which are not told apart: to be, Friedman's test and then the exact Wilcoxon signed-rank test of the pair "
        "with Holm's correction must reject at 5 %, and the means lie further apart than retraining moves them.",
    ),
    Plugin(
        "accuracy-and-cost",
        _headline(accuracy_and_cost),
        "Accuracy against search cost",
        f"Small: a finished seed. Large and open: a method's mean. The line is the Pareto front of means. {_SCALE}",
    ),
    Plugin(
        "accuracy-over-seconds",
        _headline(accuracy_over_seconds),
        "Accuracy of the derived cell against the search cost so far",
        "What a method has to show for its cost at any time: the cell it would derive then, mean over finished seeds; "
        f"from {ENOUGH} seeds on, the middle half of them is shaded. A point of a curve is no shorter search, since "
        f"schedules such as that of the learning rate belong to the whole one. {_NAMED} {_SCALE}",
    ),
    Plugin(
        "accuracy-over-cells",
        _headline(accuracy_over_cells),
        "Accuracy of the best cell so far against the cells looked up",
        "Query-based methods that a table answered: mean over finished seeds of the test accuracy of the cell they "
        f"would return then; from {ENOUGH} seeds on, the middle half of them is shaded. {_SCALE}",
    ),
    Plugin(
        "accuracy-and-flops",
        _headline(accuracy_and_flops),
        "Accuracy against the FLOPs of the derived cell",
        "Small: a finished seed's cell. Large and open: a method's mean. The line is the Pareto front of means. FLOPs "
        f"are of the network with C=16, N=5 and ten classes, for one image of 32×32 pixels. {_SCALE}",
    ),
    Plugin(
        "accuracy-and-latency",
        _headline(accuracy_and_latency),
        "Accuracy against the latency of the derived cell",
        "Small: a finished seed's cell. Large and open: a method's mean. The line is the Pareto front of means. "
        "Latency is the sum over edges of what the chosen operation added to a forward pass of "
        f"{BATCH} images when the study was planned, above the fastest operation of the edge. {_SCALE}",
    ),
    Plugin(
        "rank-intervals",
        _headline(rank_intervals),
        "Rank of each method with its interval",
        "Marker: the rank of the method's mean over its seeds. Bar: 95 % of the ranks it takes when seeds are drawn "
        "again with replacement; at the right how often it is then first. Any difference counts here, even one within "
        "the noise of retraining.",
    ),
    Plugin(
        "alpha-heatmaps",
        alpha_heatmaps,
        "Weight of each operation on each edge at four epochs, a row a method",
        "The weight that α gives each operation (across) on each edge (down), after the first epoch, a quarter, half "
        "and all of the search: softmax(α), or what the method has in its place, such as the sigmoid of FairDARTS. "
        "Mean over the seeds that reached the epoch, so that a seed can be surer than its mean. The dot marks the "
        "largest mean of an edge. An edge in one even shade has decided nothing. Methods without α are left out.",
    ),
    Plugin(
        "operations-over-epochs",
        operations_over_epochs,
        "Operations of the derived cell over the epochs, a panel a method",
        "Number of edges that hold each operation after each epoch, mean over the seeds that reached it. A cell that "
        "fills with skip connections is the known way in which DARTS collapses.",
    ),
    Plugin(
        "edge-ablation",
        edge_ablation,
        "Change in test accuracy by each other operation on each edge of the derived cells, a panel a method",
        "What the table says of the derived cell with another operation (across) on one edge (down): points of test "
        "accuracy more or less, mean over the seeds that chose another one. Framed: the operation that most seeds "
        "chose; a dot: all did. An equals sign: the cell computes the same function as before. The colours are "
        "logarithmic beyond the noise of retraining.",
    ),
    Plugin(
        "perturbations",
        perturbations,
        "Accuracy that the supernet loses without each operation of each edge, a panel a method",
        "Points of search-validation accuracy that the supernet loses after the last epoch when one operation is left "
        "out of an edge's mixture and all else stays, mean over seeds: the score by which DARTS-PT selects (Wang et "
        "al., ICLR 2021). Framed: the operation that most seeds chose. Methods that recorded none are left out.",
    ),
    Plugin(
        "eigenvalues-over-epochs",
        eigenvalues_over_epochs,
        "Largest eigenvalue of the Hessian with respect to α over the epochs, a panel a method",
        "Largest eigenvalue of the Hessian of the validation loss with respect to α, on one fixed batch of each seed, "
        "without weight decay. Zela et al. (ICLR 2020) saw it grow while DARTS collapses. Methods that recorded none "
        "are left out.",
    ),
    Plugin(
        "derived-cells",
        derived_cells,
        "The most frequent derived cell of each method",
        "Each method's most frequent final cell, how many of its finished seeds derived it, and its test accuracy. "
        "Node 0 is the input, the last node the output; in the DARTS space 0 and 1 are the outputs of the two cells "
        "before, and all other nodes together are the output.",
    ),
]
"""Every figure. A section of :mod:`harness.reports.page.sections` says where on the page one stands."""
