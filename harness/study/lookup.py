"""Recording a table's accuracies of the cells that a search derived: afterwards, outside the clock."""

from __future__ import annotations

from harness.benchmarks.lookup import look_up
from harness.benchmarks.table import TabularBenchmark
from harness.runs.folder import RunFolder
from harness.runs.schema import RunEvaluation


def record_accuracies(run: RunFolder, table: TabularBenchmark) -> bool:
    """Write ``evaluation.json`` unless it holds this table's accuracies of these epochs; whether anything changed.

    Accuracies after retraining stay as they are: see :class:`harness.retraining.trainings.Retraining`.
    """
    looked_up = RunEvaluation(
        table={**table.provenance, "digest": table.digest}, accuracy=look_up(run.read_trace(), table)
    )
    known = run.evaluation
    evaluation = {**known, **looked_up} if known else looked_up
    if known == evaluation:
        return False
    run.write_json("evaluation.json", evaluation)
    return True
