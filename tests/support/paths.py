"""Where the tests find the checkout, real data and the harness that they test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import harness

ROOT = Path(__file__).parents[2]
"""The checkout."""

DATA = Path(os.environ.get("HARNESS_DATA_DIR") or ROOT.parent / "shared" / "data")
"""Real data; tests that want it skip, saying so, where it is absent."""

TESTED = Path(harness.__file__).parent
"""The harness that is tested: in tox an installed one, whatever stands in the checkout."""


def environment(*folders: Path) -> dict[str, str]:
    """Environment variables of a process that imports this harness, ``tests`` and what is in ``folders``.

    Its working directory is not searched.
    """
    path = os.pathsep.join(map(str, [*folders, TESTED.parent, ROOT]))
    return os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def printed(code: str) -> str:
    """What Python prints in a process of its own, without the space around it."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
