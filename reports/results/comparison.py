"""A study read for comparison: runs by method, their accuracies, the space and the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.benchmarks.load import TableChanged, check_unchanged, load_table
from harness.benchmarks.lookup import look_up
from harness.benchmarks.retraining_noise import retraining_noise
from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.reports.statistics.summary import Floats
from harness.runs.folder import RunFolder
from harness.runs.results import Run, StudyRuns
from harness.spaces.base import SearchSpace

HEADLINE = "cifar10"
"""The dataset whose ranking is printed first, where there are accuracies on it."""


@dataclass(frozen=True)
class SeedResult:
    """One run, with the table accuracy (%) of its derived cell after each epoch, by dataset; empty if not looked up."""

    run: Run
    accuracy: dict[str, list[float]] = field(repr=False)

    @property
    def finished(self) -> bool:
        """The search finished."""
        return self.run.status == "finished"

    @property
    def failed(self) -> bool:
        """The search ended without a result. An interrupted run has not ended: it can be resumed."""
        return self.run.status not in {"finished", "interrupted"}

    @property
    def cell(self) -> str | None:
        """The final derived cell as its official string; None unless finished."""
        return self.run.result["architecture"] if self.run.result else None

    @property
    def seconds(self) -> float | None:
        """Search cost in seconds; None while the run has not ended."""
        return self.run.result["search_seconds"] if self.run.result else None

    def final(self, dataset: str) -> float | None:
        """Return the test accuracy (%) of the final derived cell; None unless finished and looked up."""
        values = self.accuracy.get(dataset)
        return values[-1] if self.finished and values else None


@dataclass(frozen=True)
class MethodResults:
    """All runs of one method, by seed."""

    label: str
    seeds: list[SeedResult]

    @property
    def finished(self) -> list[SeedResult]:
        """The runs that finished."""
        return [seed for seed in self.seeds if seed.finished]

    @property
    def failed(self) -> list[SeedResult]:
        """The runs that diverged, failed or timed out."""
        return [seed for seed in self.seeds if seed.failed]

    @property
    def unfinished(self) -> list[SeedResult]:
        """The runs that have not ended."""
        return [seed for seed in self.seeds if seed.run.status == "interrupted"]

    def finals(self, dataset: str) -> list[float]:
        """Return the final accuracies (%) of the finished runs, in seed order."""
        return [value for seed in self.seeds if (value := seed.final(dataset)) is not None]


@dataclass(frozen=True)
class Comparison:
    """Runs of one protocol, space and dataset.

    Attributes:
        table: None where its file cannot be read; accuracies are then those stored with the runs.
        table_provenance: source of the accuracies; None where no run was looked up.
        table_problem: the error in reading the table; empty where there was none.
        datasets: the datasets with test accuracies; the first is the headline.
        environments: every value of each fact about machines and software, by name.
    """

    study: StudyRuns
    space: SearchSpace
    methods: list[MethodResults]
    datasets: list[str]
    table: TabularBenchmark | None
    table_provenance: dict[str, Any] | None
    table_problem: str
    environments: dict[str, list[str]]

    @property
    def protocol(self) -> dict[str, Any]:
        """Every field of the protocol, as stored with the runs."""
        return self.study.runs[0].config["protocol"]

    @property
    def protocol_name(self) -> str:
        """Name, version and hash of the protocol, for print."""
        hash_ = self.study.runs[0].config["protocol_hash"][:12]
        return f"{self.protocol['name']} v{self.protocol['version']} ({hash_})"

    @property
    def headline(self) -> str | None:
        """The dataset of the cost and stability rankings and of the figures; None where there are no accuracies."""
        return self.datasets[0] if self.datasets else None

    @property
    def searched_on(self) -> str:
        """The dataset that the methods searched on."""
        return self.study.runs[0].config["dataset"]

    @property
    def kept_edges(self) -> int:
        """Number of edges that every cell of the space has."""
        return len(self.space.kept(self.space.architecture(0)))

    def column(self, dataset: str) -> Floats | None:
        """Return the table's test accuracies (%) of every cell, (cells,); None without a table."""
        return self.table.test_accuracy(dataset) if self.table else None

    def noise(self, dataset: str) -> float:
        """Return by how many points retraining alone moves the accuracy; 0 where not known.

        A smaller difference is none.
        """
        return retraining_noise(self.table, dataset, self.space) if self.table else 0.0


