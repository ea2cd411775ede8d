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


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of tables."""
    folder = tmp_path / "tables"
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The same benchmark in both formats of torch.save: since 1.6 or before."""
    folder, content = tmp_path_factory.mktemp("official"), files.official()
    return {new: files.write_official(folder / f"{new}.pth", content, new) for new in (True, False)}


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write_nats(tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple")


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
