"""The order of methods, ties, the Pareto front and collapse, for texts, tables and figures alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from harness.reports.results.comparison import Comparison, MethodResults, SeedResult
from harness.reports.statistics.significance import RankUncertainty, rank_uncertainty
from harness.reports.statistics.summary import Summary, pareto_front, significantly_different, summarize
from harness.runs.schema import TraceRow, search_seconds
from harness.spaces.base import Architecture, SearchSpace

FEATURED = 8
"""Most curves that a reader can distinguish in one panel."""


@dataclass(frozen=True)
class Ranked:
    """A method with at least one accuracy on a dataset."""

    method: MethodResults
    summary: Summary

    @property
    def label(self) -> str:
        """The method's printed name."""
        return self.method.label


def by_accuracy(comparison: Comparison, dataset: str) -> list[Ranked]:
    """Return the methods with finished runs on a dataset, the highest mean first."""
    ranked = [Ranked(method, summarize(finals)) for method in comparison.methods if (finals := method.finals(dataset))]
    return sorted(ranked, key=lambda one: (-one.summary.mean, one.label))


def featured(comparison: Comparison, dataset: str) -> list[MethodResults]:
    """Return the methods that a figure of all curves names: all, or the :data:`FEATURED` best by mean accuracy."""
    if len(comparison.methods) <= FEATURED:
        return comparison.methods
    return [one.method for one in by_accuracy(comparison, dataset)[:FEATURED]]


def is_significant(comparison: Comparison, dataset: str, a: Ranked, b: Ranked) -> bool:
    """Say whether two methods are :func:`~harness.reports.statistics.summary.significantly_different` on a dataset."""
    return significantly_different(a.summary, b.summary, comparison.noise(dataset))


def common_seeds(comparison: Comparison) -> int:
    """Return the number of seeds that every method finished: the pairs of the paired design."""
    seeds = [{seed.run.seed for seed in method.finished} for method in comparison.methods]
    return len(set.intersection(*seeds))


def mean_with_failures(method: MethodResults, finals: list[float], random_mean: float) -> float | None:
    """Return the mean accuracy with each failed run counted as a random cell; None where no run has ended."""
    values = finals + [random_mean] * len(method.failed)
    return fmean(values) if values else None


CostOf = Callable[[SeedResult], float | None]
"""The cost of one run; None where it is not known."""


def seconds_spent(row: TraceRow) -> float | None:
    """Return the search seconds up to a row of a trace.

    None where the search looked up cells in a table without training times.
    """
    return None if "evaluations" in row and "simulated_seconds" not in row else search_seconds(row)


def search_cost(seed: SeedResult) -> float | None:
    """Return the search cost in seconds; None while the run has not ended, and where :func:`seconds_spent` is None."""
    return None if seed.run.trace and seconds_spent(seed.run.trace[-1]) is None else seed.seconds


def mean_cost(method: MethodResults, cost: CostOf) -> float | None:
    """Return the mean cost of the finished runs; None where it is known of none."""
    costs = [value for seed in method.finished if (value := cost(seed)) is not None]
    return fmean(costs) if costs else None


def mean_seconds(method: MethodResults) -> float | None:
    """Return the mean search cost of the finished runs, in seconds."""
    return mean_cost(method, search_cost)


def on_front(comparison: Comparison, dataset: str, cost: CostOf = search_cost) -> list[str]:
    """Return the labels on the Pareto front of mean accuracy and mean cost, the cheapest first."""
    points = [
        (spent, one.summary.mean, one.label)
        for one in by_accuracy(comparison, dataset)
        if (spent := mean_cost(one.method, cost)) is not None
    ]
    front = pareto_front([gain for _, gain, _ in points], [cost for cost, _, _ in points])
    return [label for (_, _, label), kept in sorted(zip(points, front, strict=True)) if kept]


RANKED_FROM = 4
"""Fewest seeds of every method for which ranks are resampled: three seeds have only ten different resamples."""


def uncertain_ranks(comparison: Comparison, dataset: str) -> dict[str, RankUncertainty]:
    """Return the resampled ranks of each method with finished runs, by label; empty below :data:`RANKED_FROM` seeds.

    Seeds are drawn together where all methods have the same seeds.
    """
    ranked = by_accuracy(comparison, dataset)
    if len(ranked) < 2 or min(one.summary.n for one in ranked) < RANKED_FROM:
        return {}
    seeds = [[seed.run.seed for seed in one.method.seeds if seed.final(dataset) is not None] for one in ranked]
    paired = all(each == seeds[0] for each in seeds)
    ranks = rank_uncertainty([one.method.finals(dataset) for one in ranked], paired)
    return {one.label: rank for one, rank in zip(ranked, ranks, strict=True)}


def is_parameter_free(operation: str) -> bool:
    """Say whether an operation has no weights to train: none, skip connections and pooling, by their usual names."""
    return operation in {"none", "skip_connect"} or "pool" in operation


COLLAPSE = "cell is worse than the table's mean cell and at least two thirds of its edges are parameter-free"
"""The rule of a collapse, to follow "a seed has collapsed if its"."""


def collapsed(comparison: Comparison, seed: SeedResult) -> bool | None:
    """Say whether a finished seed has collapsed by the rule :data:`COLLAPSE`; None where it cannot be decided."""
    dataset = comparison.headline
    column = comparison.column(dataset) if dataset else None
    value = seed.final(dataset) if dataset else None
    if column is None or value is None or seed.cell is None:
        return None
    return value < float(column.mean()) and _mostly_free(comparison, seed.cell)


def collapse_history(comparison: Comparison, seed: SeedResult) -> list[bool]:
    """Say for each epoch whether the cell was collapsed by the rule :data:`COLLAPSE`; empty where undecidable."""
    dataset = comparison.headline
    column = comparison.column(dataset) if dataset else None
    if dataset is None or column is None:
        return []
    mean = float(column.mean())
    return [
        value < mean and _mostly_free(comparison, row["architecture"])
        for row, value in zip(seed.run.trace, seed.accuracy.get(dataset, []), strict=False)
    ]


def _mostly_free(comparison: Comparison, text: str) -> bool:
    """Say whether at least two thirds of a cell's edges are parameter-free."""
    space = comparison.space
    cell = space.parse(text)
    return 3 * parameter_free(space, cell) >= 2 * len(space.kept(cell))


def parameter_free(space: SearchSpace, cell: Architecture) -> int:
    """Return the number of a cell's edges that are parameter-free."""
    return sum(is_parameter_free(space.operations[cell[edge]]) for edge in space.kept(cell))
