"""Methods in order, ties and the Pareto front: what the words, the tables and the figures all rest on."""

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
"""Curves in one panel that can still be told from each other."""


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
    """Methods with finished runs on a dataset, the highest mean first."""
    ranked = [Ranked(method, summarize(finals)) for method in comparison.methods if (finals := method.finals(dataset))]
    return sorted(ranked, key=lambda one: (-one.summary.mean, one.label))


def featured(comparison: Comparison, dataset: str) -> list[MethodResults]:
    """The methods that a figure with all curves in one panel names: all, or of many the best by mean accuracy."""
    if len(comparison.methods) <= FEATURED:
        return comparison.methods
    return [one.method for one in by_accuracy(comparison, dataset)[:FEATURED]]


def tell_apart(comparison: Comparison, dataset: str, a: Ranked, b: Ranked) -> bool:
    """Whether the seeds tell two methods apart on a dataset; see :mod:`harness.reports.statistics.summary`."""
    return significantly_different(a.summary, b.summary, comparison.noise(dataset))


def common_seeds(comparison: Comparison) -> int:
    """Number of seeds that every method finished: the pairs of the paired design."""
    seeds = [{seed.run.seed for seed in method.finished} for method in comparison.methods]
    return len(set.intersection(*seeds))


def mean_with_failures(method: MethodResults, finals: list[float], random_mean: float) -> float | None:
    """Mean accuracy with each failed run counted as a uniformly random cell; None where no run has ended."""
    values = finals + [random_mean] * len(method.failed)
    return fmean(values) if values else None


CostOf = Callable[[SeedResult], float | None]
"""A cost of one run; None where it has none."""


def seconds_spent(row: TraceRow) -> float | None:
    """Search seconds by a row of a trace; None of a search that paid for cells of a table without training times."""
    return None if "evaluations" in row and "simulated_seconds" not in row else search_seconds(row)


def search_cost(seed: SeedResult) -> float | None:
    """Search cost in seconds; None while the run has not ended, and as :func:`seconds_spent` says."""
    return None if seed.run.trace and seconds_spent(seed.run.trace[-1]) is None else seed.seconds


def mean_cost(method: MethodResults, cost: CostOf) -> float | None:
    """Mean cost of the finished runs."""
    costs = [value for seed in method.finished if (value := cost(seed)) is not None]
    return fmean(costs) if costs else None


def mean_seconds(method: MethodResults) -> float | None:
    """Mean search cost of the finished runs, in seconds."""
    return mean_cost(method, search_cost)


def on_front(comparison: Comparison, dataset: str, cost: CostOf = search_cost) -> list[str]:
    """Labels on the Pareto front of mean accuracy and mean cost, the cheapest first; by default of search seconds."""
    points = [
        (spent, one.summary.mean, one.label)
        for one in by_accuracy(comparison, dataset)
        if (spent := mean_cost(one.method, cost)) is not None
    ]
    front = pareto_front([gain for _, gain, _ in points], [cost for cost, _, _ in points])
    return [label for (_, _, label), kept in sorted(zip(points, front, strict=True)) if kept]


RANKED_FROM = 4
"""Seeds of every method from which ranks are resampled: three have ten resamples, too few to show any doubt."""


def uncertain_ranks(comparison: Comparison, dataset: str) -> dict[str, RankUncertainty]:
    """Where each method with finished runs may stand, by label; empty for fewer seeds than :data:`RANKED_FROM`.

    Seeds are drawn together where all methods have the same.
    """
    ranked = by_accuracy(comparison, dataset)
    if len(ranked) < 2 or min(one.summary.n for one in ranked) < RANKED_FROM:
        return {}
    seeds = [[seed.run.seed for seed in one.method.seeds if seed.final(dataset) is not None] for one in ranked]
    found = rank_uncertainty([one.method.finals(dataset) for one in ranked], all(each == seeds[0] for each in seeds))
    return {one.label: ranks for one, ranks in zip(ranked, found, strict=True)}


def is_parameter_free(operation: str) -> bool:
    """Whether an operation has no weights to train: none, skip connections and pooling, by their usual names."""
    return operation in {"none", "skip_connect"} or "pool" in operation


COLLAPSE = "cell is worse than the table's mean cell, with two thirds of its edges or more parameter-free"
"""The rule by which a seed has collapsed."""


def collapsed(comparison: Comparison, seed: SeedResult) -> bool | None:
    """Whether a finished seed has collapsed, by the rule :data:`COLLAPSE`; None where that cannot be said."""
    dataset = comparison.headline
    column = comparison.column(dataset) if dataset else None
    value = seed.final(dataset) if dataset else None
    if column is None or value is None or seed.cell is None:
        return None
    return value < float(column.mean()) and _mostly_free(comparison, seed.cell)


def collapse_history(comparison: Comparison, seed: SeedResult) -> list[bool]:
    """Whether the rule :data:`COLLAPSE` held of the cell after each epoch; empty where that cannot be said."""
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
    """Whether two thirds of a cell's edges or more are parameter-free."""
    space = comparison.space
    cell = space.parse(text)
    return 3 * parameter_free(space, cell) >= 2 * len(space.kept(cell))


def parameter_free(space: SearchSpace, cell: Architecture) -> int:
    """How many edges of a cell are parameter-free."""
    return sum(is_parameter_free(space.operations[cell[edge]]) for edge in space.kept(cell))
