"""The power of a study in sentences: the difference that its seeds can show."""

from __future__ import annotations

from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import by_accuracy
from harness.reports.statistics.power import POWER, detectable_difference, fewest_seeds, pooled_std
from harness.reports.statistics.significance import smallest_p

ALPHA = 0.05


def power_text(comparison: Comparison) -> str:
    """Return which differences on the headline dataset the study's seeds can show; empty for one method."""
    dataset = comparison.headline
    ranked = by_accuracy(comparison, dataset) if dataset else []
    if dataset is None or len(ranked) < 2:
        return ""
    groups = [one.method.finals(dataset) for one in ranked]
    n = min(map(len, groups))
    pairs = len(groups) * (len(groups) - 1) // 2
    fewest = " (the fewest of any method)" if n < max(map(len, groups)) else ""
    seeds = f"with {n} finished {'seed' if n == 1 else 'seeds'} of each method{fewest}"
    corrected = f"after Holm's correction for all {pairs} pairs"
    if smallest_p(n, n) > ALPHA:
        text = f"Power: {seeds} no difference, however large, gives p = {ALPHA} in the exact unpaired test. "
        text += f"One pair chosen beforehand needs {fewest_seeds(ALPHA)} seeds"
        return f"{text}; {corrected}, {fewest_seeds(ALPHA / pairs)} seeds are needed." if pairs > 1 else f"{text}."
    std = pooled_std(groups)
    if not std:
        return (
            f"Power: no method's accuracy on {dataset} differs between its seeds, so the power cannot be calculated; "
            f"{seeds} the smallest possible p is {smallest_p(n, n):.2g}."
        )
    shown = (detectable_difference(n, ALPHA) or 0.0) * std
    text = (
        f"Power: {seeds}, the exact unpaired test at 5 % shows a difference of {shown:.2f} points in mean accuracy on "
        f"{dataset} with a probability of {100 * POWER:.0f} %, for one pair chosen beforehand"
    )
    if pairs > 1:
        difference = detectable_difference(n, ALPHA / pairs)
        if difference is None:
            text += (
                f"; {corrected} it shows no difference, however large: that needs {fewest_seeds(ALPHA / pairs)} seeds"
            )
        else:
            text += f"; {corrected} (p up to {ALPHA / pairs:.2g}) it shows {difference * std:.2f} points"
    return f"{text}. {_assumption(groups, std)}"


def _assumption(groups: list[list[float]], std: float) -> str:
    stds = [pooled_std([group]) or 0.0 for group in groups]
    return (
        f"The calculation takes accuracies as normal, with the standard deviation of seeds within a method, pooled: "
        f"{std:.2f} points (single methods: {min(stds):.2f} to {max(stds):.2f}). It does not hold for a method that "
        "sometimes collapses."
    )
