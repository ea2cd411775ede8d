"""Nested settings as a flat list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every field of a nested mapping with its dotted name and its value as text."""
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)