def make_comparison(study: StudyRuns, table: str | Path | None = None) -> Comparison:
    """Read a study for comparison.

    Args:
        study: as read by :func:`harness.runs.results.load_study`.
        table: look cells up in this table instead of the study's own; it must then be readable.

    Raises:
        HarnessError: the study is empty, its runs must not be ranked together, or ``table`` cannot be read.
    """
    from harness.registry import get_space

    if not study.runs:
        raise HarnessError(f"study {study.name!r} has no runs; start some with: harness run --study {study.name}")
    _check_comparable(study)
    space = get_space(study.runs[0].config["space"])
    loaded: TabularBenchmark | None = None
    problem = ""
    try:
        if table is not None or space.enumerable:
            loaded = load_table(table if table is not None else study.info.get("table"), space)
        if table is None and loaded is not None:
            check_unchanged(loaded, study.info.get("table_digest"), study.name)
    except TableChanged:
        raise
    except HarnessError as error:
        if table is not None:
            raise
        problem = str(error)
    seeds = [SeedResult(run, _accuracies(run, loaded)) for run in study.runs]
    datasets = loaded.datasets if loaded else list(dict.fromkeys(name for seed in seeds for name in seed.accuracy))
    return Comparison(
        study=study,
        space=space,
        methods=[MethodResults(label, [seed for seed in seeds if seed.run.label == label]) for label in study.labels],
        datasets=sorted(datasets, key=lambda dataset: dataset != HEADLINE),
        table=loaded,
        table_provenance=loaded.provenance if loaded else _stored_provenance(study),
        table_problem=problem,
        environments=_environments(study),
    )


def _check_comparable(study: StudyRuns) -> None:
    """Raise where runs differ in anything that all methods of a comparison must share."""
    shared: list[tuple[str, Callable[[Run], str]]] = [
        ("protocols", lambda run: f"{run.config['protocol']['name']} {run.config['protocol_hash'][:12]}"),
        ("search spaces", lambda run: run.config["space"]),
        ("search datasets", lambda run: run.config["dataset"]),
        ("versions of the search dataset", lambda run: run.config["dataset_digest"][:12]),
        ("run schemas", lambda run: str(run.config["schema"])),
    ]
    for what, key in shared:
        labels: dict[str, set[str]] = {}
        for run in study.runs:
            labels.setdefault(key(run), set()).add(run.label)
        if len(labels) > 1:
            values = "; ".join(f"{value} ({', '.join(sorted(methods))})" for value, methods in sorted(labels.items()))
            raise HarnessError(
                f"study {study.name!r} holds runs of {len(labels)} different {what}, which must not be ranked "
                f"together: {values}. Run each into a study of its own (harness run --study NAME), or move the run "
                f"folders of one out of {study.path}"
            )


def _accuracies(run: Run, table: TabularBenchmark | None) -> dict[str, list[float]]:
    """The table's accuracies (%) of a run's cells; without a table, those that were stored with the run."""
    if table is None:
        return dict(run.evaluation["accuracy"]) if run.evaluation else {}
    return look_up(run.trace, table)


def _stored_provenance(study: StudyRuns) -> dict[str, Any] | None:
    """Return the provenance stored with the look-ups; raise where runs were looked up in different tables."""
    tables = {json.dumps(run.evaluation["table"], sort_keys=True) for run in study.runs if run.evaluation}
    if len(tables) > 1:
        raise HarnessError(
            f"the runs of study {study.name!r} were looked up in {len(tables)} different tables, whose accuracies must "
            "not be ranked together; give one for all with --table PATH"
        )
    provenance: dict[str, Any] | None = json.loads(tables.pop()) if tables else None
    return provenance


def _environments(study: StudyRuns) -> dict[str, list[str]]:
    values: dict[str, set[str]] = {}
    for run in study.runs:
        for name, value in (RunFolder(run.path).read_json("environment.json") or {}).items():
            values.setdefault(name, set()).add(str(value))
    return {name: sorted(known) for name, known in values.items()}
