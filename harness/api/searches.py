"""Searching with methods and seeds: ``harness run``, ``harness retry`` and ``harness estimate``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.api.options import takes_study_options
from harness.api.studies import Study, draw, load_study
from harness.benchmarks.load import check_tabular
from harness.benchmarks.table import TabularBenchmark
from harness.config.protocol import Protocol, stored_protocol
from harness.config.study_options import RETRIES, StudyOptions
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.execution.backend import Backend, LocalMachine
from harness.execution.local import LocalExecutor
from harness.execution.memory import bounded
from harness.execution.opening import open_backend
from harness.registry import get_space
from harness.retraining.trainings import HowToTrain, Retraining, prepare
from harness.runs.environment import cores
from harness.runs.results import runs_directory
from harness.study.estimating import Estimate, measure_runs
from harness.study.folder import check_comparable, open_study, open_table
from harness.study.planned_run import PlannedRun
from harness.study.planning import StudyPlan, plan_study
from harness.study.retrying import methods_of, to_retry
from harness.study.running import run_planned

logger = logging.getLogger("harness")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command.

    Attributes:
        study: read again when all was done.
        runs: the runs that were planned, finished ones included.
        unfinished: how many of them did not finish.
        protocol: of all runs.
        table: where cells were looked up; None where they were not.
        retraining: how final cells were retrained; None where they were not.
    """

    study: Study
    runs: list[PlannedRun]
    unfinished: int
    protocol: Protocol | None = None
    table: TabularBenchmark | None = None
    retraining: Retraining | None = None


@takes_study_options
def run(options: StudyOptions) -> Study:
    """Search with methods and seeds, evaluate the derived cells, and track the runs.

    Finished runs are not repeated; interrupted ones go on where they stopped, so the same call resumes a study.

    Args:
        methods: names (``"darts"``), groups of names (``"all"``, ``"gradient"``, ``"weight-sharing"``, ``"query"``),
            classes or objects of your own (``MyMethod(tau=3.0)``), one or a list.
        config: a YAML file of options, as ``harness run --dry-run`` prints it; keywords go before it.
        options: as for ``harness run``, with the same names and defaults: ``seeds=5``, ``protocol="quick"``,
            ``set={"gdas.tau_max": 5}``, ``data_dir=…`` and so on.

    Returns:
        The study, with failed runs in it.

    Raises:
        HarnessError: something is wrong with the options; nothing has been started.
    """
    return run_options(options).study


@takes_study_options
def plan(options: StudyOptions) -> StudyPlan:
    """The runs that :func:`run` would work on with the same arguments; nothing is written.

    Print the plan, or look at ``plan.runs`` and ``plan.frame()``. Raises as :func:`run` does.
    """
    return plan_options(options)


def plan_options(options: StudyOptions) -> StudyPlan:
    """:func:`plan` with options as one object."""
    with _backend(options) as backend:
        planned = plan_study(options, backend)
        _prepare_retraining(options, planned)
    check_comparable(planned.path, planned.runs)
    return planned


def _backend(options: StudyOptions) -> AbstractContextManager[Backend]:
    runs = runs_directory(options.runs)
    return open_backend(options.executor, options.scheduler, options.worker_resources, runs)


@takes_study_options
def estimate(options: StudyOptions) -> Estimate:
    """Measure a few steps of each method and extrapolate to the runs that :func:`run` would work on.

    Print the estimate, or look at ``estimate.frame()``. Raises as :func:`run` does, and where a method fails.
    """
    return estimate_options(options)[1]


def estimate_options(options: StudyOptions) -> tuple[StudyPlan, Estimate]:
    """The plan on this machine, and what it would cost."""
    planned = plan_study(options, LocalMachine())
    check_comparable(planned.path, planned.runs)
    measured = measure_runs(planned.runs, planned.threads, options.device, options.data_dir)
    return planned, measured


