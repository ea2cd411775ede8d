"""Imports from a checkout: ``harness.methods`` is the folder ``methods`` beside ``harness``.

In an installed package ``methods``, ``spaces`` and ``reports`` lie in ``harness``, and this module is not imported. In
a checkout they lie at the top level, and this finder maps them, however the checkout came on the path: by an editable
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
    """Finds the packages of :data:`FOLDERS`; Python finds everything below them."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The package of this name, or None. Raises :class:`ModuleNotFoundError` where its folder is missing."""
        folder = FOLDERS.get(name)
        if folder is None:
            return None
        file = folder / "__init__.py"
        if not file.is_file():
            advice = "take the whole checkout of nas-harness, or install it"
            raise ModuleNotFoundError(f"{name} is missing: there is no {file}; {advice}", name=name)
        return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(folder)])


def install() -> None:
    """Add the finder, once, and first: an editable installation of another checkout maps the same names."""
    if CheckoutFinder not in sys.meta_path:
        sys.meta_path.insert(0, CheckoutFinder)
