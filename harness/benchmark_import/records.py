"""Make the columns of a table from the records that NAS-Bench-201 and NATS-Bench hold of each cell.

Both store, of every cell, budget (12 or 200 epochs), dataset and training seed, the state of an object
``ResultsCount``: curves by epoch, of which the last epoch is kept, and costs. The datasets of the files are not those
of a table: ``cifar10-valid`` is CIFAR-10 with half of the training images, where validation accuracy comes from;
``cifar10`` is all of them, where test accuracy comes from. They are two different networks. ``ori-test`` is CIFAR-10's
test set, and on the other datasets validation and test together, which no table uses.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.spaces.base import SearchSpace, SpaceError

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
FULL, SHORT = 200, 12
LONGEST = 1000
"""Epochs that a training can have had."""

SETS = ("x-valid", "x-test", "ori-test")
MARKS = frozenset({"train_acc1es", "train_losses", "eval_acc1es", "eval_losses", "eval_times", "epochs", "latency"})
"""Keys by which a training's record is known, whatever else it holds."""

FIELDS = (
    "epochs",
    "train_accuracy",
    "train_loss",
    "train_seconds",
    "valid_seconds",
    "parameters",
    "flops",
    "latency",
    *(f"{name}_{quantity}" for name in SETS for quantity in ("accuracy", "loss")),
)
"""The numbers kept of a training, in the order of :func:`summarize_record`; NaN where the file has none."""

CONTENT = (
    "accuracies after 200 and 12 epochs, means over the training seeds; on CIFAR-10, validation accuracy is of a "
    "network trained on half of the images that the network of the test accuracy was trained on."
)
"""The content of such a table, for its description."""

COSTS = ("parameters", "flops", "latency")

Columns = dict[tuple[str, str], npt.NDArray[np.float64]]
Record = Mapping[int, Mapping[str, Any]]
"""All that a file holds of a cell: number of epochs: the state of its ``ArchResults``."""


def sources(dataset: str) -> dict[str, tuple[str, str]]:
    """Metric: (the file's dataset that the network was trained on, field of ``FIELDS``)."""
    halved = "cifar10-valid" if dataset == "cifar10" else dataset
    test = "ori-test" if dataset == "cifar10" else "x-test"
    return {
        "test_accuracy": (dataset, f"{test}_accuracy"),
        "valid_accuracy": (halved, "x-valid_accuracy"),
        "train_accuracy": (dataset, "train_accuracy"),
        "test_loss": (dataset, f"{test}_loss"),
        "valid_loss": (halved, "x-valid_loss"),
        "train_loss": (dataset, "train_loss"),
        "train_seconds": (dataset, "train_seconds"),
        "valid_seconds": (halved, "valid_seconds"),
    }


def summarize_record(record: dict[Any, Any]) -> None:
    """Replace a training's record by its ``FIELDS``. Raises LookupError, TypeError or ValueError where it is none.

    ``valid_seconds`` is what seeing the validation accuracy costs: the whole training and one pass over the validation
    set (``simulate_train_eval`` of both packages).
    """
    epochs = int(record["epochs"])
    if not 0 < epochs <= LONGEST:
        raise ValueError(epochs)
    last = epochs - 1
    times = record.get("train_times")
    seconds = float(sum(times[epoch] for epoch in range(epochs))) if times else np.nan
    latency = record["latency"] or ()
    flops, parameters = (_number(record.get(name)) * 1e6 for name in ("flop", "params"))
    values = [
        epochs,
        _number(record["train_acc1es"][last]),
        _number(record["train_losses"][last]),
        seconds,
        seconds + _pass(record["eval_times"], "x-valid", epochs),
        np.rint(parameters),
        np.rint(flops),
        sum(latency) / len(latency) if latency else np.nan,
    ]
    for name in SETS:
        key = f"{name}@{last}"
        values += [_number(record["eval_acc1es"].get(key)), _number(record["eval_losses"].get(key))]
    record.clear()
    record["fields"] = array("d", values)


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


@cache
def _keys(name: str, epochs: int) -> tuple[str, ...]:
    return tuple(f"{name}@{epoch}" for epoch in range(epochs))


def _pass(times: dict[str, float] | None, name: str, epochs: int) -> float:
    """Seconds of one pass over a set, the mean over all epochs; NaN where one is missing."""
    keys = _keys(name, epochs)
    if not times or keys[0] not in times or keys[-1] not in times:
        return np.nan
    return sum(times[key] for key in keys) / epochs


