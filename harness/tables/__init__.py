"""Tabular benchmarks: what is recorded of every cell of a space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from spaces.base import SearchSpace

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


def load_table(source: str | Path | None, space: SearchSpace) -> Table:
    """The table named or stored at ``source``: the name of an imported table, or the path of a CSV or Parquet file.

    None is the embedded one. Raises :class:`harness.errors.HarnessError` with one line where there is no such table,
    or it is malformed, hostile, incomplete or of another space, and where the space is too large for any.
    """
    from harness.tables.csv import read_csv
    from harness.tables.embedded import read_embedded
    from harness.tables.store import END, read_parquet, stored_tables

    check_tabular(space)
    if source is None or str(source) == EMBEDDED:
        return read_embedded(space)
    if stored := stored_tables().get(str(source)):
        return read_parquet(stored, space)
    path = Path(source)
    return read_parquet(path, space) if path.suffix == END else read_csv(path, space)


def check_tabular(space: SearchSpace) -> None:
    """Raise :class:`harness.errors.HarnessError` where no table can hold every cell of a space."""
    if not space.enumerable:
        raise HarnessError(
            f"no table can hold the {space.size:,} cells of {space.name}, which have to be trained: harness run "
            "--evaluate retrain, or harness retrain"
        )


def table_reference(source: str) -> str | None:
    """What a study records of the table it was given: None for the embedded one, a stored table's name, else a path."""
    from harness.tables.store import stored_tables

    if source == EMBEDDED:
        return None
    return source if source in stored_tables() else str(Path(source).absolute())
