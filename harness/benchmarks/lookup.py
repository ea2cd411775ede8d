"""The one place where a table's accuracies are joined to the cells of a search."""

from __future__ import annotations

from collections.abc import Sequence

from harness.benchmarks.table import TabularBenchmark
from harness.runs.schema import TraceRow


def look_up(trace: Sequence[TraceRow], table: TabularBenchmark) -> dict[str, list[float]]:
    """Test accuracy (%) of the cell derived after each epoch, by dataset; empty where there is no epoch yet."""
    rows = [row["index"] for row in trace]
    return {dataset: table.test_accuracy(dataset)[rows].tolist() for dataset in table.datasets} if rows else {}
