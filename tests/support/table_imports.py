"""Benchmarks in small to import in tests, and fixtures of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.benchmark_import.importing import import_table
from harness.errors import HarnessError
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support import nb201_files as files

SPACE = files.SmallSpace()


def left_in(folder: Path) -> list[str]:
    """Whatever an import has left in a folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refused(path: Path, space: NASBench201 = SPACE) -> str:
    """The message with which an import ends; it is one line and leaves nothing behind."""
    with pytest.raises(HarnessError) as caught:
        import_table(path, space, "mine")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    assert left_in(Path(os.environ["HARNESS_TABLES_DIR"])) == []
    return message
