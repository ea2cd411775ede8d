"""A benchmark harness that compares gradient-based neural architecture search methods under one protocol."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from harness._version import __version__

if TYPE_CHECKING:
    from harness.runs.results import load_results


__all__ = ["__version__", "load_results"]


if not os.path.isdir(os.path.join(os.path.dirname(__file__), "methods")):
    from harness import _checkout

    _checkout.install()


def __getattr__(name: str) -> Any:
    """Load the public API on first use, so that importing ``harness`` costs nothing."""
    if name == "load_results":
        from harness.runs.results import load_results

        return load_results
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
