"""Query-based searches that a table answers: what they see, what they pay, and that they go on bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.load import load_table
from harness.benchmarks.query import answers
from harness.benchmarks.store import write_table
from harness.benchmarks.table import TabularBenchmark
from harness.config.protocol import Protocol, load_protocol
from harness.errors import HarnessError
from harness.methods.random_search import RandomSearch
from harness.reports.results.comparison import make_comparison
from harness.reports.tables.rankings import cost_table
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.query_by_lookup import LookupQuerySearch
from tests.support.command_line import call
from tests.support.toy import NAS_BENCH_201 as SPACE

pytestmark = pytest.mark.usefixtures("work")

SECONDS = 10.0 + np.arange(SPACE.size) % 7
VALID = np.linspace(20, 90, SPACE.size)
TEST = np.linspace(95, 15, SPACE.size)  # the other way round: a search that saw it would end elsewhere


def table(**columns: np.ndarray) -> TabularBenchmark:
    found = {("digits", name): values for name, values in columns.items()}
    provenance = {"name": "told", "description": "Made up.", "source": "a test", "sha256": "0" * 64}
    return TabularBenchmark("told", SPACE.name, {("digits", "test_accuracy"): TEST, **found}, provenance)


def full_table() -> TabularBenchmark:
    return table(
        **{
            "valid_accuracy": VALID,
            "valid_seconds": SECONDS,
            "valid_accuracy@3": VALID / 2,
            "valid_seconds@3": SECONDS / 4,
        }
    )


def rules(*settings: str) -> Protocol:
    return load_protocol("quick", ["search.epochs=5", "queries.answers=table", *settings])


def search(protocol: Protocol, told: BenchmarkQuery, seed: int = 0) -> LookupQuerySearch:
    return LookupQuerySearch(RandomSearch(), SPACE, told, protocol, seed)


def run(searched: LookupQuerySearch, epochs: range) -> list[dict[str, object]]:
    return [dict(searched.run_epoch(epoch, lambda done: None)) for epoch in epochs]


def test_a_search_sees_validation_accuracies_and_pays_their_seconds() -> None:
    protocol = rules("queries.seconds=1000")
    searched = search(protocol, answers(full_table(), protocol))
    rows = run(searched, range(5))
    bought = [SPACE.index(seen.architecture) for seen in searched.history]
    assert [seen.valid_accuracy for seen in searched.history] == VALID[bought].tolist()
    for number, row in enumerate(rows, start=1):
        count = int(str(row["evaluations"]))
        assert row["simulated_seconds"] == SECONDS[bought[:count]].sum() <= number * 200
        assert SECONDS[bought[: count + 1]].sum() > number * 200 or count == len(bought)  # no more could be paid for
        assert row["index"] == max(bought[:count], key=lambda index: VALID[index])
        assert row["valid_accuracy"] == max(VALID[bought[:count]])
    assert len(bought) == pytest.approx(1000 / SECONDS.mean(), rel=0.2)


def test_the_short_budget_tells_and_costs_what_it_says() -> None:
    protocol = rules("queries.seconds=100", "queries.epochs=3")
    searched = search(protocol, answers(full_table(), protocol))
    rows = run(searched, range(5))
    bought = [SPACE.index(seen.architecture) for seen in searched.history]
    assert [seen.valid_accuracy for seen in searched.history] == (VALID[bought] / 2).tolist()
    assert rows[-1]["simulated_seconds"] == pytest.approx(SECONDS[bought].sum() / 4)


def test_a_budget_of_cells_buys_as_many_in_equal_shares() -> None:
    protocol = rules("queries.evaluations=12")
    rows = run(search(protocol, answers(table(valid_accuracy=VALID), protocol)), range(5))
    assert [row["evaluations"] for row in rows] == [2, 4, 7, 9, 12]
    assert "simulated_seconds" not in rows[-1]


def test_the_first_proposed_cell_stands_until_one_can_be_paid_for() -> None:
    protocol = rules("queries.seconds=40")
    searched = search(protocol, answers(full_table(), protocol))
    rows = run(searched, range(5))
    assert rows[0]["evaluations"] == 0
    assert rows[0]["valid_accuracy"] is None
    assert rows[0]["index"] == SPACE.index(searched.history[0].architecture)


def test_a_broken_search_goes_on_with_the_same_bits() -> None:
    protocol = rules("queries.seconds=700")
    told = answers(full_table(), protocol)
    whole, first, second = (search(protocol, told) for _ in range(3))
    expected = run(whole, range(5))
    rows = run(first, range(2))
    second.load_state_dict(first.state_dict())
    rows += run(second, range(2, 5))
    for row in expected + rows:
        del row["derivation_seconds"], row["peak_memory_mib"]
    assert rows == expected
    assert second.alphas() == whole.alphas()


@pytest.mark.parametrize("seconds", [SECONDS, None])
def test_answers_survive_their_file(seconds: np.ndarray | None, tmp_path: Path) -> None:
    told = BenchmarkQuery(VALID, seconds)
    (tmp_path / "answers.npy").write_bytes(told.to_bytes())
    again = BenchmarkQuery.read(tmp_path / "answers.npy")
    assert again.digest == told.digest
    assert np.array_equal(again.valid_accuracy, VALID)
    assert (again.seconds is None) == (seconds is None)
    (tmp_path / "answers.npy").write_bytes(told.to_bytes()[:100])
    with pytest.raises(HarnessError, match="cannot be read"):
        BenchmarkQuery.read(tmp_path / "answers.npy")


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({}, (), "no valid_accuracy on digits.* may see no test accuracy"),
        ({"valid_accuracy": VALID}, (), "no training times on digits.*queries.evaluations"),
        ({"valid_accuracy": VALID, "valid_seconds": SECONDS}, ("queries.epochs=9",), "no valid_accuracy@9"),
        ({"valid_accuracy": np.where(VALID > 50, np.nan, VALID)}, ("queries.evaluations=9",), "every cell"),
        ({"valid_accuracy": VALID, "valid_seconds": 0 * SECONDS}, (), "every cell"),
    ],
)
def test_a_table_that_cannot_answer_is_refused(
    columns: dict[str, np.ndarray], settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        answers(table(**columns), rules(*settings))


def test_the_command_runs_and_reports_what_was_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(tmp_path / "tables"))
    write_table(full_table(), SPACE)
    arguments = ["run", "--method=random-search", "--seeds=2", "--table=told", "--no-mlflow"]
    arguments += ["--set=queries.answers=table", "--set=queries.seconds=500", "--set=search.epochs=5"]
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    study = load_study()
    for found in study.runs:
        protocol = rules("queries.seconds=500")
        expected = search(protocol, answers(full_table(), protocol), found.seed)
        rows = run(expected, range(5))
        assert [row["architecture"] for row in found.trace] == [row["architecture"] for row in rows]
        assert found.result is not None
        own = found.trace[-1]["derivation_seconds"]
        assert found.result["search_seconds"] == pytest.approx(float(str(rows[-1]["simulated_seconds"])) + own)
        assert found.accuracy("digits") == TEST[found.trace[-1]["index"]]
        assert RunFolder(found.path).config["answers"] == answers(full_table(), protocol).digest
    last = study.runs[-1].trace[-1]
    assert f"s and {last['simulated_seconds']:,.0f} simulated s, {last['architecture']}" in done.stderr
    sheet = cost_table(make_comparison(study))
    keys = [column.key for column in sheet.columns]
    assert sheet.rows[0][keys.index("evaluations")] == np.mean([run.trace[-1]["evaluations"] for run in study.runs])
    assert "(cached)" in call(*arguments).stderr


def test_the_embedded_table_answers_searches_on_digits_and_on_nothing_else() -> None:
    arguments = ["--set=queries.answers=table", "--set=queries.seconds=5", "--set=search.epochs=2"]
    done = call("run", "--method=random-search", "--seeds=1", "--no-mlflow", *arguments)
    assert done.exit_code == 0, done.output
    (found,) = load_study().runs
    assert 0 < found.trace[-1]["simulated_seconds"] <= 5
    with pytest.raises(HarnessError, match="it needs a table with validation accuracies"):
        answers(load_table(None, SPACE), rules("dataset=cifar10"))


def test_answers_do_not_depend_on_the_test_column() -> None:
    protocol = rules()
    other = TabularBenchmark("other", SPACE.name, {**full_table().columns, ("digits", "test_accuracy"): TEST[::-1]}, {})
    assert answers(other, protocol).digest == answers(full_table(), protocol).digest
    assert np.array_equal(answers(other, protocol).valid_accuracy, VALID)
