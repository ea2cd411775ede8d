"""A tabular benchmark (table, in short): the recorded accuracies of every cell of a search space."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.registry import get_space
from harness.spaces.base import Architecture, SearchSpace, SpaceError

if TYPE_CHECKING:
    import pandas as pd

Cell: TypeAlias = Architecture | str | int
"""A cell, as its architecture, its official string or its official index."""

EMBEDDED = "embedded"
"""Name of the table that installs with the package and is used where no other is given."""


@dataclass(frozen=True)
class TabularBenchmark:
    """A table in memory: a column for each (dataset, metric), a row for each official index of the space.

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
        """Test accuracies (%) of all cells, by official index. Raises HarnessError where the table has none."""
        return self.column(dataset, "test_accuracy")

    def valid_accuracy(self, dataset: str, epochs: int | None = None) -> npt.NDArray[np.float64]:
        """Validation accuracies (%) of all cells, at the full budget or after ``epochs``; never test accuracies.

        Raises HarnessError where the table has none.
        """
        return self.column(dataset, "valid_accuracy" + (f"@{epochs}" if epochs else ""))

    def column(self, dataset: str, metric: str) -> npt.NDArray[np.float64]:
        """One metric of all cells, by official index. Raises HarnessError, which lists the metrics there are."""
        try:
            return self.columns[dataset, metric]
        except KeyError:
            there = [name for owner, name in self.columns if owner == dataset and "/" not in name]
            has = f"it has {', '.join(there)}" if there else f"its datasets are {', '.join(self.datasets)}"
            raise HarnessError(f"the table {self.name} has no {metric} on {dataset}: {has}") from None

    def query(self, index: int) -> dict[tuple[str, str], float]:
        """Everything recorded of one cell, by (dataset, metric)."""
        return {key: float(column[index]) for key, column in self.columns.items()}

    def accuracy(self, cell: Cell, dataset: str = "cifar10") -> float:
        """Test accuracy (%) of one cell.

        Args:
            cell: an architecture, its official string, or its official index.
            dataset: one of :attr:`datasets`.

        Raises HarnessError for a cell that the space does not have, or a dataset that the table does not have.
        """
        return float(self.test_accuracy(dataset)[self._index(cell)])

    def top(self, k: int, dataset: str = "cifar10") -> pd.DataFrame:
        """The ``k`` cells with the highest test accuracy on a dataset, best first; equal cells by official index.

        Columns: ``index``, ``architecture`` (official string), and the test accuracy (%) by name of each dataset.
        Raises HarnessError where ``k`` is less than 1, or the table does not have the dataset.
        """
        import pandas as pd

        if k < 1:
            raise HarnessError(f"the best {k} cells cannot be listed; ask for 1 or more")
        best = np.argsort(-self.test_accuracy(dataset), kind="stable")[:k]
        accuracies = {name: self.test_accuracy(name)[best] for name in self.datasets}
        frame: pd.DataFrame = pd.DataFrame({"index": best, "architecture": self._strings(best), **accuracies})
        return frame

    def frame(self) -> pd.DataFrame:
        """All cells, a row each, by official index.

        Columns: ``index``, ``architecture`` (official string), and ``<dataset>:<metric>`` of each column of the table.
        """
        import pandas as pd

        rows = np.arange(self._space.size)
        columns = {f"{dataset}:{metric}": column for (dataset, metric), column in self.columns.items()}
        frame: pd.DataFrame = pd.DataFrame({"index": rows, "architecture": self._strings(rows), **columns})
        return frame

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of the space's name, and of name and values of each column in alphabetical order.

        It does not depend on the table's name, on its provenance or on the format of its file.
        """
        content = hashlib.sha256(self.space.encode())
        for dataset, metric in sorted(self.columns):
            values = np.array(self.columns[dataset, metric], "<f8") + 0.0  # one zero: -0.0 + 0.0 is 0.0
            values[np.isnan(values)] = np.nan  # one bit pattern of all that stand for no number
            content.update(f"\0{dataset}:{metric}\0{len(values)}\0".encode() + values.tobytes())
        return content.hexdigest()

    @cached_property
    def _space(self) -> SearchSpace:
        """The search space, by its name. Raises HarnessError where it is not installed."""
        return get_space(self.space)

    def _index(self, cell: Cell) -> int:
        space = self._space
        try:
            if isinstance(cell, int | np.integer):
                return space.index(space.architecture(int(cell)))
            return space.index(space.parse(cell) if isinstance(cell, str) else space.validate(cell))
        except SpaceError as error:
            raise HarnessError(
                f"the table {self.name} has no cell {cell!r}: {str(error).partition(chr(10))[0]}"
            ) from None

    def _strings(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Official strings of the architectures at these indices."""
        space = self._space
        return [space.format(space.architecture(int(row))) for row in rows]
