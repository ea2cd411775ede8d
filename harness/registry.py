"""Finding methods and spaces by name, without importing what is not asked for.

Methods that come with the harness are the classes in ``methods/*.py`` that have a ``name``; adding a file adds a
method. Other packages add theirs through the entry-point groups ``harness.methods`` and ``harness.spaces``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, failure, unknown

if TYPE_CHECKING:
    from harness.methods.base import Method
    from harness.spaces.base import SearchSpace


OURS = "the harness"
"""The provider of what is in ``methods/`` and ``spaces/``."""

OF_YOUR_OWN = "for one of your own, give its class a name and install its package"
"""What to do where a method or space is not found that should be there."""


@dataclass(frozen=True)
class Plugin:
    """Something that can be loaded by name: where it is (``module:Class``), what provides it, and one line on it.

    ``fault`` says why it cannot be loaded, where that is known before.
    """

    name: str
    target: str
    provider: str
    summary: str
    fault: str = ""

    def load(self) -> Any:
        """Import it. Raises :class:`HarnessError` that names the provider where that fails."""
        if self.fault:
            raise HarnessError(self.fault)
        module, _, attribute = self.target.partition(":")
        wrong = f"{self.name} of {self.provider} cannot be imported from {self.target.rstrip(':')}"
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise HarnessError(f"{wrong}: {failure(error)}") from error
        if not hasattr(found, attribute):
            raise HarnessError(
                f"{wrong}: {module} has no class {attribute!r}; correct the entry point and install again"
            )
        return getattr(found, attribute)


def methods() -> dict[str, Plugin]:
    """All methods by name, sorted. Where two have the same name, loading it raises :class:`HarnessError`."""
    return _collect("method", "harness.methods")


def spaces() -> dict[str, Plugin]:
    """All search spaces by name, sorted. Where two have the same name, loading it raises :class:`HarnessError`."""
    return _collect("space", "harness.spaces")


def get_method(name: str) -> type[Method]:
    """The class of a method. Raises :class:`HarnessError` for an unknown name, a broken plug-in or a wrong class."""
    from harness.methods.base import QueryMethod, WeightSharingMethod

    found = choose("method", name, methods()).load()
    if not (isinstance(found, type) and issubclass(found, WeightSharingMethod | QueryMethod)):
        raise HarnessError(f"{name} is no method: {found!r} must derive from WeightSharingMethod or QueryMethod")
    _check_complete(found, name, ("paper", "summary"))
    return found


def get_space(name: str) -> SearchSpace:
    """A search space. Raises :class:`HarnessError` as :func:`get_method` does."""
    from harness.spaces.base import SearchSpace

    found = choose("space", name, spaces()).load()
    if not (isinstance(found, type) and issubclass(found, SearchSpace)):
        raise HarnessError(f"{name} is no space: {found!r} must derive from SearchSpace")
    _check_complete(found, name, ("summary", "operations", "edges", "size"))
    return found()


def _check_complete(found: Any, name: str, attributes: Iterable[str]) -> None:
    """Raise :class:`HarnessError` where a class lacks what it must define, or calls itself otherwise than ``name``."""
    missing = [attribute for attribute in ("name", *attributes) if not hasattr(found, attribute)]
    missing += sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise HarnessError(f"{name} is incomplete: {found!r} must define {', '.join(missing)}")
    if found.name != name:
        raise HarnessError(
            f"{found!r} is registered as {name!r} but its name is {found.name!r}; make them equal, and install its "
            "package again where the entry point was wrong"
        )


def choose(kind: str, name: str, known: dict[str, Plugin]) -> Plugin:
    """The entry called ``name``. Raises :class:`HarnessError` with the nearest and all valid names."""
    if name in known:
        return known[name]
    raise HarnessError(f"{unknown(kind, name, known)}; {OF_YOUR_OWN}")


@cache
def _collect(kind: str, package: str) -> dict[str, Plugin]:
    entries = _in_package(package) + [
        Plugin(point.name, point.value, _provider(point), f"from {_provider(point)}")
        for point in metadata.entry_points(group=package)
    ]
    found: dict[str, Plugin] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        other = found.setdefault(entry.name, entry)
        if other != entry and not other.fault:
            fault = (
                f"two {kind}s are called {entry.name!r}: {other.target} of {other.provider} and {entry.target} of "
                f"{entry.provider}; rename or uninstall one"
            )
            found[entry.name] = replace(other, summary=f"broken: {fault}", fault=fault)
    return found


def _provider(point: metadata.EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"


def _in_package(package: str) -> list[Plugin]:
    """The classes of a package that assign a literal ``name``, found without importing them."""
    spec = importlib.util.find_spec(package)
    entries = []
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).rglob("[!.]*.py")):
            module = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
            try:
                tree = ast.parse(file.read_bytes(), file.name)
            except (SyntaxError, ValueError) as error:  # ValueError: null bytes
                # The others can be used while this one is being written; loading it says what is wrong, and where.
                entries.append(Plugin(file.stem.replace("_", "-"), f"{module}:", OURS, f"broken: {error}"))
                continue
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    literals = _literals(node)
                    if "name" in literals:
                        summary = literals.get("summary") or (ast.get_docstring(node) or "").partition("\n")[0]
                        entries.append(Plugin(literals["name"], f"{module}:{node.name}", OURS, summary))
    return entries


def _literals(node: ast.ClassDef) -> dict[str, str]:
    """The string literals a class body assigns, by attribute."""
    found = {}
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(targets[0], ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[targets[0].id] = value.value
    return found
