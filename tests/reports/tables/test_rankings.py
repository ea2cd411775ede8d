"""The rankings as frames."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.reports.results.comparison import Comparison, make_comparison
from harness.reports.tables.rankings import ranking_frame
from harness.runs.results import load_study
from tests.support import studies


@pytest.fixture
def comparison(writer: studies.StudyWriter) -> Comparison:
    """gdas is better and more expensive than darts; snas has no finished run."""
    for seed in range(3):
        writer.add("darts", seed, [studies.ALL_CONV3, studies.ALL_SKIP], seconds_per_epoch=2)
        writer.add("gdas", seed, [studies.ALL_CONV3], seconds_per_epoch=30)
    writer.add("snas", 0, [], status="failed", reason="out of memory")
    return make_comparison(load_study(writer.path))


def test_the_accuracy_ranking_has_a_row_a_method_and_names_dataset_and_table(comparison: Comparison) -> None:
    frame = ranking_frame(comparison)
    assert frame["method"].tolist() == ["gdas", "darts", "snas"]
    assert frame["mean"][:2].tolist() == pytest.approx([studies.accuracy(studies.ALL_CONV3), 54.3])
    assert frame["mean"].isna().tolist() == [False, False, True]
    assert {*frame["dataset"], *frame["table"]} == {"cifar10", "made-up"}


def test_the_other_rankings(comparison: Comparison) -> None:
    cost = ranking_frame(comparison, by="cost")
    assert cost["method"].tolist() == ["darts", "gdas", "snas"]
    assert cost["seconds"][:2].tolist() == pytest.approx([4, 30])
    stability = ranking_frame(comparison, by="stability")
    assert stability["method"].tolist() == ["gdas", "darts", "snas"]
    assert stability["collapse_percent"][:2].tolist() == [0, 100]


@pytest.mark.parametrize("by", ["accuracy", "cost", "stability"])
def test_another_dataset(comparison: Comparison, by: str) -> None:
    frame = ranking_frame(comparison, by, "cifar100")  # type: ignore[arg-type]
    assert set(frame["dataset"]) == {"cifar100"}
    if by == "stability":
        assert frame["worst"][0] == studies.accuracy(studies.ALL_CONV3, "cifar100")
    assert comparison.headline == "cifar10"


def test_unknown_rankings_and_datasets_are_refused_in_one_line(comparison: Comparison) -> None:
    with pytest.raises(HarnessError, match="no ranking by 'speed'; rank by one of: accuracy, cost, stability"):
        ranking_frame(comparison, "speed")  # type: ignore[arg-type]
    with pytest.raises(HarnessError, match="no accuracies on dataset 'digits'; there are accuracies on: cifar10, cif"):
        ranking_frame(comparison, dataset="digits")


def test_without_accuracies_there_is_a_cost_ranking(writer: studies.StudyWriter, no_table: None) -> None:
    writer.add("gdas", 0, [studies.ALL_CONV3], datasets=())
    comparison = make_comparison(load_study(writer.path))
    frame = ranking_frame(comparison, by="cost")
    assert frame["dataset"].isna().all()
    assert frame["table"].isna().all()
    with pytest.raises(HarnessError, match="there are no accuracies to rank by"):
        ranking_frame(comparison)
