"""The part of a tabular benchmark that a query-based search may see: validation accuracies and training times.

The command makes it from the table and hands it to the search in a file of the run's folder; no search opens a table.
If the user asks for an oracle, a table without validation accuracies gives test accuracies instead, and the runs say
so.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError


@dataclass(frozen=True, eq=False)
class BenchmarkQuery:
    """The validation accuracy (%) of every cell, and the seconds of training and validating it, by official index.

    Attributes:
        valid_accuracy: (size of the space,); the test accuracy where ``oracle`` is true.
        seconds: (size of the space,); None if the table has no training times.
        lower_fidelities: the same after fewer epochs of training, by their number, ascending; for multi-fidelity
            methods alone.
        oracle: test accuracies stand in the place of validation accuracies.
    """

    valid_accuracy: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64] | None
    lower_fidelities: Mapping[int, BenchmarkQuery] = field(default_factory=dict)
    oracle: bool = False

    def at_epochs(self, epochs: int | None) -> BenchmarkQuery:
        """Return the results of trainings of so many epochs; None: of full trainings."""
        return self if epochs is None else self.lower_fidelities[epochs]

    @property
    def full_fidelity(self) -> BenchmarkQuery:
        """The same without the lower fidelities."""
        return replace(self, lower_fidelities={})

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the content of a file for :meth:`read`: arrays one after the other, in numpy's format.

        The arrays of a lower fidelity follow its epochs, an array without dimensions.
        """
        arrays = [self.valid_accuracy, self.seconds]
        for epochs, results in self.lower_fidelities.items():
            arrays += [np.array(epochs), results.valid_accuracy, results.seconds]
        content = io.BytesIO()
        for array in arrays:
            if array is not None:
                np.save(content, array, allow_pickle=False)
        return content.getvalue()

    @classmethod
    def read(cls, path: Path) -> BenchmarkQuery:
        """Read a file that :meth:`to_bytes` filled. Raises :class:`HarnessError` if it cannot be read."""
        groups: dict[int, list[npt.NDArray[np.float64]]] = {0: []}
        try:
            content = io.BytesIO(path.read_bytes())
            while not groups[0] or content.tell() < len(content.getbuffer()):
                array = np.load(content, allow_pickle=False)
                if array.ndim:
                    groups[list(groups)[-1]].append(array)
                else:
                    groups[int(array)] = []
            fidelities = {
                epochs: cls(arrays[0], arrays[1] if arrays[1:] else None) for epochs, arrays in groups.items()
            }
        except (OSError, ValueError, EOFError, IndexError) as error:
            raise HarnessError(f"{path} cannot be read ({error}); start the run over with --fresh") from None
        return replace(fidelities.pop(0), lower_fidelities=fidelities)
