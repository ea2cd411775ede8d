"""Benchmarks to import, and an empty folder to import them into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import nb201_files as files


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
