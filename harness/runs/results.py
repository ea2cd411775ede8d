"""Reading what studies left behind: for reports and for anyone's own analysis."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.runs.folder import RunFolder
from harness.runs.schema import RunConfig, RunEvaluation, RunResult, Status, TraceRow

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RUNS = "runs"


def runs_directory(given: str | Path | None = None) -> Path:
    """The folder of the studies: as given, else ``HARNESS_RUNS_DIR``, else ``runs`` in the working directory."""
    return Path(given or os.environ.get("HARNESS_RUNS_DIR") or DEFAULT_RUNS)


def check_folder(runs: Path) -> Path:
    """The folder of the studies, which may not exist yet. Raises :class:`HarnessError` where it cannot."""
    for folder in (runs, *runs.parents):
        if folder.exists() and not folder.is_dir():
            raise HarnessError(f"{folder} is not a folder; choose another one with --runs")
    return runs


@dataclass(frozen=True)
class Run:
    """One search run, as read from its folder. Failed and interrupted runs are runs too."""

    path: Path
    config: RunConfig
    result: RunResult | None
    trace: list[TraceRow] = field(repr=False)
    evaluation: RunEvaluation | None = field(repr=False)

    @property
    def label(self) -> str:
        """The method's printed name."""
        return self.config["label"]

    @property
    def seed(self) -> int:
        """The search seed."""
        return self.config["seed"]

    @property
    def status(self) -> Status:
        """The end of the run; ``interrupted`` where it has no result (yet)."""
        return self.result["status"] if self.result else "interrupted"

    @property
    def table(self) -> str | None:
        """Name and digest of the table that the run's cells were looked up in; None where they were not."""
        table = self.evaluation["table"] if self.evaluation else {}
        if not table:
            return None
        known = str(table.get("digest") or table.get("sha256") or "")
        return f"{table.get('name', 'unnamed')} {known[:12]}".strip()

    def accuracy(self, dataset: str) -> float | None:
        """Test accuracy (%) of the final derived cell on a dataset of the table; None unless finished and looked up."""
        if self.status != "finished" or self.evaluation is None or dataset not in self.evaluation["accuracy"]:
            return None
        return self.evaluation["accuracy"][dataset][-1]

    @property
    def retrained(self) -> dict[str, list[float]]:
        """Test accuracies (%) of the final derived cell trained from scratch, by dataset; without failed trainings."""
        retrained = self.evaluation.get("retrained", {}) if self.evaluation and self.status == "finished" else {}
        finished = {dataset: [value for value in values if value is not None] for dataset, values in retrained.items()}
        return {dataset: values for dataset, values in finished.items() if values}


@dataclass(frozen=True)
class StudyRuns:
    """A set of runs compared together.

    Attributes:
        info: ``study.json``: ``name``, ``created`` (ISO 8601), ``commands`` (every command line that added runs),
            ``table`` (None for the embedded table, else its name or path), ``table_digest`` and ``common`` (what all
            runs share: protocol hash, space, data set, schema).
        superseded: runs left out because a newer run has the same label and seed (the method's source has changed).
    """

    path: Path
    info: dict[str, Any]
    runs: list[Run]
    superseded: list[Run]

    @property
    def name(self) -> str:
        """The study's name: its folder's."""
        return self.path.name

    @property
    def labels(self) -> list[str]:
        """The printed names of its methods, sorted."""
        return sorted({run.label for run in self.runs})


def find_study(name: str | Path | None = None, runs: str | Path | None = None) -> Path:
    """The folder of a study by name or path; of the one that changed last where no name is given.

    Raises :class:`HarnessError` naming the studies that exist.
    """
    root = runs_directory(runs)
    if name is not None and (Path(name) / "study.json").is_file():
        return Path(name)
    known = sorted(root.glob("*/study.json"), key=lambda file: file.stat().st_mtime)
    if not known:
        raise HarnessError(f"no study in {root.absolute()}; start one with: harness run --method darts --seeds 5")
    if name is None:
        return known[-1].parent
    for file in known:
        if file.parent.name == str(name):
            return file.parent
    raise HarnessError(f"no study {str(name)!r} in {root}; there are: {', '.join(f.parent.name for f in known)}")


def load_study(name: str | Path | None = None, runs: str | Path | None = None) -> StudyRuns:
    """Read a study; see :func:`find_study`."""
    path = find_study(name, runs)
    every: list[Run] = []
    for file in sorted(path.glob("*/*/config.json")):
        folder = RunFolder(file.parent)
        every.append(Run(file.parent, folder.config, folder.result, folder.read_trace(), folder.evaluation))
    newest: dict[tuple[str, int], Run] = {}
    for run in sorted(every, key=lambda run: (run.path / "config.json").stat().st_mtime):
        newest[run.label, run.seed] = run
    kept = sorted(newest.values(), key=lambda run: (run.label, run.seed))
    info = RunFolder(path).read_json("study.json")
    return StudyRuns(path, info, kept, [run for run in every if run not in kept])


def frame(study: StudyRuns) -> pd.DataFrame:
    """A study as a tidy pandas frame: a row per run and epoch, failed runs included.

    Columns: ``study``, ``method`` (the printed label), ``seed``, ``status``, ``protocol_hash``, ``dataset`` (searched
    on), ``search_seconds`` (total of the run), ``table`` (name and digest of the table that the accuracies come from),
    all fields of :class:`harness.runs.schema.TraceRow` (operation counts as ``edges_<operation>``),
    ``test_<dataset>`` (%), the table's test accuracy of the cell derived after that epoch, and
    ``retrained_<dataset>`` (%), the mean test accuracy of the run's final cell after training from scratch.
    A run that ended before its first epoch has one row whose epoch is missing.

    Raises:
        HarnessError: runs of the study were looked up in different tables.
    """
    import pandas as pd

    check_one_table(study)
    rows: list[dict[str, Any]] = []
    for run in study.runs:
        common = {
            "study": study.name,
            "method": run.label,
            "seed": run.seed,
            "status": run.status,
            "protocol_hash": run.config["protocol_hash"],
            "dataset": run.config["dataset"],
            "search_seconds": run.result["search_seconds"] if run.result else None,
            "table": run.table,
        }
        common |= {f"retrained_{dataset}": fmean(values) for dataset, values in run.retrained.items()}
        accuracy = run.evaluation["accuracy"] if run.evaluation else {}
        for position, trace in enumerate(run.trace):
            row = {**common, **{key: value for key, value in trace.items() if key != "operations"}}
            row |= {f"edges_{name}": count for name, count in trace["operations"].items()}
            row |= {f"test_{name}": values[position] for name, values in accuracy.items() if position < len(values)}
            rows.append(row)
        if not run.trace:
            rows.append(common)
    return pd.DataFrame(rows)


def check_one_table(study: StudyRuns) -> None:
    """Raise :class:`HarnessError` where runs of a study were looked up in different tables."""
    tables = sorted({run.table for run in study.runs if run.table})
    if len(tables) > 1:
        raise HarnessError(
            f"runs of study {study.name!r} were looked up in {len(tables)} tables ({'; '.join(tables)}), whose "
            f"accuracies must not be compared; look all of them up in one: harness evaluate {study.name} --table NAME"
        )


def load_results(study: str | Path | None = None, runs: str | Path | None = None) -> pd.DataFrame:
    """A study as a pandas frame: short for ``harness.load_study(study, runs).frame()``.

    See :func:`harness.runs.results.frame` for its columns.
    """
    return frame(load_study(study, runs))
