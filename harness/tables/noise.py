"""How far retraining alone moves a table's accuracies, measured on the table itself."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from harness.tables import Table
from spaces.base import SearchSpace


def retraining_noise(table: Table, dataset: str, space: SearchSpace) -> float:
    """Points of test accuracy below which no difference is one: mean sd within groups of isomorphic cells.

    Isomorphic cells compute the same function and were mostly trained separately. Of NAS-Bench-201: 0.17, 0.31 and
    0.40 points on CIFAR-10, CIFAR-100 and ImageNet16-120.
    """
    group = _groups(space)
    column = table.test_accuracy(dataset)
    sizes = np.bincount(group)
    mean = np.bincount(group, column) / sizes
    variance = np.bincount(group, (column - mean[group]) ** 2) / sizes
    return float(np.sqrt(variance[sizes > 1]).mean()) if (sizes > 1).any() else 0.0


@cache
def _groups(space: SearchSpace) -> npt.NDArray[np.int64]:
    """The number of each architecture's group of isomorphic cells, by official index."""
    numbers: dict[str, int] = {}
    forms = (space.canonical(space.architecture(index)) for index in range(space.size))
    return np.array([numbers.setdefault(form, len(numbers)) for form in forms])
