"""The noise of retraining in a table's accuracies, measured on the table itself."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt

from harness.benchmarks.table import TabularBenchmark
from harness.spaces.base import SearchSpace, isomorphic_groups


def retraining_noise(table: TabularBenchmark, dataset: str, space: SearchSpace) -> float:
    """Points of test accuracy below which no difference is one.

    The mean sd within groups of isomorphic cells, which compute the same function and were mostly trained separately.
    Of NAS-Bench-201: 0.17, 0.31 and 0.40 points on CIFAR-10, CIFAR-100 and ImageNet16-120. A table that this harness
    built has one record for all isomorphic cells: there it is the mean standard error of a cell's mean over its
    training seeds.
    """
    seeds = [key for key in table.columns if key[0] == dataset and re.fullmatch(r"test_accuracy@\d+/\d+", key[1])]
    plan = table.provenance.get("plan")
    if plan and plan["dataset"] == dataset and len(seeds) > 1:
        full = str(plan["recipe"]["training"]["epochs"])
        values = np.stack([table.columns[key] for key in seeds if f"@{full}/" in key[1]])
        return float((values.std(axis=0, ddof=1) / np.sqrt(len(values))).mean())
    group = _groups(space)
    column = table.test_accuracy(dataset)
    sizes = np.bincount(group)
    mean = np.bincount(group, column) / sizes
    variance = np.bincount(group, (column - mean[group]) ** 2) / sizes
    return float(np.sqrt(variance[sizes > 1]).mean()) if (sizes > 1).any() else 0.0


@cache
def _groups(space: SearchSpace) -> npt.NDArray[np.int64]:
    """The number of each architecture's group of isomorphic cells, by official index."""
    numbers = np.empty(space.size, dtype=np.int64)
    for number, indices in enumerate(isomorphic_groups(space).values()):
        numbers[indices] = number
    return numbers
