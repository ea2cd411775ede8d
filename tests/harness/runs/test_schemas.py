"""Studies of earlier schemas can be read and reported for ever; no run of one goes on under another.

The fixtures are what the harness of that schema wrote: two methods, two seeds, two epochs on tiny digits.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import harness
from harness.runs.schema import SCHEMA_VERSION
from tests.support.paths import ROOT

SCHEMAS = sorted(int(path.name.removeprefix("schema-")) for path in (ROOT / "tests" / "fixtures").glob("schema-*"))


@pytest.fixture(params=SCHEMAS)
def study(request: pytest.FixtureRequest, tmp_path: Path) -> harness.Study:
    path = tmp_path / f"schema-{request.param}"
    shutil.copytree(ROOT / "tests" / "fixtures" / path.name, path)
    return harness.load_study(path)


def test_there_is_a_fixture_of_each_earlier_schema() -> None:
    assert list(range(1, SCHEMA_VERSION)) == SCHEMAS


def test_it_can_be_read(study: harness.Study) -> None:
    assert {run.config["schema"] for run in study.runs} == {int(study.name.removeprefix("schema-"))}
    frame = study.frame()
    assert len(frame) == 8
    assert set(frame["status"]) == {"finished"}
    assert frame["test_cifar10"].between(10, 95).all()


def test_it_can_be_reported_and_compared(study: harness.Study, tmp_path: Path) -> None:
    report = study.report(tmp_path / "report")
    assert report.page.stat().st_size > 10_000
    last = study.frame().groupby("method")["test_cifar10"].nth(1)
    ranking = study.ranking().set_index("method")
    assert set(ranking.index) == {"darts", "random-search"}
    assert last.between(ranking["worst"].min() - 0.01, ranking["best"].max() + 0.01).all()
    assert study.compare("darts", "random-search").pairs


def test_it_does_not_go_on(study: harness.Study) -> None:
    (run, *_) = study.runs
    (run.path / "result.json").unlink()
    with pytest.raises(harness.HarnessError, match="is of another version of the harness; start a new study"):
        harness.retry(study.path, no_mlflow=True)
