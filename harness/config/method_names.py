"""The names that a method can have."""

from __future__ import annotations

import re

from harness.registry import GROUPS


def name_fault(name: str) -> str | None:
    """Why a method cannot have a name; None where it can."""
    from harness.config.protocol import Protocol

    if not re.fullmatch(r"[a-z][a-z0-9]*([-.][a-z0-9]+)*", name):
        return f"{name!r} is not of lower-case words and digits joined by hyphens, such as my-darts"
    if name in {*Protocol.model_fields, "recipe"}:
        return f"{name!r} is a section of the settings already: --set {name}.… would be ambiguous"
    if name in GROUPS:
        return f"{name!r} is a group of methods already: --method {name} would be ambiguous"
    return None
