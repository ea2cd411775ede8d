"""Methods in order, ties and the Pareto front: what the words, the tables and the figures all rest on."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from reports.comparison import Comparison, MethodResults
from reports.stats import Summary, pareto_front, summarise, told_apart


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
    ranked = [Ranked(method, summarise(finals)) for method in comparison.methods if (finals := method.finals(dataset))]
    return sorted(ranked, key=lambda one: (-one.summary.mean, one.label))


def separated(comparison: Comparison, dataset: str, a: Ranked, b: Ranked) -> bool:
    """Whether the seeds tell two methods apart on a dataset; see :func:`reports.stats.told_apart`."""
    return told_apart(a.summary, b.summary, comparison.noise(dataset))


def common_seeds(comparison: Comparison) -> int:
    """Number of seeds that every method finished: the pairs of the paired design."""
    seeds = [{seed.run.seed for seed in method.finished} for method in comparison.methods]
    return len(set.intersection(*seeds))


def mean_with_failures(method: MethodResults, finals: list[float], random_mean: float) -> float | None:
    """Mean accuracy with each failed run counted as a uniformly random cell; None where no run has ended."""
    values = finals + [random_mean] * len(method.failed)
    return fmean(values) if values else None


def mean_seconds(method: MethodResults) -> float | None:
    """Mean search cost of the finished runs, in seconds."""
    seconds = [seed.seconds for seed in method.finished if seed.seconds is not None]
    return fmean(seconds) if seconds else None


def on_front(comparison: Comparison, dataset: str) -> list[str]:
    """Labels on the Pareto front of mean accuracy and mean search seconds, the cheapest first."""
    points = [
        (seconds, one.summary.mean, one.label)
        for one in by_accuracy(comparison, dataset)
        if (seconds := mean_seconds(one.method)) is not None
    ]
    front = pareto_front([gain for _, gain, _ in points], [cost for cost, _, _ in points])
    return [label for (_, _, label), kept in sorted(zip(points, front, strict=True)) if kept]
