"""Two methods, one of each side of a comparison, paired by seed."""

from __future__ import annotations

from dataclasses import dataclass

from harness.reports.results.comparison import MethodResults, SeedResult
from harness.reports.results.ranking import mean_seconds
from harness.reports.statistics.summary import Summary, summarize


@dataclass(frozen=True)
class Pair:
    """One method of side A and one of side B.

    Attributes:
        label: the printed name: the method's, or both names where they differ.
        noise: points by which retraining alone moves the accuracy; 0 where not known.
    """

    label: str
    a: MethodResults
    b: MethodResults
    dataset: str
    noise: float

    @property
    def seeds(self) -> list[tuple[int, SeedResult | None, SeedResult | None]]:
        """Every seed of either side, with its run on A and on B."""
        runs_a = {seed.run.seed: seed for seed in self.a.seeds}
        runs_b = {seed.run.seed: seed for seed in self.b.seeds}
        return [(seed, runs_a.get(seed), runs_b.get(seed)) for seed in sorted({*runs_a, *runs_b})]

    @property
    def finals(self) -> tuple[list[float], list[float]]:
        """Accuracies (%) of all finished runs of A and of B."""
        return self.a.finals(self.dataset), self.b.finals(self.dataset)

    @property
    def differences(self) -> list[float]:
        """A minus B in points, for every seed that both finished; rounded, so that equal differences are equal."""
        finals = [(a.final(self.dataset), b.final(self.dataset)) for _, a, b in self.seeds if a and b]
        return [round(x - y, 9) for x, y in finals if x is not None and y is not None]

    @property
    def summary(self) -> Summary | None:
        """Summary of the differences; None where no seed is common."""
        return summarize(self.differences) if self.differences else None

    @property
    def outcomes(self) -> tuple[int, int, int]:
        """Wins, ties and losses of A among the common seeds; a difference within the retraining noise is a tie."""
        wins = sum(value > self.noise for value in self.differences)
        losses = sum(value < -self.noise for value in self.differences)
        return wins, len(self.differences) - wins - losses, losses

    @property
    def cost_ratio(self) -> float | None:
        """Mean search seconds of A divided by those of B; None where A's are not known, or B's are not known or 0."""
        a, b = mean_seconds(self.a), mean_seconds(self.b)
        return a / b if a is not None and b else None
