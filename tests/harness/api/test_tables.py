"""A study has one table, and a change of it is never silent."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.benchmarks.table import TabularBenchmark
from tests.harness.api.test_searches import SETS, TINY
from tests.support.command_line import call, refusal
from tests.support.toy import NAS_BENCH_201


def write_table(path: Path, lower: float = 0.0) -> None:
    """The embedded table's CIFAR-10 as a CSV file, by so many points lower."""
    table = harness.load_table()
    column = table.test_accuracy("cifar10") - lower
    lines = [f"{NAS_BENCH_201.format(NAS_BENCH_201.architecture(i))},{value}" for i, value in enumerate(column.clip(0))]
    path.write_text("architecture,cifar10_test\n" + "\n".join(lines) + "\n")


@pytest.fixture
def study(work: Path, inline: None) -> harness.Study:
    write_table(work / "t.csv")
    return harness.run("darts", seeds=2, study="s", set=TINY, table="t.csv", no_mlflow=True)


def mean(study: harness.Study) -> float:
    frame = study.frame()
    return float(frame[frame["epoch"] == frame["epoch"].max()]["test_cifar10"].mean())


def test_a_table_that_changed_is_refused_until_all_runs_are_looked_up_again(study: harness.Study, work: Path) -> None:
    before = mean(study)
    write_table(work / "t.csv", lower=5)
    again = "the table t has changed since study 's' was looked up in it .*: harness evaluate s"
    with pytest.raises(harness.HarnessError, match=again):
        harness.run("gdas", seeds=2, study="s", set=TINY, no_mlflow=True)
    with pytest.raises(harness.HarnessError, match=again):
        harness.load_study("s").report()
    assert mean(harness.load_study("s")) == before
    changed = harness.evaluate("s")
    assert mean(changed) == pytest.approx(before - 5)
    ranking = changed.ranking()
    assert ranking.iloc[0]["mean"] == pytest.approx(before - 5, abs=0.01)


def test_another_table_is_a_question_and_a_report_with_it_leaves_the_study_alone(
    study: harness.Study, work: Path
) -> None:
    before, files = mean(study), {path: path.read_bytes() for path in study.path.rglob("*.json")}
    command = ("run", "--method", "gdas", "--seeds", "2", "--study", "s", *SETS, "--table", "embedded", "--no-mlflow")
    message = refusal(call(*command))
    assert "study 's' is looked up in the table" in message
    assert "harness evaluate s --table embedded" in message
    write_table(work / "other.csv", lower=7)
    assert call("report", "--study", "s", "--table", "other.csv").exit_code == 0
    assert {path: path.read_bytes() for path in study.path.rglob("*.json")} == files
    done = call("evaluate", "s", "--table", "other.csv")
    assert done.exit_code == 0, done.exception
    assert mean(harness.load_study("s")) == pytest.approx(before - 7)
    assert set(harness.load_study("s").frame()["table"]) == {harness.load_study("s").runs[0].table}


def test_a_table_is_an_object(work: Path) -> None:
    table = harness.load_table()
    assert isinstance(table, TabularBenchmark)
    best = table.top(3)
    assert len(best) == 3
    assert table.accuracy(best.iloc[0]["architecture"]) == pytest.approx(table.test_accuracy("cifar10").max())
    assert table.accuracy(int(best.iloc[0]["index"])) == table.accuracy(best.iloc[0]["architecture"])
    assert len(table.frame()) == 15625
