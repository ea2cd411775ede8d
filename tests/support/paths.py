"""Where the tests find the checkout and real data."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""

DATA = Path(os.environ.get("HARNESS_DATA_DIR") or ROOT.parent / "shared" / "data")
"""Real data; tests that want it skip, saying so, where it is absent."""
