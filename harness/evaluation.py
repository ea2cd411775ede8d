"""Joining a table's accuracies to the cells that a search derived: afterwards, outside the clock."""

from __future__ import annotations

from harness.runs import RunEvaluation, RunFolder
from harness.tables import Table


def look_up(run: RunFolder, table: Table) -> None:
    """Write ``evaluation.json``, unless it already holds this table's accuracies of these epochs."""
    rows = [row["index"] for row in run.read_trace()]
    columns = {dataset: table.test_accuracy(dataset)[rows].tolist() for dataset in table.datasets} if rows else {}
    found = RunEvaluation(table=table.provenance, accuracy=columns)
    if run.evaluation != found:
        run.write_json("evaluation.json", found)
