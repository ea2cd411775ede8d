"""Fixtures of the reports' tests: a study to write, and the table that its cells are looked up in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import studies


@pytest.fixture
def writer(tmp_path: Path) -> studies.StudyWriter:
    """Write a study in an empty folder."""
    return studies.StudyWriter(tmp_path)


@pytest.fixture(autouse=True)
def made_up_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reports look cells up in :func:`tests.support.studies.table`, and no library warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        studies.use_made_up_table(monkeypatch)
        yield


@pytest.fixture
def no_table(monkeypatch: pytest.MonkeyPatch, made_up_table: None) -> None:
    """Reports find no table."""
    studies.use_no_table(monkeypatch)