class Collector:
    """Takes cells in any order and gives the columns of a table.

    Args:
        space: the space that the cells belong to.
        what: the file, with which messages begin.
        trusted_seed: where the trainings of a cell disagree on its parameters or FLOPs, the seed that is right, as in
            the ``nats-bench`` package; None takes their mean, as ``nas-bench-201`` does.
    """

    def __init__(self, space: SearchSpace, what: str, trusted_seed: int | None = None) -> None:
        self.space, self.what, self._trusted_seed = space, what, trusted_seed
        self._rows = [space.format(space.architecture(row)) for row in range(space.size)]
        self._seen = np.zeros(space.size, bool)
        self._trainings: dict[tuple[int, str, int], npt.NDArray[np.float64]] = {}

    def check_names(self, names: Any) -> None:
        """Raise HarnessError unless ``names`` are the space's cells in official order."""
        size = len(names) if isinstance(names, list) else 0
        if size != self.space.size:
            raise HarnessError(
                f"{self.what} is of another space: it lists {size:,} architectures, and {self.space.name} has "
                f"{self.space.size:,}"
            )
        for row, (name, expected) in enumerate(zip(names, self._rows, strict=True)):
            if name != expected:
                raise HarnessError(f"{self.what} is of another space: its architecture {row} is {_shown(name)}")

    def add(self, row: Any, record: Record) -> None:
        """Take a cell. Raises HarnessError where its record is not what the file's format says."""
        try:
            if not 0 <= row < self.space.size or self._seen[row]:
                raise ValueError("its number is out of range or taken")
            for epochs, results in record.items():
                if results["arch_str"] != self._rows[row]:
                    raise ValueError(f"it is called {_shown(results['arch_str'])}")
                for (dataset, seed), training in results["all_results"].items():
                    self._take(row, epochs, dataset, int(seed), training["fields"])
            self._seen[row] = True
        except (LookupError, TypeError, ValueError, AttributeError, SpaceError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise HarnessError(f"{self.what} has a wrong record of architecture {_shown(row)}: {reason}") from None

    def _take(self, row: int, epochs: int, dataset: str, seed: int, fields: array[float]) -> None:
        if fields[0] != epochs:
            raise ValueError(
                f"trained for {fields[0]:g} epochs where {epochs} were expected; it is of a version not known here"
            )
        for name, value in zip(FIELDS, fields, strict=True):
            if name.endswith("accuracy") and not (np.isnan(value) or 0 <= value <= 100):
                raise ValueError(f"{name} {value:g} on {dataset} is no percentage")
        key = (epochs, dataset, seed)
        if key not in self._trainings:
            if len(self._trainings) >= 100:
                raise ValueError("more than 100 combinations of epochs, dataset and seed")
            self._trainings[key] = np.full((len(FIELDS), self.space.size), np.nan)
        self._trainings[key][:, row] = fields

    def columns(self) -> Columns:
        """The columns of the cells taken, NaN for the others.

        ``<metric>`` is the mean over all training seeds at 200 epochs, ``<metric>@12`` that at 12, and
        ``<metric>@<epochs>/<seed>`` a single training, NaN where a cell was not trained with that seed. Raises
        HarnessError where a dataset's test accuracy at 200 epochs is missing.
        """
        columns: Columns = {}
        for dataset in DATASETS:
            for metric, (trained_on, field) in sources(dataset).items():
                for epochs in (FULL, SHORT):
                    mean, by_seed = self._mean(epochs, trained_on, FIELDS.index(field))
                    name = metric if epochs == FULL else f"{metric}@{epochs}"
                    if self._complete(mean, metric):
                        columns[dataset, name] = mean
                    elif name == "test_accuracy":
                        raise HarnessError(f"{self.what} lacks test accuracies after {FULL} epochs on {dataset}")
                    for seed, values in by_seed.items():
                        if not np.isnan(values).all():
                            columns[dataset, f"{metric}@{epochs}/{seed}"] = values
            for cost in COSTS:
                mean = self._cost(dataset, FIELDS.index(cost), exact=cost != "latency")
                if self._complete(mean, cost):
                    columns[dataset, cost] = mean
        return columns

    def _complete(self, mean: npt.NDArray[np.float64], metric: str) -> bool:
        """True if every cell taken has a value; a diverged training's loss is not a number and counts as one."""
        missing = np.isnan(mean[self._seen])
        return bool(missing.size) and not (missing.all() if metric.endswith("loss") else missing.any())

    def _by_seed(self, epochs: int, trained_on: str, field: int) -> dict[int, npt.NDArray[np.float64]]:
        return {
            seed: values[field]
            for (budget, dataset, seed), values in sorted(self._trainings.items())
            if (budget, dataset) == (epochs, trained_on)
        }

    def _mean(
        self, epochs: int, trained_on: str, field: int
    ) -> tuple[npt.NDArray[np.float64], dict[int, npt.NDArray[np.float64]]]:
        """The mean over the trainings that there are, and each by its seed."""
        trained = self._by_seed(epochs, trained_on, 0)
        by_seed = self._by_seed(epochs, trained_on, field)
        total, count = np.zeros(self.space.size), np.zeros(self.space.size)
        for seed, values in by_seed.items():
            there = ~np.isnan(trained[seed])
            total[there] += values[there]
            count += there
        return _ratio(total, count), by_seed

    def _cost(self, dataset: str, field: int, exact: bool) -> npt.NDArray[np.float64]:
        by_seed = self._by_seed(FULL, dataset, field)
        if not by_seed:
            return np.full(self.space.size, np.nan)
        values = np.stack(list(by_seed.values()))
        if not exact:
            values = np.where(values > 0, values, np.nan)  # -1 stands for no latency
        count = (~np.isnan(values)).sum(0)
        mean = _ratio(np.nansum(values, 0), count)
        if exact and self._trusted_seed in by_seed:
            trusted = by_seed[self._trusted_seed]
            differ = (np.nanmax(values, 0, initial=-1) != np.nanmin(values, 0, initial=np.inf)) & ~np.isnan(trusted)
            mean[differ] = trusted[differ]
        return mean

    def check_complete(self) -> None:
        """Raise HarnessError unless every cell of the space has been taken."""
        count = int(self._seen.sum())
        if count < self.space.size:
            raise HarnessError(
                f"{self.what} holds {count:,} of the {self.space.size:,} architectures of {self.space.name}; a table "
                f"needs all of them, and {self._rows[int(self._seen.argmin())]} is not there"
            )


def _ratio(total: npt.NDArray[Any], count: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A mean for each cell; NaN for a cell without values."""
    mean = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _shown(value: object) -> str:
    """A value from the file for print: quoted, in one line, and cut where it is long."""
    text = repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    return text if len(text) <= 120 else text[:117] + "..."
