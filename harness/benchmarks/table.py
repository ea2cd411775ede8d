"""Tabular benchmarks: what is recorded of every cell of a space."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError

EMBEDDED = "embedded"
"""Name of the table that installs with the package and is used where no other is given."""


@dataclass(frozen=True)
class Table:
    """A table in memory: columns by (dataset, metric), rows by the space's official architecture index.

    Metrics, of which a table has some: ``test_accuracy`` (%), by which reports rank; ``valid_accuracy`` (%), which a
    query-based method may see; ``train_accuracy`` (%); ``test_loss``, ``valid_loss``, ``train_loss``;
    ``train_seconds``, of the training behind the test accuracy; ``valid_seconds``, what seeing the validation accuracy
    costs. These are means over training seeds at the full budget, 200 epochs of NAS-Bench-201. ``<metric>@12`` is the
    mean at 12 epochs, ``<metric>@200/777`` the training with seed 777 alone, NaN where a cell has none.
    ``parameters``, ``flops`` (multiply-accumulates) and ``latency`` (seconds for a batch) are of the network trained on
    that dataset.

    Attributes:
        name: short name for print, for example ``embedded``.
        space: name of the search space.
        columns: (dataset, metric): (size of the space,) float64.
        provenance: where it came from: ``name``, ``description`` (one sentence, printed in reports), ``source`` (file
            name or package and version), ``sha256``; of an imported table also ``version``, ``date`` (of the import,
            ISO 8601) and ``licence``.
    """

    name: str
    space: str
    columns: Mapping[tuple[str, str], npt.NDArray[np.float64]] = field(repr=False)
    provenance: dict[str, Any]

    @property
    def datasets(self) -> list[str]:
        """Datasets with a test accuracy, in the table's order."""
        return [dataset for dataset, metric in self.columns if metric == "test_accuracy"]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of names and values of all columns, whatever file they came from."""
        digest = hashlib.sha256(self.space.encode())
        for dataset, metric in sorted(self.columns):
            digest.update(f"{dataset}:{metric}".encode())
            digest.update(np.ascontiguousarray(self.columns[dataset, metric]).tobytes())
        return digest.hexdigest()

    def test_accuracy(self, dataset: str) -> npt.NDArray[np.float64]:
        """Test accuracy (%) of every cell, by official index. Raises HarnessError where the table has none."""
        return self.column(dataset, "test_accuracy")

    def valid_accuracy(self, dataset: str, epochs: int | None = None) -> npt.NDArray[np.float64]:
        """Validation accuracy (%) of every cell, at the full budget or after ``epochs``; never a test accuracy.

        Raises HarnessError where the table has none.
        """
        return self.column(dataset, "valid_accuracy" + (f"@{epochs}" if epochs else ""))

    def column(self, dataset: str, metric: str) -> npt.NDArray[np.float64]:
        """One metric of every cell, by official index. Raises HarnessError, saying what there is, where it has none."""
        try:
            return self.columns[dataset, metric]
        except KeyError:
            there = [name for owner, name in self.columns if owner == dataset and "/" not in name]
            has = f"it has {', '.join(there)}" if there else f"its datasets are {', '.join(self.datasets)}"
            raise HarnessError(f"the table {self.name} has no {metric} on {dataset}: {has}") from None

    def query(self, index: int) -> dict[tuple[str, str], float]:
        """Everything recorded of one cell, by (dataset, metric)."""
        return {key: float(column[index]) for key, column in self.columns.items()}
