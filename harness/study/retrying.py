"""The runs of a study that are started again on demand: those that did not finish and would not just repeat."""

from __future__ import annotations

from harness.data.training_set import TrainingSet
from harness.errors import HarnessError
from harness.methods.base import Method
from harness.registry import get_method
from harness.runs.folder import RunFolder
from harness.runs.identity import method_source
from harness.runs.results import Run, StudyRuns
from harness.runs.schema import SCHEMA_VERSION, Status
from harness.study.planned_run import PlannedRun, state_of

FAILED: tuple[Status, ...] = ("failed", "timed out")
"""Ends that may be others the next time. A run that diverged would diverge again, bit for bit."""


def to_retry(study: StudyRuns, failed_only: bool, training: TrainingSet) -> list[PlannedRun]:
    """The runs of a study that failed or timed out and, without ``failed_only``, those that have no result yet.

    They go on from their last good checkpoint, or start again where there is none, with the configuration that they
    have; nothing else of the study is touched. ``training`` is the data set that the study searches on.

    Raises:
        HarnessError: a run could not go on as it is: its method's source, the data or the harness have changed since,
            or its method was handed in from Python.
    """
    wanted = FAILED if failed_only else (*FAILED, "interrupted")
    runs = [run for run in study.runs if run.status in wanted]
    for run in runs:
        _check_unchanged(run, training)
    return [PlannedRun(RunFolder(run.path), run.config, state_of(RunFolder(run.path))) for run in runs]


def methods_of(runs: list[PlannedRun]) -> list[Method]:
    """The method of each run, with its hyper-parameters."""
    configs = [run.folder.config for run in runs]
    return [get_method(config["method"])(**config["hyperparameters"]) for config in configs]


def _check_unchanged(run: Run, training: TrainingSet) -> None:
    """Raise where a run's identity, which the code is part of, is no longer what would run."""
    name = f"{run.label} seed {run.seed}"
    if run.config["schema"] != SCHEMA_VERSION:
        raise HarnessError(f"{name} is of another version of the harness; start a new study with: harness run")
    if run.config.get("by_value"):
        raise HarnessError(
            f"{name} uses a method that was handed in from Python; to go on with it, hand the class in again: "
            f'harness.run(methods=[…], study="{run.path.parents[1].name}")'
        )
    if run.config["dataset_digest"] != training.digest:
        raise HarnessError(f"the images of {training.name} are not those that {name} searched on; restore them")
    if run.config["method_source"] != method_source(get_method(run.config["method"])):
        raise HarnessError(
            f"the source of {run.config['method']} has changed since {name} began, so that it would be another run: "
            "give its harness run command again, which starts it anew"
        )
