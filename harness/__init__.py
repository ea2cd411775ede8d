"""Compare gradient-based neural architecture search methods under one protocol.

The public names are loaded on first use, so that ``import harness`` costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from harness._version import __version__

if TYPE_CHECKING:
    from harness.api.cells import load_table, retrain
    from harness.api.contracts import check
    from harness.api.mirrors import sync
    from harness.api.searches import estimate, plan, retry, run
    from harness.api.studies import Study, evaluate, load_study
    from harness.errors import HarnessError
    from harness.runs.results import load_results

__all__ = [
    "HarnessError",
    "Study",
    "__version__",
    "check",
    "estimate",
    "evaluate",
    "load_results",
    "load_study",
    "load_table",
    "plan",
    "retrain",
    "retry",
    "run",
    "sync",
]

_MODULES = {
    "HarnessError": "harness.errors",
    "Study": "harness.api.studies",
    "check": "harness.api.contracts",
    "estimate": "harness.api.searches",
    "evaluate": "harness.api.studies",
    "load_results": "harness.runs.results",
    "load_study": "harness.api.studies",
    "load_table": "harness.api.cells",
    "plan": "harness.api.searches",
    "retrain": "harness.api.cells",
    "retry": "harness.api.searches",
    "run": "harness.api.searches",
    "sync": "harness.api.mirrors",
}

if not os.path.exists(os.path.join(os.path.dirname(__file__), "methods", "__init__.py")):  # a checkout
    from harness import _checkout

    _checkout.install()


def __getattr__(name: str) -> Any:
    """A public name, loaded on first use."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted({*globals(), *__all__})
