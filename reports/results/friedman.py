"""The seeds and methods of a study that Friedman's test compares, where the design allows it.

Demšar (2006) asks for more than ten blocks before the chi-squared approximation of Friedman's test is trusted. Two
methods have a test of their own.
"""

from __future__ import annotations

import numpy as np

from harness.reports.results.comparison import Comparison
from harness.reports.statistics.friedman import FriedmanTests, friedman_tests

FEWEST_METHODS = 3
FEWEST_BLOCKS = 10


def friedman_of(comparison: Comparison) -> tuple[FriedmanTests | None, str]:
    """Return the tests on the headline dataset; or None, and the reason in a sentence, where the design allows none."""
    dataset = comparison.headline
    if dataset is None:
        return None, "There is no Friedman test: there are no accuracies."
    labels = [method.label for method in comparison.methods]
    if len(labels) < FEWEST_METHODS:
        return None, f"There is no Friedman test: it needs {FEWEST_METHODS} methods, and this study has {len(labels)}."
    by_seed = [
        {seed.run.seed: value for seed in method.seeds if (value := seed.final(dataset)) is not None}
        for method in comparison.methods
    ]
    seeds = sorted(set.intersection(*(set(finals) for finals in by_seed)))
    if len(seeds) < FEWEST_BLOCKS:
        return None, (
            f"There is no Friedman test and no critical-difference diagram: they need {FEWEST_BLOCKS} search seeds "
            f"that every method finished, and this study has {len(seeds)}."
        )
    scores = np.round([[finals[seed] for finals in by_seed] for seed in seeds], 9)
    return friedman_tests(dataset, labels, seeds, scores, comparison.noise(dataset)), ""
