"""Methods and spaces by name, found without importing PyTorch.

Methods of the harness are the classes in ``methods/*.py`` that have a ``name``: a new file there is a new method. Other
packages add theirs through the entry-point groups ``harness.methods`` and ``harness.spaces``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
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
"""The advice where a method or space is missing."""

GROUPS = ("all", "gradient", "weight-sharing", "query")
"""Names that stand for several methods, so that no method can have them; see :attr:`Method.group`."""

GROUP_OF_BASE = {"WeightSharingMethod": "gradient", "QueryMethod": "query"}
"""The group of a method that does not name one, by its base class."""


@dataclass(frozen=True)
class Plugin:
    """A class that can be loaded by name.

    Attributes:
        target: ``module:Class``.
        provider: the harness, or the package that registers it.
        summary: one line.
        group: of a method, where its source says it.
        fault: why it cannot be loaded, where that is known before.
    """

    name: str
    target: str
    provider: str
    summary: str
    group: str = ""
    fault: str = ""

    def load(self) -> Any:
        """Import it. Raises :class:`HarnessError`, which names the provider, where that fails."""
        if self.fault:
            raise HarnessError(self.fault)
        module, _, attribute = self.target.partition(":")
        wrong = f"{self.name} of {self.provider} cannot be imported from {self.target.rstrip(':')}"
        try:
            imported = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise HarnessError(f"{wrong}: {failure(error)}") from error
        if not hasattr(imported, attribute):
            raise HarnessError(
                f"{wrong}: {module} has no class {attribute!r}; correct the entry point and install again"
            )
        return getattr(imported, attribute)


def methods() -> dict[str, Plugin]:
    """All methods by name, sorted. Where two have the same name, loading it raises :class:`HarnessError`."""
    return _plugins("method", "harness.methods")


def spaces() -> dict[str, Plugin]:
    """All search spaces by name, sorted. Where two have the same name, loading it raises :class:`HarnessError`."""
    return _plugins("space", "harness.spaces")


def refresh() -> None:
    """Read folders and entry points again at the next call of :func:`methods` or :func:`spaces`."""
    _plugins.cache_clear()


def methods_of_group(group: str) -> list[str]:
    """The names of a group's methods, sorted; ``group`` is one of :data:`GROUPS`.

    Methods of other packages are imported for it. Raises :class:`HarnessError` for one that is broken.
    """
    if group not in GROUPS:
        raise HarnessError(unknown("group of methods", group, GROUPS))
    return [name for name, method in methods().items() if group == "all" or group == _group(method)]


def expand(names: Iterable[str]) -> list[str]:
    """The methods that names and groups mean, each once and by its own name.

    Raises :class:`HarnessError` for an unknown name.
    """
    expanded: list[str] = []
    for name in names:
        group = match(name, GROUPS)
        expanded += methods_of_group(group) if group else [get_plugin("method", name, methods()).name]
    return list(dict.fromkeys(expanded))


def _group(method: Plugin) -> str:
    return method.group or get_method(method.name).group


def get_method(name: str) -> type[Method]:
    """The class of a method. Raises :class:`HarnessError` for an unknown name, a broken plug-in or a wrong class."""
    from harness.methods.base import QueryMethod, WeightSharingMethod

    plugin = get_plugin("method", name, methods())
    method = plugin.load()
    if not (isinstance(method, type) and issubclass(method, WeightSharingMethod | QueryMethod)):
        raise HarnessError(
            f"{plugin.name} is no method: {method!r} must derive from WeightSharingMethod or QueryMethod"
        )
    check_complete(method, plugin.name, ("paper", "summary"))
    return method


def get_space(name: str) -> SearchSpace:
    """A search space. Raises :class:`HarnessError` as :func:`get_method` does."""
    from harness.spaces.base import SearchSpace

    plugin = get_plugin("space", name, spaces())
    space = plugin.load()
    if not (isinstance(space, type) and issubclass(space, SearchSpace)):
        raise HarnessError(f"{plugin.name} is no space: {space!r} must derive from SearchSpace")
    check_complete(space, plugin.name, ("summary", "operations", "edges", "size"))
    return space()


def check_complete(cls: Any, name: str, attributes: Iterable[str]) -> None:
    """Raise :class:`HarnessError` where a class lacks what it must define, or calls itself otherwise than ``name``."""
    missing = [attribute for attribute in ("name", *attributes) if not hasattr(cls, attribute)]
    missing += sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise HarnessError(f"{name} is incomplete: {cls!r} must define {', '.join(missing)}")
    if cls.name != name:
        raise HarnessError(
            f"{cls!r} is registered as {name!r} but its name is {cls.name!r}; make them equal, and install its "
            "package again where the entry point was wrong"
        )


def get_plugin(kind: str, name: str, plugins: Mapping[str, Plugin]) -> Plugin:
    """The plug-in that :func:`match` finds. Raises :class:`HarnessError` with the nearest and all valid names."""
    canonical = match(name, plugins)
    if canonical is None:
        raise HarnessError(f"{unknown(kind, name, plugins)}; {OF_YOUR_OWN}")
    return plugins[canonical]


def match(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that a user means: case does not count, and ``_`` is ``-``. None for none or several."""
    names = list(names)
    if name in names:
        return name
    same = [each for each in names if _folded(each) == _folded(name)]
    return same[0] if len(same) == 1 else None


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


@cache
def _plugins(kind: str, package: str) -> dict[str, Plugin]:
    registered = [
        Plugin(point.name, point.value, _provider(point), f"from {_provider(point)}")
        for point in metadata.entry_points(group=package)
    ]
    plugins: dict[str, Plugin] = {}
    for plugin in sorted([*_in_package(package), *registered], key=lambda plugin: plugin.name):
        other = plugins.setdefault(plugin.name, plugin)
        if other != plugin and not other.fault:
            fault = (
                f"two {kind}s are called {plugin.name!r}: {other.target} of {other.provider} and {plugin.target} of "
                f"{plugin.provider}; rename or uninstall one"
            )
            plugins[plugin.name] = replace(other, summary=f"broken: {fault}", fault=fault)
    return plugins


def _provider(point: metadata.EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"


def _in_package(package: str) -> Iterator[Plugin]:
    """The classes of a package that assign a literal ``name``, found without importing them."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError as error:  # says what to do: see harness/_checkout.py
        raise HarnessError(str(error)) from None
    for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if not any(part.startswith(".") for part in parts):  # lock files of editors, checkpoints of notebooks
                yield from _in_file(file, ".".join((package, *parts)))


def _in_file(file: Path, module: str) -> Iterator[Plugin]:
    try:
        tree = ast.parse(file.read_bytes(), file.name)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:  # ValueError: null bytes
        # The others can be used while this one is being written; loading it says what is wrong, and where.
        summary = f"broken: {failure(error)}"
        yield Plugin(file.stem.replace("_", "-"), f"{module}:", OURS, summary)
        return
    groups = dict(GROUP_OF_BASE)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            literals = _literals(node)
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            inherited = next((groups[base] for base in bases if base in groups), "")
            groups[node.name] = literals.get("group", inherited)
            if "name" in literals:
                summary = literals.get("summary") or (ast.get_docstring(node) or "").partition("\n")[0]
                yield Plugin(literals["name"], f"{module}:{node.name}", OURS, summary, groups[node.name])


def _literals(node: ast.ClassDef) -> dict[str, str]:
    """The string literals that a class body assigns, by attribute."""
    literals = {}
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(targets[0], ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            literals[targets[0].id] = value.value
    return literals
