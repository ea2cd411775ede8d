"""What a command line comes to: methods with their hyper-parameters, and the runs of a study with their identities."""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from pydantic import ValidationError

from harness.answers import Answers
from harness.batches import check_data
from harness.catalogue import get_method, methods, unknown
from harness.data import TrainingSet
from harness.errors import HarnessError, failure
from harness.latency import Latencies
from harness.protocol import Protocol, explain, fields_of, split_override
from harness.runs import (
    OVER,
    SCHEMA_VERSION,
    Attempt,
    RunConfig,
    RunFolder,
    TrainingConfig,
    folder_name,
    write_atomically,
)
from harness.search import network_config, returned
from methods.base import GradientMethod, Method, QueryMethod
from spaces.base import SearchSpace, SpaceError

ORACLE = "+oracle-on-test"
"""What the labels of runs end with that were answered by test accuracies."""

State = Literal["new", "goes on", "finished", "diverged"]
"""Of a planned run. A failed or timed out run goes on; a finished or diverged one would only repeat itself."""


@dataclass(frozen=True)
class PlannedRun:
    """A search, or a training, that a command line asks for, and where it stands."""

    folder: RunFolder
    config: RunConfig | TrainingConfig
    state: State
    answers: Answers | None = None

    @property
    def cached(self) -> bool:
        """Whether there is nothing left to do."""
        return self.state in OVER

    @property
    def name(self) -> str:
        """For print."""
        return f"{self.config['label']} seed {self.config['seed']}"


