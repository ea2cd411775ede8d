"""What a table tells beyond validation accuracies in full: shorter trainings, and test accuracies to an oracle."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.query import answers
from harness.benchmarks.store import write_table
from harness.errors import HarnessError
from harness.runs.results import load_study
from harness.search.benchmark_query import BenchmarkQuery
from tests.harness.search.test_query_by_lookup import SECONDS, TEST, VALID, full_table, rules, table
from tests.support.command_line import call, refusal
from tests.support.toy import NAS_BENCH_201 as SPACE

pytestmark = pytest.mark.usefixtures("work")

IN_TABLE = ("--seeds=1", "--table=told", "--no-mlflow", "--set=search.epochs=2", "--set=queries.answers=table")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored table of test accuracies alone."""
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(tmp_path / "tables"))
    write_table(table(), SPACE)


def test_shorter_trainings_are_told_to_those_that_ask_for_them_and_survive_their_file(tmp_path: Path) -> None:
    protocol = rules("queries.seconds=1000")
    found = answers(full_table(), protocol, shorter=True)
    assert found.full_fidelity.digest == answers(full_table(), protocol).digest != found.digest
    (tmp_path / "answers.npy").write_bytes(found.to_bytes())
    again = BenchmarkQuery.read(tmp_path / "answers.npy")
    assert again.digest == found.digest
    assert list(again.lower_fidelities) == [3]
    assert again.at_epochs(None) is again
    seconds = again.at_epochs(3).seconds
    assert seconds is not None
    assert np.array_equal(again.at_epochs(3).valid_accuracy, VALID / 2)
    assert np.array_equal(seconds, SECONDS / 4)
    assert np.array_equal(again.valid_accuracy, VALID)


def test_accuracies_per_training_seed_and_longer_trainings_are_no_shorter_ones() -> None:
    columns = dict.fromkeys(["valid_accuracy" + end for end in ("@3", "@3/0", "@9", "@10", "@1")], VALID)
    found = answers(table(**columns), rules("queries.evaluations=9", "queries.epochs=9"), shorter=True)
    assert list(found.lower_fidelities) == [1, 3]


def test_a_table_with_one_length_of_training_is_refused_to_a_multi_fidelity_method() -> None:
    with pytest.raises(HarnessError, match="one length of training only, and a multi-fidelity method such as bohb"):
        answers(table(valid_accuracy=VALID), rules("queries.evaluations=9"), shorter=True)
    columns = {"valid_accuracy": VALID, "valid_seconds": SECONDS, "valid_accuracy@3": VALID}
    with pytest.raises(HarnessError, match=r"no training times on digits \(valid_seconds@3\)"):
        answers(table(**columns), rules(), shorter=True)


def test_an_oracle_is_told_test_accuracies_and_what_they_cost() -> None:
    columns = {"train_seconds": SECONDS, "test_accuracy@3": TEST / 2, "train_seconds@3": SECONDS / 4}
    found = answers(table(**columns), rules(), shorter=True, oracle=True)
    assert found.oracle
    assert np.array_equal(found.valid_accuracy, TEST)
    assert found.seconds is not None
    assert np.array_equal(found.seconds, SECONDS)
    assert np.array_equal(found.at_epochs(3).valid_accuracy, TEST / 2)
    with pytest.raises(HarnessError, match="has validation accuracies on digits, so no search in it needs an oracle"):
        answers(full_table(), rules(), oracle=True)


def test_an_oracles_runs_and_its_report_say_what_it_saw(told: None) -> None:
    arguments = ("run", "--method=random-search", *IN_TABLE, "--set=queries.evaluations=20")
    assert "--oracle-on-test searches by test accuracy" in refusal(call(*arguments))
    done = call(*arguments, "--oracle-on-test")
    assert done.exit_code == 0, done.output
    (run,) = load_study().runs
    assert run.label == "random-search+oracle-on-test"
    assert run.config["oracle_on_test"]
    evaluations = json.loads((run.path / "alphas.json").read_text())[-1]["evaluations"]
    seen = [SPACE.index(SPACE.parse(evaluation["architecture"])) for evaluation in evaluations]
    assert [evaluation["valid_accuracy"] for evaluation in evaluations] == TEST[seen].tolist()
    assert run.accuracy("digits") == max(TEST[seen])
    reported = call("report")
    assert reported.output.startswith("Oracle on test: random-search+oracle-on-test searched by test accuracy")
    page = (run.path.parents[1] / "report" / "report.html").read_text()
    assert page.index("Oracle on test:") < page.index("One method")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--method=darts", "for query-based methods, and none is run"),
        ("--method=random-search --set=queries.answers=training", "add --set queries.answers=table"),
        ("--method=random-search", "no training times on digits.*queries.evaluations"),
        ("--method=bohb --space=darts", "no table can answer for .* cells of darts; .*queries.answers=training"),
        ("--method=bohb --set=queries.evaluations=9", "test_accuracy on digits after one length of training only"),
    ],
)
def test_an_oracle_that_cannot_be_is_refused_in_one_line(arguments: str, message: str, told: None) -> None:
    options = arguments.split()
    in_table = [option for option in IN_TABLE if option.partition("=")[2].partition("=")[0] not in arguments]
    assert re.search(message, refusal(call("run", *in_table, *options, "--oracle-on-test")))
