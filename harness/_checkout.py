"""Imports from a checkout that is not installed: ``harness.methods`` is the folder ``methods`` beside it.

An installed package has ``methods``, ``spaces`` and ``reports`` inside ``harness`` and does not import this module. In
a checkout they stand at the top level. This finder maps them, whichever way the checkout got on the path: an editable
installation, ``python -m`` in its root, pytest or a notebook. See ``docs/decisions/001-one-import-name.md``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
FOLDERS = {f"harness.{name}": ROOT / name for name in ("methods", "spaces", "reports")}
"""Package: its folder in the checkout."""


class CheckoutFinder:
    """Finds the packages of :data:`FOLDERS`; everything below them is found as usual."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The package of this name, or None."""
        folder = FOLDERS.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


def install() -> None:
    """Add the finder, once."""
    if CheckoutFinder not in sys.meta_path:
        sys.meta_path.append(CheckoutFinder)
