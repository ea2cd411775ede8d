"""The part of a table that a protocol lets a query-based method see."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.config.protocol import Protocol
from harness.errors import HarnessError
from harness.search.benchmark_query import BenchmarkQuery

if TYPE_CHECKING:
    from harness.benchmarks.table import TabularBenchmark


def answers(
    table: TabularBenchmark, protocol: Protocol, *, shorter: bool = False, oracle: bool = False
) -> BenchmarkQuery:
    """Select from a table what a protocol lets a search see.

    Args:
        table: the table to select from.
        protocol: its data set, and its epochs and budget of queries.
        shorter: add accuracies after shorter trainings.
        oracle: take test accuracies instead of validation accuracies.

    Raises:
        HarnessError: the table has no validation accuracy on the data set after these epochs; it has one, and an oracle
            is not needed; it has no shorter training; or it has no training times, and the budget is in seconds.
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
    by_epochs = {epochs: _at_epochs(table, dataset, metric, epochs, settings.evaluations is None) for epochs in less}
    full = _at_epochs(table, dataset, metric, settings.epochs, settings.evaluations is None)
    return replace(full, lower_fidelities=by_epochs, oracle=oracle)


def _end(epochs: int | None) -> str:
    """Ending of a column's name for accuracies after these epochs."""
    return "" if epochs is None else f"@{epochs}"


def _shorter(table: TabularBenchmark, dataset: str, metric: str, longest: int | None) -> list[int]:
    """The lengths of training, in epochs and ascending, that a table has a metric after, below the longest."""
    names = [re.fullmatch(rf"{metric}@([0-9]+)", name) for owner, name in table.columns if owner == dataset]
    lengths = sorted(int(name[1]) for name in names if name)
    return [epochs for epochs in lengths if longest is None or epochs < longest]


def _at_epochs(
    table: TabularBenchmark, dataset: str, metric: str, epochs: int | None, in_seconds: bool
) -> BenchmarkQuery:
    """Accuracies and times after one length of training. Raises as :func:`answers` does."""
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
    return BenchmarkQuery(np.array(accuracy), None if seconds is None else np.array(seconds))
