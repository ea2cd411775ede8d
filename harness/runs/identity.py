"""The identity of a run: a hash of everything that can change its result."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json

from harness.methods.base import Method
from harness.runs.schema import RunConfig, TrainingConfig

OF_THE_HARNESS = {"harness.methods.base", "harness.methods.search_state"}
"""Modules whose changes count as the harness's: see :data:`harness.runs.schema.SCHEMA_VERSION`."""


def method_source(method: type[Method]) -> str:
    """SHA-256 of the text of all modules a method's class and its base classes come from.

    It includes the modules of :mod:`harness.methods` that these import, such as ``harness.methods.controller``. Other
    modules are not covered: keep a method in its file.
    """
    modules = list(dict.fromkeys(cls.__module__ for cls in method.__mro__ if issubclass(cls, Method)))
    digest = hashlib.sha256()
    for name in modules:  # which grows
        if name not in OF_THE_HARNESS:
            source = inspect.getsource(importlib.import_module(name))
            digest.update(source.encode())
            modules += [helper for helper in _imported_methods(source) if helper not in modules]
    return digest.hexdigest()


def _imported_methods(source: str) -> list[str]:
    """The modules of :mod:`harness.methods` that a module imports, by name, in order."""
    targets = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            targets += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted({name for name in targets if name.startswith("harness.methods.") and _is_module(name)})


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a name in a module
        return False


def identity(config: RunConfig) -> str:
    """Twelve hexadecimal digits that change with everything that can change a run's result."""
    apart = {"identity", "study", "label", "threads"}
    content = {key: value for key, value in config.items() if key not in apart}
    no_matter = {"name", "version", "description", "diagnostics"}
    protocol = {key: value for key, value in config["protocol"].items() if key not in no_matter}
    if "supernet" in protocol:  # fused, as it was before there was the setting
        default = ("implementation", "fused")
        protocol["supernet"] = {key: value for key, value in protocol["supernet"].items() if (key, value) != default}
    return hashlib.sha256(json.dumps(content | {"protocol": protocol}, sort_keys=True).encode()).hexdigest()[:12]


def training_identity(config: TrainingConfig) -> str:
    """Twelve hexadecimal digits that change with everything that can change a training's result."""
    apart = {"identity", "study", "label", "threads", "recipe"}  # its hash stands for the recipe
    content = {key: value for key, value in config.items() if key not in apart}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
