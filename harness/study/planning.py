"""From options to the runs of a study: every check that can be made before a search starts, and each run's identity."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.benchmarks.load import table_reference
from harness.benchmarks.query import answers
from harness.benchmarks.table import TabularBenchmark
from harness.config.protocol import Protocol, load_protocol
from harness.config.study_options import DEFAULT_SPACE, StudyOptions
from harness.data.training_set import TrainingSet, load_training_set
from harness.errors import HarnessError
from harness.execution.backend import Backend, LocalMachine
from harness.execution.memory import bounded
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.registry import get_space
from harness.runs.custom_method import digest, source_of, to_bytes
from harness.runs.folder import RunFolder, folder_name
from harness.runs.identity import identity, method_source
from harness.runs.results import runs_directory
from harness.runs.schema import SCHEMA_VERSION, RunConfig
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.epoch import network_config
from harness.search.operation_latency import Latencies, latencies
from harness.spaces.base import SearchSpace
from harness.study.configure import check_possible, configure, is_custom, name_of, split_overrides
from harness.study.folder import open_table, study_folder
from harness.study.planned_run import ORACLE, CustomMethod, PlannedRun, state_of

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("harness")


@dataclass(frozen=True)
class StudyPlan:
    """The runs that options come to.

    Attributes:
        options: as given.
        path: folder of the study.
        table: where cells are looked up; None where they are not.
        table_reference: name or path of the table; None: the embedded one.
        jobs: runs at once.
        threads: PyTorch's threads in each run.
        runs: all of them, seed by seed, those that are finished included.
    """

    options: StudyOptions
    protocol: Protocol
    space: SearchSpace
    training: TrainingSet
    path: Path
    table: TabularBenchmark | None
    table_reference: str | None
    jobs: int
    threads: int
    runs: list[PlannedRun]

    @property
    def to_do(self) -> list[PlannedRun]:
        """The runs that are not finished; with ``fresh``, all."""
        return [run for run in self.runs if self.options.fresh or not run.cached]

    def frame(self) -> pd.DataFrame:
        """A row a run: method, seed, epochs, state and folder."""
        import pandas as pd

        return pd.DataFrame(
            {
                "method": run.config["label"],
                "seed": run.config["seed"],
                "epochs": run.config["epochs"],
                "state": "new" if self.options.fresh else run.state,
                "folder": str(run.folder.path),
            }
            for run in self.runs
        )

    def __str__(self) -> str:
        """The plan for print: a line a run, and their number."""
        states = ["new" if self.options.fresh else run.state for run in self.runs]
        lines = [
            f"{run.name}: {run.config['epochs']} epochs, {state}, {run.folder.path}"
            for run, state in zip(self.runs, states, strict=True)
        ]
        total = f"study {self.path.name}: {len(self.to_do)} of {len(self.runs)} runs to do, {self.jobs} at once"
        return "\n".join([*lines, total])


def plan_study(options: StudyOptions, backend: Backend) -> StudyPlan:
    """The runs that options come to on a backend. Nothing is written.

    Raises:
        HarnessError: whatever cannot be, in one line.
    """
    custom = [name_of(method) for method in options.methods if not isinstance(method, str)]
    hyperparameters, settings = split_overrides(options.search_settings, custom)
    methods = configure(options.methods, hyperparameters)
    protocol = load_protocol(options.protocol, settings)
    space = get_space(options.space)
    backend.check(options.device)
    training = load_training_set(protocol.dataset, options.data_dir)
    for method in methods:
        check_possible(method, space, protocol, training)
    if training.warning:
        logger.warning(training.warning)

    name = options.study or _default_name(protocol, load_protocol(options.protocol), options.space)
    path = study_folder(runs_directory(options.runs), name)
    queries = _query_methods(methods, protocol, space, options.oracle_on_test)
    wanted = bool(queries) or options.evaluate != "retrain"
    table = open_table(path, options.table, space) if wanted and space.enumerable else None
    query = None
    if queries:
        assert table is not None
        lower = any(method.multi_fidelity for method in queries)
        query = answers(table, protocol, shorter=lower, oracle=options.oracle_on_test)
    # threads go with the cores alone, however few runs fit: a result's last bits need them
    jobs, threads = backend.allocate(options.jobs, len(methods) * len(options.seeds))
    if options.jobs is None and isinstance(backend, LocalMachine):
        every = methods * len(options.seeds)
        jobs, line = bounded(jobs, every, space, protocol, training, options.device, query is not None)
        if line:
            logger.warning(line)
    timed = _latencies(methods, protocol, space, training, options.device, threads)
    runs = plan_runs(path, methods, options.seeds, space, protocol, training, threads, query, timed)
    reference = _reference(path, options.table)
    return StudyPlan(options, protocol, space, training, path, table, reference, jobs, threads, runs)


def _reference(study: Path, given: str | None) -> str | None:
    """The table that a study records: the given one, else its own; None for the embedded one."""
    if given is not None:
        return table_reference(given)
    reference: str | None = (RunFolder(study).read_json("study.json") or {}).get("table")
    return reference


def _query_methods(
    methods: Iterable[Method], protocol: Protocol, space: SearchSpace, oracle: bool
) -> list[QueryMethod]:
    """The query-based methods that a table answers. Raises :class:`HarnessError` where none could."""
    queries = [method for method in methods if isinstance(method, QueryMethod)]
    if oracle and not queries:
        raise HarnessError("--oracle-on-test is for query-based methods, and none is run; leave it out")
    if oracle and protocol.queries.answers != "table":
        raise HarnessError("--oracle-on-test is for cells that a table answers; add --set queries.answers=table")
    if protocol.queries.answers != "table":
        return []
    if queries and not space.enumerable:
        raise HarnessError(
            f"no table can answer for the {space.size:,} cells of {space.name}; have {queries[0].name} train those it "
            "asks for: --set queries.answers=training"
        )
    return queries


def _latencies(
    methods: Sequence[Method], protocol: Protocol, space: SearchSpace, training: TrainingSet, device: str, threads: int
) -> Latencies | None:
    """Latencies of operations, measured here or known from before; None where no method is penalised for them."""
    if not any(isinstance(method, WeightSharingMethod) and method.latency_weight for method in methods):
        return None
    return latencies(space, network_config(protocol, training.classes), protocol.data.image_size, device, threads)


def _default_name(protocol: Protocol, unchanged: Protocol, space: str) -> str:
    """The name of the protocol; with its hash where it was changed, and with the space where it is not the default."""
    name = protocol.name + (f"-{protocol.hash[:6]}" if protocol.hash != unchanged.hash else "")
    return name if space == DEFAULT_SPACE else f"{name}-{space}"


def plan_runs(
    study: Path,
    methods: Sequence[Method],
    seeds: Sequence[int],
    space: SearchSpace,
    protocol: Protocol,
    training: TrainingSet,
    threads: int,
    query: BenchmarkQuery | None = None,
    latencies: Latencies | None = None,
) -> list[PlannedRun]:
    """The runs, seed by seed, so that an interrupted study has compared every method on some seeds.

    Args:
        query: the part of a table that query-based methods may see; None: they train cells.
        latencies: of operations, for methods that are penalised for them.
    """
    common = RunConfig(
        schema=SCHEMA_VERSION,
        identity="",
        study=study.name,
        method="",
        label="",
        hyperparameters={},
        method_source="",
        space=space.name,
        dataset=training.name,
        dataset_digest=training.digest,
        protocol=protocol.model_dump(mode="json"),
        protocol_hash=protocol.hash,
        epochs=0,
        seed=0,
        threads=threads,
    )
    described = [_of_method(common, method, protocol, query, latencies) for method in methods]
    return [_planned(study, config, seed, own, custom) for seed in seeds for config, own, custom in described]


def _of_method(
    common: RunConfig, method: Method, protocol: Protocol, query: BenchmarkQuery | None, latencies: Latencies | None
) -> tuple[RunConfig, BenchmarkQuery | None, CustomMethod | None]:
    """The configuration of a method's runs, with what goes with it into their folders."""
    config = RunConfig(
        **{
            **common,
            "method": method.name,
            "label": method.label(),
            "hyperparameters": method.model_dump(mode="json"),
            "epochs": protocol.epochs(method.name),
        }
    )
    custom = None
    if is_custom(method):
        custom = CustomMethod(source_of(type(method)), to_bytes(method))
        config["by_value"] = True
        config["method_source"] = digest(custom.source)
    else:
        config["method_source"] = method_source(type(method))
    own = None
    if query is not None and isinstance(method, QueryMethod):
        own = query if method.multi_fidelity else query.full_fidelity
        config["answers"] = own.digest
        if own.oracle:
            config["oracle_on_test"] = True
            config["label"] += ORACLE
    if latencies is not None and isinstance(method, WeightSharingMethod) and method.latency_weight:
        config["latencies"] = latencies
    return config, own, custom


def _planned(
    study: Path, common: RunConfig, seed: int, query: BenchmarkQuery | None, custom: CustomMethod | None
) -> PlannedRun:
    config = common.copy()
    config["seed"] = seed
    config["identity"] = identity(config)
    folder = RunFolder(study / folder_name(config["label"]) / f"seed-{seed}-{config['identity']}")
    return PlannedRun(folder, folder.config or config, state_of(folder), query, custom)
