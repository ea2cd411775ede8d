"""What ``harness run`` and ``harness estimate`` are asked for: the options they share, and the runs they come to."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    DEFAULT_SPACE,
    Seeds,
    check_folder,
    data_option,
    device_option,
    runs_option,
    space_option,
    warn,
)
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.config.protocol import Protocol
    from harness.data.training_set import TrainingSet
    from harness.execution.backend import Place
    from harness.methods.base import Method
    from harness.search.benchmark_query import BenchmarkQuery
    from harness.search.operation_latency import Latencies
    from harness.spaces.base import SearchSpace
    from harness.study.planned_run import PlannedRun


@dataclass(frozen=True)
class SearchOptions:
    """The options that decide which searches are meant, as given."""

    names: tuple[str, ...]
    seeds: list[int]
    protocol: str
    dataset: str | None
    space_name: str
    overrides: tuple[str, ...]
    table: str | None
    study_name: str | None
    runs: Path | None
    data_dir: Path | None
    jobs: int | None
    device: str
    oracle_on_test: bool


_OPTIONS = [
    click.option(
        "--method", "names", multiple=True, required=True, metavar="NAME", help="Repeat it for several methods."
    ),
    click.option(
        "--seeds", type=Seeds(), default="5", show_default=True, help="A count, a list 5,7,9 or a range 10-14."
    ),
    click.option("--protocol", default="quick", show_default=True, help="By name, or a YAML file of your own."),
    click.option("--dataset", metavar="NAME", help="Search on this data set; short for --set dataset=NAME."),
    space_option,
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a hyper-parameter (gdas.tau_max=5) or a setting of the protocol (search.epochs=10).",
    ),
    click.option(
        "--table", metavar="NAME", help="Imported table, or a CSV file.  [default: the study's, at first the embedded]"
    ),
    click.option(
        "--study", "study_name", metavar="NAME", help="[default: the protocol, with its hash if it was changed]"
    ),
    runs_option,
    data_option,
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        help="Runs at once; cores are shared out.  [default: all cores, as far as the memory goes]",
    ),
    device_option,
    click.option(
        "--oracle-on-test",
        is_flag=True,
        help="Answer query-based methods by the test accuracy of a table without validation; reports say so.",
    ),
]


def search_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :class:`SearchOptions`, as its first argument."""

    @functools.wraps(command)
    def bundled(**values: Any) -> None:
        given = SearchOptions(**{field.name: values.pop(field.name) for field in fields(SearchOptions)})
        command(given, **values)

    for option in reversed(_OPTIONS):
        bundled = option(bundled)
    return bundled


@dataclass(frozen=True)
class Asked:
    """The runs that options come to.

    Attributes:
        study: folder of the study.
        source: the table, as :func:`harness.benchmarks.load.load_table` takes it.
        at_once: runs at a time.
        threads: of PyTorch, in each.
    """

    rules: Protocol
    space: SearchSpace
    training: TrainingSet
    study: Path
    source: str | None
    at_once: int
    threads: int
    planned: list[PlannedRun]


def asked(given: SearchOptions, overrides: Sequence[str], place: Place) -> Asked:
    """What the options come to at a place; ``overrides`` are those of ``--set`` that concern the search.

    Raises :class:`HarnessError` for whatever cannot be.
    """
    from harness.benchmarks.load import table_reference
    from harness.config.protocol import load_protocol
    from harness.data.training_set import load_training_set
    from harness.execution.backend import LocalMachine
    from harness.execution.memory import bounded
    from harness.registry import get_space
    from harness.runs.results import runs_directory
    from harness.study.configure import check_possible, configure, split_overrides
    from harness.study.folder import known_table
    from harness.study.planning import plan

    hyperparameters, settings = split_overrides(overrides)
    if given.dataset:
        settings.append(f"dataset={given.dataset}")
    methods = configure(list(dict.fromkeys(given.names)), hyperparameters)
    rules = load_protocol(given.protocol, settings)
    space = get_space(given.space_name)
    place.check(given.device)
    training = load_training_set(rules.dataset, given.data_dir)
    for method in methods:
        check_possible(method, space, rules, training)
    warn(training.warning)

    name = given.study_name or _default_study(rules, load_protocol(given.protocol), given.space_name)
    study = _study_folder(runs_directory(given.runs), name)
    source = known_table(study) if given.table is None else table_reference(given.table)
    told = _answers(methods, rules, space, source, given.oracle_on_test)
    at_once, threads = place.share(given.jobs, len(methods) * len(given.seeds))  # threads go with the cores alone,
    if given.jobs is None and isinstance(place, LocalMachine):  # however few runs fit: a result's last bits need them
        runs = methods * len(given.seeds)
        at_once, line = bounded(at_once, runs, space, rules, training, given.device, told is not None)
        warn(line)
    timed = _latencies(methods, rules, space, training, given.device, threads)
    planned = plan(study, methods, given.seeds, space, rules, training, threads, told, timed)
    return Asked(rules, space, training, study, source, at_once, threads, planned)


def _latencies(
    methods: Sequence[Method], protocol: Protocol, space: SearchSpace, training: TrainingSet, device: str, threads: int
) -> Latencies | None:
    """Latencies of operations, measured here or known from before; None where no method pays for them."""
    from harness.methods.base import WeightSharingMethod
    from harness.search.epoch import network_config
    from harness.search.operation_latency import latencies

    if not any(isinstance(method, WeightSharingMethod) and method.latency_weight for method in methods):
        return None
    return latencies(space, network_config(protocol, training.classes), protocol.data.image_size, device, threads)


def _answers(
    methods: Sequence[Method], protocol: Protocol, space: SearchSpace, source: str | None, oracle: bool
) -> BenchmarkQuery | None:
    """What the table tells the query-based methods; None where it tells nothing. Raises as :func:`answers` does.

    Also where an oracle is asked for that nothing would ask.
    """
    from harness.benchmarks.load import load_table
    from harness.benchmarks.query import answers
    from harness.methods.base import QueryMethod

    asking = [method for method in methods if isinstance(method, QueryMethod)]
    if oracle and not asking:
        raise HarnessError("--oracle-on-test is for query-based methods, and none is run; leave it out")
    if oracle and protocol.queries.answers != "table":
        raise HarnessError("--oracle-on-test is for cells that a table answers; add --set queries.answers=table")
    if protocol.queries.answers != "table" or not asking:
        return None
    if not space.enumerable:
        raise HarnessError(
            f"no table can answer for the {space.size:,} cells of {space.name}; have {asking[0].name} train those it "
            "asks for: --set queries.answers=training"
        )
    shorter = any(method.multi_fidelity for method in asking)
    return answers(load_table(source, space), protocol, shorter=shorter, oracle=oracle)


def _default_study(protocol: Protocol, unchanged: Protocol, space: str) -> str:
    """A name that runs under other rules do not get."""
    name = protocol.name + (f"-{protocol.hash[:6]}" if protocol.hash != unchanged.hash else "")
    return name if space == DEFAULT_SPACE else f"{name}-{space}"


def _study_folder(runs: Path, name: str) -> Path:
    """Where a study of this name is kept. Raises :class:`HarnessError` where that cannot be."""
    if name.startswith(".") or "/" in name or os.sep in name:
        raise HarnessError(f"--study {name!r} is no name; give one without a slash that does not begin with a dot")
    return check_folder(runs) / name
