"""Objects that a plug-in can reach from a search, and modules that its source imports.

This finds mistakes, not malice: Python keeps nobody from reading a file.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from harness.methods.base import Method

ALLOWED = ("harness.errors", "harness.methods", "harness.spaces")
"""Modules of the harness that a method may import."""

FORBIDDEN = (
    "harness.benchmarks",
    "harness.search.benchmark_query",
    "harness.study.lookup",
    "harness.retraining",
)
"""Modules whose objects hold test images or accuracies of a table."""

LARGE = 1000
"""Size of a space from which an array with an entry for every cell is taken for a table."""


def forbidden(roots: Iterable[Any], cells: int) -> str | None:
    """The path of types from one of ``roots`` to a test set, a table or an array as long as one; None if there is none.

    ``cells`` is the size of the space. Modules, classes and the global names of functions are not followed.
    """
    visited: dict[int, Any] = {}  # the objects are kept, so that no new one gets the address of one of them
    frontier = [(root, type(root).__name__) for root in roots]
    while frontier:
        value, path = frontier.pop()
        if id(value) in visited or isinstance(value, ModuleType | type | BuiltinFunctionType | str | bytes):
            continue
        visited[id(value)] = value
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        if any(_within(kind, name) for name in FORBIDDEN) or _has_every_cell(value, cells):
            return path
        frontier += [(inner, f"{path} > {type(inner).__name__}") for inner in _inside(value)]
    return None


def _has_every_cell(value: Any, cells: int) -> bool:
    try:
        return cells >= LARGE and len(value) == cells
    except TypeError:  # it has no length
        return False


def _inside(value: Any) -> list[Any]:
    if isinstance(value, FunctionType):
        return [value.__closure__, value.__defaults__, value.__kwdefaults__]
    return gc.get_referents(value)


def own_modules(method: type[Method]) -> list[ModuleType]:
    """The modules that a method's class and its base classes come from, except ``harness.methods.base``."""
    names = dict.fromkeys(cls.__module__ for cls in method.__mro__ if issubclass(cls, Method))
    return [sys.modules[name] for name in names if name != Method.__module__]


def imported_from_the_harness(method: type[Method]) -> list[str]:
    """Forbidden imports of the harness in a method's modules and in the modules of its package that they import.

    Imports inside functions count.
    """
    waiting = [module.__name__ for module in own_modules(method)]
    packages = {"harness.methods" if _within(name, "harness.methods") else name.split(".")[0] for name in waiting}
    seen: set[str] = set()
    faults = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for target in _imports(module):
            if _within(target, "harness") and not any(_within(target, name) for name in ALLOWED):
                faults.add(f"{module} imports {target}")
            own = any(_within(target, package) for package in packages)
            if own and (inner := _module(target)) and inner != Method.__module__:
                waiting.append(inner)
    return sorted(faults)


def _imports(module: str) -> Iterator[str]:
    """The dotted names that a module imports, down to the name after "import"."""
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = getattr(sys.modules.get(module), "__package__", None) or module.rpartition(".")[0]
            name = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else ""
            yield from (f"{name or node.module}.{alias.name}" for alias in node.names)


def _source(module: str) -> str:
    try:
        return inspect.getsource(sys.modules.get(module) or importlib.import_module(module))
    except (OSError, TypeError):  # written in another language, or an empty package
        return ""


def _module(target: str) -> str | None:
    """The module that a dotted name is or lies in; None where there is none."""
    for name in (target, target.rpartition(".")[0]):
        try:
            if name and importlib.util.find_spec(name):
                return name
        except ModuleNotFoundError:
            continue
    return None


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
