"""Joining a table's accuracies to the cells that a search derived: afterwards, outside the clock."""

from __future__ import annotations

from harness.benchmarks.table import Table
from harness.runs.folder import RunFolder
from harness.runs.schema import RunEvaluation


def look_up(run: RunFolder, table: Table) -> None:
    """Write ``evaluation.json``, unless it already holds this table's accuracies of these epochs.

    Accuracies after retraining stay as they are: see :func:`harness.retraining.trainings.join`.
    """
    rows = [row["index"] for row in run.read_trace()]
    columns = {dataset: table.test_accuracy(dataset)[rows].tolist() for dataset in table.datasets} if rows else {}
    known = run.evaluation
    looked_up = RunEvaluation(table=table.provenance, accuracy=columns)
    found = {**known, **looked_up} if known else looked_up
    if known != found:
        run.write_json("evaluation.json", found)