def run_options(options: StudyOptions, command: str = "") -> Outcome:
    """:func:`run` with options as one object; ``command`` is recorded in the study in place of the call."""
    with _backend(options) as backend:
        planned = plan_study(options, backend)
        retraining = _prepare_retraining(options, planned)
        if options.evaluate != "retrain":
            check_tabular(planned.space)
        table = planned.table if options.evaluate != "retrain" else None
        recorded = (planned.table_reference, table.digest) if table is not None else None
        open_study(planned.path, planned.runs, command or _call(options), recorded)
        seconds = 60 * options.timeout if options.timeout else None
        contents = {run.folder.path: run.custom.content for run in planned.runs if run.custom}
        workers = LocalExecutor(
            planned.jobs, options.device, options.data_dir, seconds, retries=options.retries, contents=contents
        )
        unfinished = run_planned(
            planned.runs,
            table,
            backend.executor(workers),
            backend.environment(options.device, planned.jobs, planned.threads),
            fresh=options.fresh,
            track=not options.no_mlflow,
            draw=draw,
        )
        if retraining:
            how = HowToTrain(
                backend, options.jobs, options.device, options.data_dir, seconds, not options.no_mlflow, draw
            )
            retraining.final_cells(planned.runs, how)
    return Outcome(load_study(planned.path), planned.runs, unfinished, planned.protocol, table, retraining)


def _prepare_retraining(options: StudyOptions, planned: StudyPlan) -> Retraining | None:
    """The retraining of final cells; None where the options ask for none."""
    if options.evaluate == "lookup":
        if options.recipe or options.recipe_settings:
            raise HarnessError("a recipe is for retraining; add --evaluate retrain or --evaluate both")
        return None
    retraining = prepare(
        planned.path.parent,
        planned.space,
        planned.training,
        options.recipe,
        options.recipe_settings,
        options.training_seeds,
        options.data_dir,
    )
    if retraining.test.warning:
        logger.warning(retraining.test.warning)
    return retraining


def _call(options: StudyOptions) -> str:
    """The call of :func:`run` that has these options, for the record."""
    changed = {
        name: value
        for name, value in options
        if value != StudyOptions.model_fields[name].get_default(call_default_factory=True) and name != "methods"
    }
    methods = [
        method if isinstance(method, str) else getattr(method, "__name__", repr(method)) for method in options.methods
    ]
    keywords = "".join(f", {name}={value!r}" for name, value in changed.items() if name != "scheduler")
    return f"harness.run(methods=[{', '.join(map(repr, methods))}]{keywords})"


def retry(
    study: str | Path | None = None,
    *,
    failed: bool = False,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    jobs: int | None = None,
    device: str = "cpu",
    timeout: float | None = None,
    retries: int = RETRIES,
    executor: str = "local",
    scheduler: str | None = None,
    worker_resources: Mapping[str, float] | None = None,
    no_mlflow: bool = False,
) -> Study:
    """Start the runs of a study again that did not finish; the arguments are the options of ``harness retry``.

    Raises:
        HarnessError: no such study, or a run cannot go on as it is.
    """
    return retry_runs(
        load_study(study, runs),
        failed=failed,
        data_dir=Path(data_dir) if data_dir is not None else None,
        jobs=jobs,
        device=device,
        timeout=timeout,
        retries=retries,
        executor=executor,
        scheduler=scheduler,
        worker_resources=worker_resources or {},
        no_mlflow=no_mlflow,
    ).study


def retry_runs(
    study: Study,
    *,
    failed: bool,
    data_dir: Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    retries: int,
    executor: str,
    scheduler: str | None,
    worker_resources: Mapping[str, float],
    no_mlflow: bool,
) -> Outcome:
    """:func:`retry` for a study that is read already."""
    if not study.runs:
        raise HarnessError(f"study {study.name!r} has no runs; start some with: harness run --study {study.name}")
    config = study.runs[0].config  # protocol, space and data set are the same for all
    training = load_training_set(config["dataset"], data_dir)
    planned = to_retry(study, failed, training)
    if not planned:
        return Outcome(study, [], 0)
    protocol, space = stored_protocol(config["protocol"]), get_space(config["space"])
    with open_backend(executor, scheduler, worker_resources, study.path.parent) as backend:
        backend.check(device)
        table = open_table(study.path, None, space) if space.enumerable else None
        threads = max(run.config["threads"] for run in planned)
        here = isinstance(backend, LocalMachine)
        at_once, _ = backend.allocate(max(1, cores() // threads) if here and jobs is None else jobs, len(planned))
        if here and jobs is None:
            by_table = protocol.queries.answers == "table"
            at_once, line = bounded(at_once, methods_of(planned), space, protocol, training, device, by_table)
            if line:
                logger.warning(line)
        workers = LocalExecutor(at_once, device, data_dir, 60 * timeout if timeout else None, retries=retries)
        facts = backend.environment(device, at_once, threads)
        unfinished = run_planned(
            planned, table, backend.executor(workers), facts, fresh=False, track=not no_mlflow, draw=draw
        )
    return Outcome(load_study(study.path), planned, unfinished, protocol, table)
