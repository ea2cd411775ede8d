"""Tabular benchmarks: what is recorded of every cell of a space."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.base import SearchSpace

EMBEDDED = "analog-nasbench"
"""Name of the table that installs with the package and is used where no other is given."""


@dataclass(frozen=True)
class Table:
    """A table in memory: columns by (dataset, metric), rows by the space's official architecture index.

    Attributes:
        name: short name for print, for example ``analog-nasbench``.
        space: name of the search space.
        columns: (dataset, metric): (size of the space,) float64. Metrics used so far: ``test_accuracy`` (%).
        provenance: where it came from: ``name``, ``description`` (one sentence, printed in reports), ``source`` (file
            name or package and version), ``sha256``.
    """

    name: str
    space: str
    columns: dict[tuple[str, str], npt.NDArray[np.float64]] = field(repr=False)
    provenance: dict[str, Any]

    @property
    def datasets(self) -> list[str]:
        """Datasets with a test accuracy, in the table's order."""
        return [dataset for dataset, metric in self.columns if metric == "test_accuracy"]

    def test_accuracy(self, dataset: str) -> npt.NDArray[np.float64]:
        """Test accuracy (%) of every cell, by official index. Raises KeyError for a dataset it does not have."""
        return self.columns[dataset, "test_accuracy"]

    def query(self, index: int) -> dict[tuple[str, str], float]:
        """Everything recorded of one cell, by (dataset, metric)."""
        return {key: float(column[index]) for key, column in self.columns.items()}


def load_table(source: str | Path | None, space: SearchSpace) -> Table:
    """The table named or stored at ``source``; None is the embedded one.

    Raises :class:`harness.errors.HarnessError` with one line where the file is missing, malformed, hostile, incomplete
    or of another space.
    """
    from harness.tables.analog import read_embedded
    from harness.tables.csv import read_csv

    if source is None or str(source) == EMBEDDED:
        return read_embedded(space)
    return read_csv(Path(source), space)
