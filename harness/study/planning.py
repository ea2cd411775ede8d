"""What a command line comes to: methods with their hyper-parameters, and the runs of a study with their identities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.config.protocol import Protocol
from harness.data.training_set import TrainingSet
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.runs.folder import RunFolder, folder_name
from harness.runs.identity import identity, method_source
from harness.runs.schema import SCHEMA_VERSION, RunConfig
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.operation_latency import Latencies
from harness.spaces.base import SearchSpace
from harness.study.planned_run import ORACLE, PlannedRun, state_of


def plan(
    study: Path,
    methods: Sequence[Method],
    seeds: Sequence[int],
    space: SearchSpace,
    protocol: Protocol,
    training: TrainingSet,
    threads: int,
    answers: BenchmarkQuery | None = None,
    latencies: Latencies | None = None,
) -> list[PlannedRun]:
    """The runs, seed by seed, so that an interrupted study has compared every method on some seeds.

    ``answers`` is what a table tells query-based methods; None: they train cells. ``latencies`` are for methods that
    pay for them.
    """
    sources = {method: method_source(type(method)) for method in methods}
    return [
        _planned(study, method, sources[method], seed, space, protocol, training, threads, answers, latencies)
        for seed in seeds
        for method in methods
    ]


def _planned(
    study: Path,
    method: Method,
    source: str,
    seed: int,
    space: SearchSpace,
    protocol: Protocol,
    training: TrainingSet,
    threads: int,
    answers: BenchmarkQuery | None,
    latencies: Latencies | None,
) -> PlannedRun:
    config = RunConfig(
        schema=SCHEMA_VERSION,
        identity="",
        study=study.name,
        method=method.name,
        label=method.label(),
        hyperparameters=method.model_dump(mode="json"),
        method_source=source,
        space=space.name,
        dataset=training.name,
        dataset_digest=training.digest,
        protocol=protocol.model_dump(mode="json"),
        protocol_hash=protocol.hash,
        epochs=protocol.epochs(method.name),
        seed=seed,
        threads=threads,
    )
    told = None
    if answers is not None and isinstance(method, QueryMethod):
        told = answers if method.multi_fidelity else answers.in_full
        config["answers"] = told.digest
        if told.oracle:
            config["oracle_on_test"] = True
            config["label"] += ORACLE
    if latencies is not None and isinstance(method, WeightSharingMethod) and method.latency_weight:
        config["latencies"] = latencies
    config["identity"] = identity(config)
    folder = RunFolder(study / folder_name(config["label"]) / f"seed-{seed}-{config['identity']}")
    return PlannedRun(folder, folder.config or config, state_of(folder), told)
