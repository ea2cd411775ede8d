"""Published results: the facts, and that they stand beside the measured means without touching a ranking."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from harness.reports.results import comparison
from harness.reports.tables.published import facts, published_table
from harness.reports.tables.rankings import accuracy_table
from harness.runs.results import load_study
from tests.support import studies

pytestmark = pytest.mark.usefixtures("no_table")

LATER = {"enas", "setn", "rsps"}


def compared(writer: studies.StudyWriter) -> comparison.Comparison:
    return comparison.make_comparison(load_study(writer.path))


def test_every_fact_is_complete_and_of_a_method_by_its_name() -> None:
    found = facts()
    assert len({(fact["method"], fact["citation"], fact["dataset"]) for fact in found}) == len(found)
    for fact in found:
        assert fact["method"] in {*registry.methods(), *LATER}
        assert fact["dataset"] in {"cifar10", "cifar100", "ImageNet16-120"}
        assert 0 < float(fact["mean"]) < 95
        assert float(fact["std"]) >= 0
        assert fact["citation"]
        assert fact["protocol"]


def test_published_and_measured_stand_side_by_side(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    for seed in range(2):
        writer.add("darts", seed, [studies.ALL_CONV3])
        writer.add("gdas[tau_max=5.0]", seed, [studies.ALL_CONV3])
    found = compared(writer)
    table = published_table(found)
    assert table is not None
    keys = [column.key for column in table.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    assert {row["method"] for row in rows} == {"darts"}  # a changed hyper-parameter makes another method
    shared = next(row for row in rows if row["cifar100_published"] == "15.61 ± 0.00")
    assert shared["cifar10_published"] == "54.30 ± 0.00"
    assert shared["cifar10_measured"] == pytest.approx(studies.accuracy(studies.ALL_CONV3))
    assert "50 epochs" in str(shared["protocol"])
    ranking = accuracy_table(found, "cifar10")
    assert [row[0] for row in ranking.rows + ranking.references] == ["darts", "gdas[tau_max=5.0]"]


def test_a_method_nobody_published_has_no_table(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path)
    writer.add("mine", 0, [studies.ALL_CONV3])
    assert published_table(compared(writer)) is None
