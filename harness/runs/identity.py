"""The identity of a run: a hash of everything that can change its result."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys

from harness.methods.base import Method
from harness.runs.schema import RunConfig, TrainingConfig


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
