"""The parameters, metrics of the epochs and totals that MLflow gets of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import Any

from harness.runs.results import Run
from harness.runs.schema import RunConfig, RunResult, TraceRow, search_seconds

Accuracy = Callable[[int], dict[str, float]]
"""Architecture index to its table accuracies (%) by dataset."""

SCALARS = (
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_accuracy",
    "alpha_entropy",
    "alpha_margin",
    "mixture_accuracy",
    "derived_accuracy",
    "hessian_eigenvalue",
    "diagnostics_seconds",
    "weight_seconds",
    "alpha_seconds",
    "derivation_seconds",
    "simulated_seconds",
    "evaluations",
    "examples",
    "forward_passes",
    "backward_passes",
    "peak_memory_mib",
)
"""Fields of a trace row that are metrics under their own names."""

MAX_PARAM = 6000
"""Characters MLflow takes as the value of a parameter."""


def params(config: RunConfig) -> list[Any]:
    """Everything that enters the identity, flattened: ``method.tau_max``, ``protocol.search.epochs``, ``seed``."""
    from mlflow.entities import Param

    apart = ("study", "label", "threads", "hyperparameters")
    named = {key: value for key, value in config.items() if key not in apart}
    pairs = [*_flat("", named), *_flat("method", config.get("hyperparameters", {}))]
    return [Param(key, str(value)[:MAX_PARAM]) for key, value in pairs]


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value


def epoch_metrics(row: TraceRow, started: int) -> list[Any]:
    """One epoch's losses, accuracies, operation counts and costs; what was not measured is left out."""
    fields: dict[str, Any] = {name: row.get(name) for name in SCALARS}
    values = {name: value for name, value in fields.items() if value is not None}
    values |= {f"edges.{name}": count for name, count in row["operations"].items()}
    values["search_seconds"] = search_seconds(row)
    if "mixture_accuracy" in row:
        values["discretisation_gap"] = row["mixture_accuracy"] - row["derived_accuracy"]
    return _metrics(values, _moment(row, started), row["epoch"])


def table_metrics(run: Run, position: int, started: int, accuracy: Accuracy | None) -> list[Any]:
    """The table's accuracies of the cell after one epoch; empty where nobody knows them yet."""
    row = run.trace[position]
    columns = run.evaluation["accuracy"].items() if run.evaluation else ()
    found = {dataset: column[position] for dataset, column in columns if position < len(column)}
    if not found and accuracy:
        found = accuracy(row["index"])
    return _metrics(
        {f"table.{dataset}": value for dataset, value in found.items()}, _moment(row, started), row["epoch"]
    )


def totals(run: Run, result: RunResult, ended: int) -> list[Any]:
    """The cost, and where the run finished the final accuracies: looked up, and after training from scratch."""
    values = {"final.search_seconds": result["search_seconds"]}
    if run.trace:
        values["final.peak_memory_mib"] = run.trace[-1]["peak_memory_mib"]
    for dataset in run.evaluation["accuracy"] if run.evaluation else ():
        final = run.accuracy(dataset)
        if final is not None:
            values[f"final.{dataset}"] = final
    values |= {f"final.retrained.{dataset}": fmean(found) for dataset, found in run.retrained.items()}
    fields: dict[str, Any] = {**result}
    values |= {f"final.{name}": fields[name] for name in ("test_loss", "test_accuracy") if name in fields}
    return _metrics(values, ended, len(run.trace))


def _moment(row: TraceRow, started: int) -> int:
    """An epoch's time (ms): the start plus what was not simulated of the cost so far. The same whenever computed."""
    return started + int(1000 * (search_seconds(row) - row.get("simulated_seconds", 0.0)))


def _metrics(values: dict[str, float], timestamp: int, step: int) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(re.sub(r"[^\w\-. :/]", "_", key), value, timestamp, step) for key, value in values.items()]
