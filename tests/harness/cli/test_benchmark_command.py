"""``harness benchmark`` as a user calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harness.benchmarks.load import load_table
from harness.cli import benchmark_command as verb
from harness.cli.main import harness, main
from harness.spaces.base import SpaceError
from harness.spaces.nas_bench_201 import encoding
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support import nb201_files, studies

ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
ALL_CONV3 = ALL_SKIP.replace("skip_connect", "nor_conv_3x3")


def query(*arguments: str) -> str:
    result = CliRunner().invoke(harness, ["benchmark", "query", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def facts(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(query(*arguments, "--json"))
    return found


def test_everything_known_of_a_cell_is_printed() -> None:
    column = load_table(None, NASBench201()).test_accuracy("cifar10")
    output = query(ALL_SKIP)
    lines = {line[:16].strip(): line[16:] for line in reversed(output.splitlines())}  # CIFAR-10 comes first
    assert lines["architecture"] == ALL_SKIP
    assert lines["official index"] == f"{encoding.index(studies.ALL_SKIP)} of nas-bench-201"
    assert lines["canonical form"] == "0+0+0+0"
    assert lines["isomorphic"] == "no other string"
    assert lines["operations"] == "6 skip_connect"
    assert lines["parameters"].startswith("0.073 M (C=16, N=5")
    assert lines["FLOPs"] == "7.78 M multiply-accumulates"
    assert lines["cifar10"] == "60.78 % test accuracy"
    better, worse = int((column > 60.79).sum()), int((column < 60.78).sum())
    assert lines["rank"] == f"{better + 1:,} of 15,625, better than {worse / 156.25:.2f} % of all cells"
    assert lines["regret"].startswith("33.28 points")
    assert lines["table"] == "embedded"
    assert lines["source"].startswith("analog-nasbench 0.")
    assert "digital (floating-point) baseline" in " ".join(output.split())
    assert "Spearman 0.991" in output


def test_an_index_and_a_string_are_the_same_cell() -> None:
    assert query("9930") == query(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )


def test_isomorphic_cells_and_the_range_of_their_accuracies() -> None:
    # with a skip from 0 to 1, nodes 0 and 1 hold the same, so that the edges into node 2 can be exchanged
    one = "|skip_connect~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|none~1|skip_connect~2|"
    other = "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"
    found = facts(one)
    assert {encoding.index(encoding.parse(text)) for text in (one, other)} <= set(found["isomorphic"])
    assert len({encoding.canonical(encoding.cell_at(row)) for row in found["isomorphic"]}) == 1
    values = load_table(None, NASBench201()).test_accuracy("cifar10")[found["isomorphic"]]
    low, high = found["datasets"]["cifar10"]["isomorphic_range"]
    assert (low, high) == (values.min(), values.max())
    assert low < high
    printed = query(one)
    assert f"{len(found['isomorphic'])} strings, this one included" in printed
    assert f"{low:.2f} to {high:.2f} %" in printed


def test_json_for_programs() -> None:
    found = facts(ALL_CONV3)
    assert found["space"] == "nas-bench-201"
    assert found["architecture"] == ALL_CONV3
    assert found["operations"] == ["nor_conv_3x3"] * 6
    assert found["isomorphic"] == [found["index"]]
    assert (found["parameters"], round(found["flops"] / 1e6, 2)) == (1_531_546, 220.12)
    assert {"name", "description", "source", "sha256"} <= set(found["table"])
    accuracy = found["datasets"]["cifar10"]
    assert set(accuracy) == {"test_accuracy", "rank", "percentile", "regret", "isomorphic_range", "recorded"}
    assert accuracy["test_accuracy"] == pytest.approx(93.24, abs=0.005)


def test_the_best_cell_of_a_given_table(tmp_path: Path) -> None:
    column = np.random.default_rng(0).uniform(10, 94, encoding.SIZE)
    best = int(column.argmax())
    file = tmp_path / "mine.csv"
    with file.open("w") as out:
        out.write("architecture,cifar100_test,cifar10_test\n")
        for row, value in enumerate(column.tolist()):
            out.write(f"{encoding.to_string(encoding.cell_at(row))},{100 - value!r},{value!r}\n")
    found = facts(str(best), "--table", str(file))
    assert list(found["datasets"]) == ["cifar100", "cifar10"]
    assert [found["datasets"][name]["rank"] for name in ("cifar10", "cifar100")] == [1, encoding.SIZE]
    assert found["datasets"]["cifar10"]["regret"] == 0
    assert found["datasets"]["cifar10"]["percentile"] == pytest.approx(100 * 15_624 / 15_625)
    assert found["table"]["source"] == "mine.csv"
    printed = query(str(best), "--table", str(file))
    assert "better than 99.99 % of all cells" in printed  # never all: it is not better than itself
    assert printed.index("\ncifar100 ") < printed.index("\ncifar10 ")
    assert "read from the file mine.csv" in printed


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """The exit code of the program itself."""
    monkeypatch.setattr(sys, "argv", ["harness", "benchmark", "query", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


def test_a_malformed_string_is_pointed_at(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ALL_SKIP.replace("skip_connect~1", "skip_conect~1", 1)
    assert run(monkeypatch, wrong) == 2
    output = capsys.readouterr()
    assert output.out == ""
    message, string, caret = output.err.splitlines()
    assert message.startswith("harness: not a NAS-Bench-201 architecture: expected an operation")
    assert string.strip() == wrong
    assert string[caret.index("^") :].startswith("skip_conect~1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["15625"], "harness: there is no architecture 15625; NAS-Bench-201 has 0 to 15624\n"),
        (["9" * 5000], "harness: not a NAS-Bench-201 architecture"),
        ([""], "harness: not a NAS-Bench-201 architecture"),
        (["--", "-1"], "harness: there is no architecture -1"),
        (["0", "--space", "nas-bench-2O1"], "harness: unknown space 'nas-bench-2O1', did you mean 'nas-bench-201'?"),
        (["0", "--table", "gone.csv"], "harness: cannot read a table from gone.csv (No such file or directory)"),
        ([], "Usage: "),
    ],
)
def test_errors_are_messages_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(said)
    assert "Traceback" not in output.err


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(verb, "describe", broken)
    monkeypatch.setattr(sys, "argv", ["harness", "benchmark", "query", "0"])
    with pytest.raises(ValueError, match="a bug") as caught:
        main()
    assert not isinstance(caught.value, SpaceError)


# Importing


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of tables."""
    folder = tmp_path / "tables"
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(folder))
    return folder


