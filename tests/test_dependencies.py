"""The arrows of the design: which room may import which. See docs/architecture.md for the picture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT, printed

FOLDERS = ("harness", "methods", "spaces", "reports")

FLOORS = [
    {"_version", "errors", "random_streams", "spaces", "reports.statistics"},
    {"methods", "progress"},
    {"registry"},
    {"config"},
    {"data"},
    {"runs"},
    {"search", "tracking"},
    {"benchmarks", "execution"},
    {"benchmark_import", "study", "reports.results"},
    {"retraining", "contract", "reports.tables", "reports.figures"},
    {"benchmark_builder", "scaffold", "reports.page"},
    {"reports"},
    {"api"},
    {"cli"},
    {"__main__"},
]
"""The rooms, from the bottom up. A room imports rooms of lower floors alone."""

DOOR = "harness"
"""``harness/__init__.py``, whose public names are loaded on first use: the only module that imports upwards."""

TEST_IMAGES_AND_TABLES = {"retraining", "benchmark_builder", "benchmark_import", "benchmarks"}
"""Rooms that no search imports."""


@dataclass(frozen=True)
class Import:
    """One import of a module of ours, wherever in the file it stands."""

    where: str  # path below the root, and line
    importer: str
    imported: str  # module, or name in it
    lazy: bool  # inside a function, or for type checkers alone


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name if folder == "harness" else f"harness.{name}"] = file
    return found


MODULES = modules()


@cache
def imports() -> list[Import]:
    """Every import of a module of ours."""
    return [
        found
        for name, file in MODULES.items()
        for found in _below(ast.parse(file.read_text(encoding="utf-8")), str(file.relative_to(ROOT)), name)
    ]


def _below(node: ast.AST, file: str, importer: str, lazy: bool = False) -> Iterator[Import]:
    targets = []
    if isinstance(node, ast.Import):
        targets = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{file}: imports are absolute"
        targets = [f"{node.module}.{alias.name}" for alias in node.names]
    for target in targets:
        if target.split(".")[0] in {*FOLDERS, "tests"}:
            yield Import(f"{file}:{node.lineno}", importer, target, lazy)  # type: ignore[attr-defined]
    type_checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    lazy = lazy or type_checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from _below(child, file, importer, lazy)


def module_of(target: str) -> str:
    """The module that is imported: the target itself, or what it is a name in."""
    return target if target in MODULES else target.rpartition(".")[0]


def room(module: str) -> str:
    """The folder or the file of ``harness/`` that a module lies in; of reports, the folder of ``reports/``."""
    parts = module.split(".")[1:]
    if not parts:
        return DOOR
    if parts[0] == "reports" and len(parts) > 1 and (ROOT / "reports" / parts[1]).is_dir():
        return f"reports.{parts[1]}"
    return parts[0]


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of ``packages`` or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def reachable(*packages: str) -> set[str]:
    """The modules of ``packages``, and every module that they import, directly or not; the door leads nowhere."""
    reached = {name for name in MODULES if within(name, *packages)}
    frontier = set(reached)
    while frontier:
        targets = {module_of(i.imported) for i in imports() if i.importer in frontier}
        frontier = (targets & set(MODULES)) - reached - {DOOR}
        reached |= frontier
    return reached


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_the_walk_sees_imports() -> None:
    seen = {(i.importer, i.imported, i.lazy) for i in imports()}
    assert ("harness.registry", "harness.errors.HarnessError", False) in seen
    assert ("harness.registry", "harness.methods.base.WeightSharingMethod", True) in seen
    assert ("harness.methods.gdas", "harness.spaces.base.Mixture", False) in seen


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in MODULES} - {DOOR, "_checkout"} == set().union(*FLOORS)


def test_no_arrow_runs_up_or_along_a_floor() -> None:
    wrong = [
        f"{i.where} imports {i.imported}"
        for i in imports()
        if (here := room(i.importer)) != (there := room(module_of(i.imported)))
        and here not in {DOOR, "_checkout"}
        and (there == DOOR or floor(there) >= floor(here))
    ]
    assert wrong == []


def test_no_circle_of_files() -> None:
    graph: dict[str, set[str]] = {}
    for i in imports():
        target = module_of(i.imported)
        if i.importer not in {DOOR, target} and target in MODULES:
            graph.setdefault(i.importer, set()).add(target)
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_the_door_imports_upwards_and_only_on_first_use() -> None:
    assert [i.where for i in imports() if i.importer == DOOR and not i.lazy and room(i.imported) != "_version"] == [
        i.where for i in imports() if i.importer == DOOR and i.imported == "harness._checkout"
    ]


def test_methods_know_only_what_a_method_and_a_space_are() -> None:
    allowed = (
        "harness.methods.base",
        "harness.methods.search_state",
        "harness.methods.controller",
        "harness.spaces.base",
    )
    wrong = [i.where for i in imports() if within(i.importer, "harness.methods") and not within(i.imported, *allowed)]
    assert wrong == []


def test_a_space_knows_no_other_space() -> None:
    spaces = {path.parent.name for path in (ROOT / "spaces").glob("*/__init__.py")}
    assert "nas_bench_201" in spaces
    for i in imports():
        if within(i.importer, "harness.spaces"):
            others = [f"harness.spaces.{space}" for space in spaces - {i.importer.split(".")[2]}]
            assert not within(i.imported, *others), i.where


def test_no_room_knows_a_method_or_a_space_in_particular() -> None:
    allowed = ("base", "search_state", "network_size", "labels")
    for i in imports():
        for package in ("harness.methods", "harness.spaces"):
            if within(i.imported, package) and not within(i.importer, package):
                assert within(i.imported, *(f"{package}.{name}" for name in allowed)), i.where


def test_no_search_can_reach_test_images_or_a_table() -> None:
    reached = reachable("harness.search", "harness.methods", "harness.runs")
    assert {"harness.data.batches", "harness.runs.folder", "harness.spaces.base"} <= reached
    assert {room(module) for module in reached} & TEST_IMAGES_AND_TABLES == set()


def test_a_report_reads_and_never_runs() -> None:
    reached = reachable("harness.reports")
    assert {"harness.runs.results", "harness.benchmarks.load", "harness.spaces.network_size"} <= reached
    assert {room(module) for module in reached} & {"search", "study", "execution", "tracking", "cli"} == set()


def test_nothing_imports_the_tests() -> None:
    assert [i.where for i in imports() if within(i.imported, "tests")] == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("harness", ("torch", "mlflow", "pandas", "pydantic", "click")),
        ("harness.cli.main", ("torch", "mlflow", "pandas", "scipy", "sklearn", "matplotlib", "distributed", "dask")),
        (
            "harness.cli.run_command",
            ("torch", "mlflow", "pandas", "scipy", "sklearn", "matplotlib", "distributed", "dask"),
        ),
        ("harness.execution.dask.task", ("torch", "mlflow", "pandas", "distributed")),
        ("harness.registry", ("torch", "mlflow", "pandas")),
        ("harness.spaces.nas_bench_201.space", ("mlflow", "pandas", "pydantic", "harness.methods")),
        ("harness.methods.darts", ("mlflow", "pandas", "harness.runs", "harness.reports")),
    ],
)
def test_importing_is_cheap(module: str, absent: tuple[str, ...]) -> None:
    assert printed(f"import sys, {module}; print(*sorted(set({absent!r}) & set(sys.modules)))") == ""
