"""The arrows of the design: who may import whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("harness", "methods", "spaces", "reports", "tests")


@dataclass(frozen=True)
class Import:
    """One import of a module of ours."""

    where: str  # path below the root, and line
    importer: str  # dotted name of the module that imports
    imported: str  # dotted name of what is imported, down to the name after "import"
    lazy: bool  # inside a function, or for type checkers alone


def modules(package: str) -> Iterator[tuple[Path, str]]:
    """Files of a package with their dotted names."""
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        yield file, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(package: str) -> list[Import]:
    """Every import of a module of ours in a package, wherever in the file it stands."""
    return [
        found
        for file, name in modules(package)
        for found in imports_below(ast.parse(file.read_text(encoding="utf-8")), str(file.relative_to(ROOT)), name)
    ]


def imports_below(node: ast.AST, file: str, importer: str, lazy: bool = False) -> Iterator[Import]:
    """The imports of modules of ours in a node of a file's syntax tree."""
    targets = []
    if isinstance(node, ast.Import):
        targets = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{file}: imports are absolute"
        targets = [f"{node.module}.{alias.name}" for alias in node.names]
    for target in targets:
        if target.split(".")[0] in OURS:
            yield Import(f"{file}:{node.lineno}", importer, target, lazy)
    type_checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    lazy = lazy or type_checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from imports_below(child, file, importer, lazy)


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of ``packages`` or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def violations(package: str, *allowed: str) -> list[str]:
    return [f"{i.where} imports {i.imported}" for i in imports(package) if not within(i.imported, *allowed)]


def test_the_walk_sees_imports() -> None:
    seen = {(i.importer, i.imported, i.lazy) for i in imports("harness")}
    assert ("harness.registry", "harness.errors.HarnessError", False) in seen
    assert ("harness.registry", "harness.methods.base.WeightSharingMethod", True) in seen
    assert ("harness.methods.gdas", "harness.spaces.base.Mixture", False) in {
        (i.importer, i.imported, i.lazy) for i in imports("methods")
    }


def test_methods_know_only_what_a_method_and_a_space_are() -> None:
    assert violations("methods", "harness.methods.base", "harness.spaces.base") == []


def test_spaces_know_nothing_of_methods_harness_or_reports() -> None:
    assert violations("spaces", "spaces") == []


def test_a_space_knows_no_other_space() -> None:
    spaces = {path.parent.name for path in (ROOT / "spaces").glob("*/__init__.py")}
    assert "nas_bench_201" in spaces
    for i in imports("spaces"):
        own = i.importer.split(".")[1]
        others = [f"spaces.{space}" for space in spaces - {own}]
        assert not within(i.imported, *others), i.where


def test_the_harness_knows_no_method_and_no_space_in_particular() -> None:
    assert (
        violations(
            "harness",
            "harness",
            "reports",
            "harness.methods.base",
            "harness.spaces.base",
            "harness.spaces.network_size",
        )
        == []
    )


def test_the_harness_imports_reports_only_when_it_needs_them() -> None:
    assert [i.where for i in imports("harness") if within(i.imported, "reports") and not i.lazy] == []


def test_only_the_command_line_imports_the_command_line() -> None:
    for package in OURS[:4]:
        for i in imports(package):
            assert within(i.importer, "harness.cli") or not within(i.imported, "harness.cli"), i.where


def test_reports_read_the_harness_and_know_spaces_only_by_their_base() -> None:
    assert violations("reports", "reports", "harness", "harness.spaces.base") == []
    forbidden = [
        "harness.cli",
        "harness.tracking",
        "harness.search.weight_sharing",
        "harness.study.planning",
        "harness.execution.local",
    ]
    assert [i.where for i in imports("reports") if within(i.imported, *forbidden)] == []


def test_no_search_can_reach_the_test_set() -> None:
    every = [i for package in OURS[:4] for i in imports(package)]
    ours = {name for package in OURS[:4] for _, name in modules(package)}
    reached = {
        "harness.runs.process",
        "harness.search.worker",
        "harness.search.weight_sharing",
        "harness.search.query_by_training",
        "harness.data.batches",
    }
    reached |= {name for _, name in modules("methods")}
    frontier = set(reached)
    while frontier:
        targets = [i.imported for i in every if i.importer in frontier]
        frontier = {name for name in ours for target in targets if within(target, name)} - reached
        reached |= frontier
    assert {"harness.data", "harness.runs.folder", "harness.spaces.base"} <= reached
    for i in every:
        if within(i.imported, "harness.retraining.test_set.load_test_set", "harness.retraining.test_set.TestSet"):
            assert i.importer not in reached, i.where
            evaluations = ("training", "retrain", "cell_trainings", "building", "cli.run", "cli.build")
            assert within(i.importer, *(f"harness.{name}" for name in evaluations)), i.where


def test_nothing_imports_the_tests() -> None:
    assert [i.where for package in OURS[:4] for i in imports(package) if within(i.imported, "tests")] == []


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
        ("harness.spaces.nas_bench_201.space", ("mlflow", "pandas", "pydantic", "harness", "methods")),
        ("harness.methods.darts", ("mlflow", "pandas", "harness", "reports")),
    ],
)
def test_importing_is_cheap(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == ""
