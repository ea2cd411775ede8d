"""The embedded table: CIFAR-10 as the ``analog-nasbench`` package has it, and digits as measured by this harness.

``digits.parquet`` is what ``harness benchmark build`` stored; the command stands in ``docs/tables.md``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.benchmarks.analog import read_baseline
from harness.benchmarks.store import read_parquet
from harness.benchmarks.table import EMBEDDED, TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace

SPACE = "nas-bench-201"
DIGITS = Path(__file__).with_name("digits.parquet")


def read_embedded(space: SearchSpace) -> TabularBenchmark:
    """The table that installs with the package; takes about 0.2 s.

    Raises :class:`HarnessError` for another space, and where a file is missing, damaged or hostile.
    """
    if space.name != SPACE:
        raise HarnessError(
            f"the embedded table covers {SPACE} only, not {space.name}; give a table of it with --table PATH, or train "
            "its cells with --evaluate retrain"
        )
    cifar10, digits = read_baseline(space), read_parquet(DIGITS, space)
    parts = (cifar10.provenance, digits.provenance)
    provenance = {
        **digits.provenance,
        "name": EMBEDDED,
        "description": " ".join(part["description"] for part in parts),
        "source": "; ".join(part["source"] for part in parts),
        "sha256": hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest(),
    }
    return TabularBenchmark(EMBEDDED, space.name, {**cifar10.columns, **digits.columns}, provenance)
