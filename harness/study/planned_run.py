"""A run that a study plans: its folder, its configuration and its state."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import HarnessError
from harness.runs.folder import RunFolder, write_atomically
from harness.runs.schema import OVER, Attempt, RunConfig, TrainingConfig
from harness.search.benchmark_query import BenchmarkQuery

ORACLE = "+oracle-on-test"
"""Ends the labels of runs in which test accuracies answered."""


State = Literal["new", "goes on", "finished", "diverged"]
"""State of a planned run. A failed or timed out run goes on; a finished or diverged one would only repeat itself."""

SOURCE = "method_source.txt"
"""File of a run folder with the source of a method that was handed in."""


@dataclass(frozen=True)
class CustomMethod:
    """A method that was handed in: its source as text, and the method by value (never written to disk)."""

    source: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class PlannedRun:
    """A search, or a training, that is planned, and its state.

    Attributes:
        answers: the part of a table that the search may see; None where it sees none.
        custom: the method, where it was handed in as a class or an object.
    """

    folder: RunFolder
    config: RunConfig | TrainingConfig
    state: State
    answers: BenchmarkQuery | None = None
    custom: CustomMethod | None = None

    @property
    def cached(self) -> bool:
        """True if there is nothing left to do."""
        return self.state in OVER

    @property
    def name(self) -> str:
        """For print."""
        return f"{self.config['label']} seed {self.config['seed']}"


def state_of(folder: RunFolder) -> State:
    """The state of a run whose folder may exist already."""
    if folder.config is None:
        return "new"
    result = folder.result
    if result is not None and result["status"] in OVER:
        return "finished" if result["status"] == "finished" else "diverged"
    return "goes on"


def prepare_folder(run: PlannedRun, environment: dict[str, Any], fresh: bool) -> None:
    """Write a run's configuration and environment for its worker; with ``fresh``, delete what was there before.

    An earlier end of the run is added to its attempts. Raises :class:`HarnessError` where the folder cannot be changed.
    """
    try:
        if fresh and run.folder.path.exists():
            shutil.rmtree(run.folder.path)
        if (before := run.folder.result) is not None:
            epochs = len(run.folder.read_trace())
            run.folder.add_attempt(
                Attempt(ended=before["ended"], reason=before["reason"], epochs=epochs, status=before["status"])
            )
        (run.folder.path / "result.json").unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(f"cannot delete what was in {run.folder.path}: {error.strerror}") from None
    if run.folder.config is None:
        if run.answers is not None:
            write_atomically(run.folder.path / "answers.npy", run.answers.to_bytes())
        if run.custom is not None:
            write_atomically(run.folder.path / SOURCE, run.custom.source.encode())
        run.folder.write_json("config.json", run.config)
    run.folder.write_json("environment.json", {**environment, "threads": run.folder.config["threads"]})
