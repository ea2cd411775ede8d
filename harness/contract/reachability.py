"""What a plug-in can reach: the objects behind a search, and the modules behind its source.

It finds mistakes, not malice: Python keeps nobody from reading a file.
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
"""All that a method may import of the harness."""

FORBIDDEN = (
    "harness.benchmarks",
    "harness.search.benchmark_query",
    "harness.study.lookup",
    "harness.retraining",
)
"""Where objects come from that hold test images or accuracies of a table."""

LARGE = 1000
"""Cells of a space from which on an array with an entry for each of them is taken for a table."""


def forbidden(roots: Iterable[Any], cells: int) -> str | None:
    """The way, by types, from one of ``roots`` to a test set, a table or an array as long as one; None: there is none.

    ``cells`` is the size of the space. Modules, classes and the global names of functions are not followed.
    """
    ways: dict[int, tuple[Any, str]] = {}  # the objects are kept, lest another gets the address of one
    frontier = [(root, type(root).__name__) for root in roots]
    while frontier:
        found, way = frontier.pop()
        if id(found) in ways or isinstance(found, ModuleType | type | BuiltinFunctionType | str | bytes):
            continue
        ways[id(found)] = found, way
        kind = f"{type(found).__module__}.{type(found).__qualname__}"
        if any(kind == name or kind.startswith(f"{name}.") for name in FORBIDDEN) or _is_as_long(found, cells):
            return way
        frontier += [(inner, f"{way} > {type(inner).__name__}") for inner in _inside(found)]
    return None


def _is_as_long(found: Any, cells: int) -> bool:
    try:
        return cells >= LARGE and len(found) == cells
    except TypeError:  # it has no length
        return False


def _inside(found: Any) -> list[Any]:
    if isinstance(found, FunctionType):
        return [found.__closure__, found.__defaults__, found.__kwdefaults__]
    return gc.get_referents(found)


def own_modules(method: type[Method]) -> list[ModuleType]:
    """The modules that a method's class and its base classes come from, ``harness.methods.base`` apart."""
    names = dict.fromkeys(cls.__module__ for cls in method.__mro__ if issubclass(cls, Method))
    return [sys.modules[name] for name in names if name != Method.__module__]


def imported_from_the_harness(method: type[Method]) -> list[str]:
    """What a method's modules, and the modules of its package that they import, import of the harness and must not.

    Imports inside functions count.
    """
    waiting = [module.__name__ for module in own_modules(method)]
    packages = {"harness.methods" if _within(name, "harness.methods") else name.split(".")[0] for name in waiting}
    seen: set[str] = set()
    found = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for target in _imports(module):
            if _within(target, "harness") and not any(_within(target, name) for name in ALLOWED):
                found.add(f"{module} imports {target}")
            own = any(_within(target, package) for package in packages)
            if own and (inner := _module(target)) and inner != Method.__module__:
                waiting.append(inner)
    return sorted(found)


def _imports(module: str) -> Iterator[str]:
    """Dotted names of what a module imports, down to the name after "import"."""
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
    """The module that a dotted name is, or is a name in; None where there is none."""
    for name in (target, target.rpartition(".")[0]):
        try:
            if name and importlib.util.find_spec(name):
                return name
        except ModuleNotFoundError:
            continue
    return None


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