def split_overrides(overrides: Iterable[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """``--set`` options as hyper-parameters by method, and the rest, which are settings of the protocol.

    Raises :class:`HarnessError` for what can be neither, with both kinds of names.
    """
    known, fields = methods(), fields_of(Protocol)
    sections = {field.partition(".")[0] for field in fields if "." in field}
    hyperparameters: dict[str, dict[str, Any]] = {}
    settings = []
    for override in overrides:
        key, value = split_override(override)
        first, dot, rest = key.partition(".")
        if dot and first in known:
            hyperparameters.setdefault(first, {})[rest] = value
        elif dot and first not in sections:
            raise HarnessError(f"--set {override}: {unknown('method or section', first, {*known, *sections})}")
        elif not dot and key not in fields:
            hint = "a hyper-parameter begins with its method, such as gdas.tau_max"
            raise HarnessError(f"{unknown('setting', key, fields)}; {hint}")
        else:
            settings.append(override)
    return hyperparameters, settings


def configure(names: Sequence[str], hyperparameters: dict[str, dict[str, Any]]) -> list[Method]:
    """The methods with their hyper-parameters.

    Raises :class:`HarnessError` for unknown methods, and for hyper-parameters that are unknown, out of range or of a
    method that is not run; the valid ones are listed.
    """
    for name in hyperparameters:
        if name not in names:
            raise HarnessError(f"--set {name}.… changes {name}, which is not run; add --method {name}")
    found = []
    for name in names:
        method = get_method(name)
        changes = hyperparameters.get(name, {})
        for key in changes:
            if key not in method.model_fields:
                raise HarnessError(unknown(f"hyper-parameter of {name}", key, method.model_fields))
        try:
            found.append(method(**changes))
        except ValidationError as error:
            raise HarnessError(f"{name}: {explain(error)}; see: harness info {name}") from None
    return found


def check_possible(method: Method, space: SearchSpace, protocol: Protocol, training: TrainingSet) -> None:
    """Raise :class:`HarnessError` where the data or the space cannot give what a method and the protocol need.

    Also where a hook of the method fails that says what it needs.
    """
    check_data(training, protocol)
    if isinstance(method, GradientMethod):
        try:
            with torch.device("meta"):
                options = returned(method.supernet_options(), "supernet_options")
                space.supernet(network_config(protocol, training.classes, **options))
            alphas = returned(method.initial_alphas(space, torch.Generator()), "initial_alphas")
        except SpaceError as error:
            raise HarnessError(f"{method.label()} under protocol {protocol.name}: {error}") from None
        except Exception as error:  # of the plug-in
            raise HarnessError(f"{method.label()} cannot begin: {failure(error)}") from error
        if (method.flops_weight or method.parameters_weight or method.latency_weight) and "alpha" not in alphas:
            raise HarnessError(
                f"{method.label()}: {method.name} has no α that could learn what a cell costs; leave out "
                "flops_weight, parameters_weight and latency_weight"
            )


def method_source(method: type[Method]) -> str:
    """SHA-256 of the text of all modules a method's class and its base classes come from.

    Code that these modules import is not covered: keep a method in its file.
    """
    modules = dict.fromkeys(cls.__module__ for cls in method.__mro__ if issubclass(cls, Method))
    digest = hashlib.sha256()
    for name in modules:
        if name != Method.__module__:  # what the base classes do is the harness's: see SCHEMA_VERSION
            digest.update(inspect.getsource(sys.modules[name]).encode())
    return digest.hexdigest()


def plan(
    study: Path,
    methods: Sequence[Method],
    seeds: Sequence[int],
    space: SearchSpace,
    protocol: Protocol,
    training: TrainingSet,
    threads: int,
    answers: Answers | None = None,
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
    answers: Answers | None,
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
    if latencies is not None and isinstance(method, GradientMethod) and method.latency_weight:
        config["latencies"] = latencies
    config["identity"] = identity(config)
    folder = RunFolder(study / folder_name(config["label"]) / f"seed-{seed}-{config['identity']}")
    return PlannedRun(folder, folder.config or config, state_of(folder), told)


def state_of(folder: RunFolder) -> State:
    """Where a run stands that its folder may hold already."""
    if folder.config is None:
        return "new"
    result = folder.result
    if result is not None and result["status"] in OVER:
        return "finished" if result["status"] == "finished" else "diverged"
    return "goes on"


def identity(config: RunConfig) -> str:
    """Twelve hexadecimal digits that change with everything that can change a run's result."""
    apart = {"identity", "study", "label", "threads"}
    content = {key: value for key, value in config.items() if key not in apart}
    no_matter = {"name", "version", "description", "diagnostics"}
    protocol = {key: value for key, value in config["protocol"].items() if key not in no_matter}
    return hashlib.sha256(json.dumps(content | {"protocol": protocol}, sort_keys=True).encode()).hexdigest()[:12]


def begin(run: PlannedRun, environment: dict[str, Any], fresh: bool) -> None:
    """Make a run's folder ready for a worker: configuration and environment; with ``fresh``, nothing of before.

    How the run has ended is added to its attempts. Raises :class:`HarnessError` where the folder cannot be changed.
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
        run.folder.write_json("config.json", run.config)
    run.folder.write_json("environment.json", {**environment, "threads": run.folder.config["threads"]})


def known_table(study: Path) -> str | None:
    """The table that a study is looked up in; None for the embedded one, and for a study that does not exist yet."""
    info = RunFolder(study).read_json("study.json")
    return info["table"] if info else None


def open_study(path: Path, runs: Sequence[PlannedRun], command: str, table: str | None) -> None:
    """Create or extend a study's ``study.json``. Raises as :func:`check_comparable` does.

    Args:
        path: the study's folder.
        runs: what is to be run in it.
        command: the command line, recorded so that the report can say how to reproduce the study.
        table: path of the table to look up in; None: the embedded one.
    """
    folder = RunFolder(path)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / ".lock"):  # two commands at once: each adds its own, and the first decides for both
            check_comparable(path, runs)
            info = folder.read_json("study.json")
            info = info or {"name": path.name, "created": created, "commands": [], "table": None}
            info["commands"] = [known for known in info["commands"] if known != command] + [command]
            folder.write_json("study.json", info | {"table": table, "common": _common(runs[0].config)})
    except OSError as error:
        raise HarnessError(
            f"cannot write in {path}: {error.strerror}; make room or choose another --runs folder"
        ) from None


def check_comparable(path: Path, runs: Sequence[PlannedRun]) -> None:
    """Raise :class:`HarnessError` where a study holds, or was opened for, runs that the planned ones do not match."""
    now = _common(runs[0].config)
    info = RunFolder(path).read_json("study.json") or {}
    configs = [RunFolder(file.parent).config for file in path.glob("*/*/config.json")]
    opened = [info["common"]] if "common" in info else []  # recorded before there is a run
    for before in (*opened, *(_common(config) for config in configs if config)):
        for key, value in now.items():
            if before.get(key) != value:
                holds = "holds" if configs else "was opened for"
                raise HarnessError(
                    f"study {path.name!r} in {path.parent} {holds} runs of another {key.replace('_', ' ')} "
                    f"({before.get(key)}, now {value}), which must not be ranked together; choose another name with "
                    "--study"
                )


def _common(config: RunConfig | TrainingConfig) -> dict[str, Any]:
    """What all runs of a study have in common."""
    named: dict[str, Any] = {**config}
    return {key: named.get(key) for key in ("protocol_hash", "space", "dataset", "dataset_digest", "schema")}