def benchmark_command(*arguments: str) -> str:
    result = CliRunner().invoke(harness, ["benchmark", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_csv_file_is_imported_listed_and_queried(tmp_path: Path, tables: Path) -> None:
    column = np.random.default_rng(0).uniform(10, 94, encoding.SIZE)
    file = tmp_path / "mine.csv"
    with file.open("w") as out:
        out.write("architecture,cifar10_test\n")
        out.writelines(
            f"{encoding.to_string(encoding.cell_at(row))},{value!r}\n" for row, value in enumerate(column.tolist())
        )
    printed = benchmark_command("import", str(file)).splitlines()
    assert printed == [
        "table mine: cifar10: test accuracy; no validation accuracy",
        f"stored as {tables / 'mine.parquet'}",
        "use it: harness run --table mine",
    ]
    file.unlink()
    found = facts("7", "--table", "mine")
    assert found["datasets"]["cifar10"]["test_accuracy"] == column[7]
    assert found["datasets"]["cifar10"]["recorded"] == {"test_accuracy": column[7]}
    assert (found["table"]["source"], found["table"]["licence"]) == ("mine.csv", "not stated")
    embedded, mine, where = benchmark_command("list").splitlines()
    assert embedded == (
        "embedded: cifar10: test accuracy; digits: test accuracy, validation accuracy, training times; installed with "
        "the package, used where no other table is named"
    )
    assert mine.startswith("mine: cifar10: test accuracy; no validation accuracy; from mine.csv, imported 20")
    assert where == f"imported tables are in {tables}"


def test_a_benchmark_with_validation_is_imported_and_queried(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.registry.get_space", lambda _: nb201_files.SmallSpace())
    path = nb201_files.write_official(tmp_path / "whole.pth", nb201_files.official())
    printed = benchmark_command("import", str(path), "--name", "own").splitlines()
    every = "cifar10, cifar100, ImageNet16-120"
    assert printed[0] == f"table own: {every}: test accuracy, validation accuracy, training times"
    found = facts("1", "--table", "own")["datasets"]["cifar10"]
    assert "test_accuracy@200/888" not in found["recorded"]  # this cell was trained with 777 and 999
    mean = (found["recorded"]["test_accuracy@200/777"] + found["recorded"]["test_accuracy@200/999"]) / 2
    assert found["test_accuracy"] == pytest.approx(mean)
    validation, cost = found["recorded"]["valid_accuracy@12"], found["recorded"]["valid_seconds@12"]
    words = query("1", "--table", "own")
    assert f"{validation:.2f} % validation accuracy after 12 epochs; seeing it costs {cost:,.0f} s" in words
    assert "validation accuracy is of a network trained on half" in " ".join(words.split())


def test_a_damaged_table_is_listed_as_damaged(tables: Path) -> None:
    tables.mkdir()
    (tables / "bad.parquet").write_bytes(b"PAR1")
    (tables / ".half.parquet.17").write_bytes(b"")
    assert len(printed := benchmark_command("list").splitlines()) == 3
    assert printed[1].startswith(f"bad: cannot read the table {tables / 'bad.parquet'} (")


def test_a_table_that_is_not_there(
    tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "0", "--table", "mine") == 2
    assert capsys.readouterr().err == (
        "harness: cannot read a table from mine (No such file or directory); give the path of a CSV file, or a table's "
        "name: embedded\n"
    )
