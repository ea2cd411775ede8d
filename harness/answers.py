"""What a table tells a query-based search: validation accuracies and what seeing them costs, and nothing else.

Made by the command from the table, and handed to the search in a file of the run's folder: no search opens a table.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.protocol import Protocol

if TYPE_CHECKING:
    from harness.tables import Table


@dataclass(frozen=True, eq=False)
class Answers:
    """Validation accuracy (%) and seconds of training and validating, of every cell by official index.

    Attributes:
        valid_accuracy: (size of the space,).
        seconds: (size of the space,); None where the table has no training times.
    """

    valid_accuracy: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64] | None

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """As a file for :meth:`read`: arrays one after the other, in numpy's format."""
        content = io.BytesIO()
        for array in (self.valid_accuracy, self.seconds):
            if array is not None:
                np.save(content, array, allow_pickle=False)
        return content.getvalue()

    @classmethod
    def read(cls, path: Path) -> Answers:
        """From a file that :meth:`to_bytes` filled. Raises :class:`HarnessError` where it cannot be read."""
        try:
            content = io.BytesIO(path.read_bytes())
            accuracy = np.load(content, allow_pickle=False)
            seconds = np.load(content, allow_pickle=False) if content.read(1) and content.seek(-1, 1) else None
        except (OSError, ValueError, EOFError) as error:
            raise HarnessError(f"{path} cannot be read ({error}); start the run over with --fresh") from None
        return cls(accuracy, seconds)


def answers(table: Table, protocol: Protocol) -> Answers:
    """What a protocol lets a search see of a table.

    Raises :class:`HarnessError` where the table has no validation accuracy on the data set that is searched on, at the
    budget that is asked for, or no training times while the search is paid for in seconds.
    """
    settings, dataset = protocol.queries, protocol.dataset
    end = f"@{settings.epochs}" if settings.epochs is not None else ""
    try:
        accuracy = table.valid_accuracy(dataset, settings.epochs)
    except HarnessError as error:
        raise HarnessError(
            f"{error}; a query-based search may see no test accuracy, so it needs a table with validation accuracies, "
            "or --set queries.answers=training"
        ) from None
    seconds = table.columns.get((dataset, f"valid_seconds{end}"))
    if not np.isfinite(accuracy).all() or (seconds is not None and not (np.isfinite(seconds) & (seconds > 0)).all()):
        raise HarnessError(
            f"the table {table.name} does not have the validation accuracy{end} and training time on {dataset} of "
            "every cell, which a query-based search needs"
        )
    if seconds is None and settings.evaluations is None:
        raise HarnessError(
            f"the table {table.name} has no training times on {dataset}, so a search cannot be paid for in seconds; "
            "give it a number of cells, such as --set queries.evaluations=100"
        )
    return Answers(np.array(accuracy), None if seconds is None else np.array(seconds))
