"""What a table tells a query-based search: validation accuracies and what seeing them costs, and nothing else.

Made by the command from the table, and handed to the search in a file of the run's folder: no search opens a table.
Where the user asks for an oracle, a table without validation accuracies tells test accuracies in their place, and the
runs say so.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class BenchmarkQuery:
    """Validation accuracy (%) and seconds of training and validating, of every cell by official index.

    Attributes:
        valid_accuracy: (size of the space,); of an oracle, the test accuracy.
        seconds: (size of the space,); None where the table has no training times.
        shorter: the same after shorter trainings, by their epochs, ascending; for multi-fidelity methods alone.
        oracle: whether test accuracies stand in the place of validation accuracies.
    """

    valid_accuracy: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64] | None
    shorter: Mapping[int, BenchmarkQuery] = field(default_factory=dict)
    oracle: bool = False

    def after(self, epochs: int | None) -> BenchmarkQuery:
        """What is told of trainings of so many epochs; None: of the full ones."""
        return self if epochs is None else self.shorter[epochs]

    @property
    def in_full(self) -> BenchmarkQuery:
        """The same without the shorter trainings."""
        return replace(self, shorter={})

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """As a file for :meth:`read`: arrays one after the other, in numpy's format.

        Those of shorter trainings follow their epochs, an array without dimensions.
        """
        arrays = [self.valid_accuracy, self.seconds]
        for epochs, told in self.shorter.items():
            arrays += [np.array(epochs), told.valid_accuracy, told.seconds]
        content = io.BytesIO()
        for array in arrays:
            if array is not None:
                np.save(content, array, allow_pickle=False)
        return content.getvalue()

    @classmethod
    def read(cls, path: Path) -> BenchmarkQuery:
        """From a file that :meth:`to_bytes` filled. Raises :class:`HarnessError` where it cannot be read."""
        groups: dict[int, list[npt.NDArray[np.float64]]] = {0: []}
        try:
            content = io.BytesIO(path.read_bytes())
            while not groups[0] or content.tell() < len(content.getbuffer()):
                array = np.load(content, allow_pickle=False)
                if array.ndim:
                    groups[list(groups)[-1]].append(array)
                else:
                    groups[int(array)] = []
            found = {epochs: cls(told[0], told[1] if told[1:] else None) for epochs, told in groups.items()}
        except (OSError, ValueError, EOFError, IndexError) as error:
            raise HarnessError(f"{path} cannot be read ({error}); start the run over with --fresh") from None
        return replace(found.pop(0), shorter=found)
