"""What a table tells a query-based search: validation accuracies and what seeing them costs, and nothing else.

Made by the command from the table, and handed to the search in a file of the run's folder: no search opens a table.
Where the user asks for an oracle, a table without validation accuracies tells test accuracies in their place, and the
runs say so.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
        valid_accuracy: (size of the space,); of an oracle, the test accuracy.
        seconds: (size of the space,); None where the table has no training times.
        shorter: the same after shorter trainings, by their epochs, ascending; for multi-fidelity methods alone.
        oracle: whether test accuracies stand in the place of validation accuracies.
    """

    valid_accuracy: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64] | None
    shorter: Mapping[int, Answers] = field(default_factory=dict)
    oracle: bool = False

    def after(self, epochs: int | None) -> Answers:
        """What is told of trainings of so many epochs; None: of the full ones."""
        return self if epochs is None else self.shorter[epochs]

    @property
    def in_full(self) -> Answers:
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
    def read(cls, path: Path) -> Answers:
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


def answers(table: Table, protocol: Protocol, *, shorter: bool = False, oracle: bool = False) -> Answers:
    """What a protocol lets a search see of a table.

    Args:
        table: the one that answers.
        protocol: says on which data set, after how many epochs and at which price.
        shorter: tell the accuracies after shorter trainings too.
        oracle: tell test accuracies in the place of validation accuracies.

    Raises :class:`HarnessError` where the table has no validation accuracy on the data set that is searched on, at the
    budget that is asked for; where it has one, of an oracle; where there is no shorter training, if they are asked for;
    and where there are no training times while the search is paid for in seconds.
    """
    settings, dataset = protocol.queries, protocol.dataset
    metric = "test_accuracy" if oracle else "valid_accuracy"
    validated = (dataset, "valid_accuracy" + _end(settings.epochs)) in table.columns
    if oracle and validated:
        raise HarnessError(
            f"the table {table.name} has validation accuracies on {dataset}, so no search in it needs an oracle; leave "
            "--oracle-on-test out"
        )
    if not oracle and not validated:
        try:
            table.valid_accuracy(dataset, settings.epochs)
        except HarnessError as error:
            raise HarnessError(
                f"{error}; a query-based search may see no test accuracy, so it needs a table with validation "
                "accuracies, or --set queries.answers=training; --oracle-on-test searches by test accuracy and says so"
            ) from None
    less = _shorter(table, dataset, metric, settings.epochs) if shorter else []
    if shorter and not less:
        raise HarnessError(
            f"the table {table.name} has {metric} on {dataset} after one length of training only, and a multi-fidelity "
            "method such as bohb needs two; leave it out, or --set queries.answers=training"
        )
    told = {epochs: _told(table, dataset, metric, epochs, settings.evaluations is None) for epochs in less}
    full = _told(table, dataset, metric, settings.epochs, settings.evaluations is None)
    return replace(full, shorter=told, oracle=oracle)


def _end(epochs: int | None) -> str:
    """What the names of a table's columns after so many epochs end with."""
    return "" if epochs is None else f"@{epochs}"


def _shorter(table: Table, dataset: str, metric: str, longest: int | None) -> list[int]:
    """The lengths of training, in epochs and ascending, that a table has a metric after, below the longest."""
    names = [re.fullmatch(rf"{metric}@([0-9]+)", name) for owner, name in table.columns if owner == dataset]
    found = sorted(int(name[1]) for name in names if name)
    return [epochs for epochs in found if longest is None or epochs < longest]


def _told(table: Table, dataset: str, metric: str, epochs: int | None, in_seconds: bool) -> Answers:
    """What one length of training tells, with its times. Raises as :func:`answers` does."""
    accuracy = table.column(dataset, metric + _end(epochs))
    kind = "train_seconds" if metric == "test_accuracy" else "valid_seconds"
    seconds = table.columns.get((dataset, kind + _end(epochs)))
    if not np.isfinite(accuracy).all() or (seconds is not None and not (np.isfinite(seconds) & (seconds > 0)).all()):
        raise HarnessError(
            f"the table {table.name} does not have {metric}{_end(epochs)} and the training time on {dataset} of every "
            "cell, which a query-based search needs"
        )
    if seconds is None and in_seconds:
        raise HarnessError(
            f"the table {table.name} has no training times on {dataset} ({kind}{_end(epochs)}), so a search cannot be "
            "paid for in seconds; give it a number of cells, such as --set queries.evaluations=100"
        )
    return Answers(np.array(accuracy), None if seconds is None else np.array(seconds))
