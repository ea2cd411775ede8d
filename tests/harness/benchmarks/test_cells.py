"""Cells of a table: their accuracies, the best of them, all of them, and the digest of them all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.load import load_table
from harness.benchmarks.lookup import look_up
from harness.benchmarks.store import read_parquet, write_table
from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.nas_bench_201.space import NASBench201

SPACE = NASBench201()
CELL = (3, 1, 0, 2, 4, 3)


def made_up(**changes: Any) -> TabularBenchmark:
    """A table in which accuracy on one data set rises with the index, and falls on the other."""
    rising = np.linspace(10, 90, SPACE.size)
    columns = {("cifar10", "test_accuracy"): rising, ("cifar100", "test_accuracy"): 100 - rising}
    return TabularBenchmark(**{"name": "made up", "space": SPACE.name, "columns": columns, "provenance": {}, **changes})


@pytest.mark.parametrize(
    "cell", [CELL, list(CELL), SPACE.format(CELL), SPACE.index(CELL), np.int64(SPACE.index(CELL))], ids=str
)
def test_an_accuracy_of_a_cell_by_architecture_string_or_index(cell: Any) -> None:
    table = made_up()
    accuracy = 10 + 80 * SPACE.index(CELL) / (SPACE.size - 1)
    assert table.accuracy(cell) == pytest.approx(accuracy)
    assert table.accuracy(cell, "cifar100") == pytest.approx(100 - accuracy)


@pytest.mark.parametrize("cell", [(0, 1), "|none~0|", "", SPACE.size, -1, (9,) * 6])
def test_a_cell_that_the_space_does_not_have_is_one_line(cell: Any) -> None:
    with pytest.raises(HarnessError, match="made up has no cell") as caught:
        made_up().accuracy(cell)
    assert "\n" not in str(caught.value)


def test_a_dataset_that_the_table_does_not_have_is_one_line() -> None:
    for call in (lambda table: table.accuracy(0, "mnist"), lambda table: table.top(1, "mnist")):
        with pytest.raises(HarnessError, match="no test_accuracy on mnist: its datasets are cifar10, cifar100"):
            call(made_up())


def test_the_best_cells_stand_first_with_all_accuracies() -> None:
    best = made_up().top(2)
    assert list(best.columns) == ["index", "architecture", "cifar10", "cifar100"]
    assert best["index"].tolist() == [SPACE.size - 1, SPACE.size - 2]
    assert best["architecture"].tolist() == [SPACE.format(SPACE.architecture(SPACE.size - rank)) for rank in (1, 2)]
    assert (best["cifar10"][0], best["cifar100"][0]) == (90, 10)
    assert made_up().top(1, "cifar100")["index"].tolist() == [0]
    assert len(made_up().top(SPACE.size + 1)) == SPACE.size
    with pytest.raises(HarnessError, match="1 or more"):
        made_up().top(0)


def test_equal_cells_stand_by_their_index() -> None:
    equal = made_up(columns={("cifar10", "test_accuracy"): np.full(SPACE.size, 50.0)})
    assert equal.top(3)["index"].tolist() == [0, 1, 2]


def test_a_frame_has_all_cells_and_all_columns() -> None:
    table = load_table(None, SPACE)
    frame = table.frame()
    assert list(frame.columns) == ["index", "architecture", *(f"{name}:{metric}" for name, metric in table.columns)]
    assert len(frame) == SPACE.size
    row = frame.iloc[6111]
    assert row["architecture"] == SPACE.format(SPACE.architecture(6111))
    assert row["cifar10:test_accuracy"] == table.accuracy(6111)


# --- digest


def test_a_digest_is_of_the_content_and_of_nothing_else() -> None:
    table = made_up()
    assert len(table.digest) == 64
    backwards = dict(reversed(table.columns.items()))
    assert made_up(name="another", provenance={"a": 1}, columns=backwards).digest == table.digest
    assert made_up(space="another").digest != table.digest


@pytest.mark.parametrize("change", ["value", "name", "less"])
def test_another_content_has_another_digest(change: str) -> None:
    columns = dict(made_up().columns)
    key = ("cifar10", "test_accuracy")
    if change == "value":
        columns[key] = np.array(columns[key])
        columns[key][123] = math.nextafter(columns[key][123], 100)
    elif change == "name":
        columns["cifar10", "valid_accuracy"] = columns.pop(key)
    else:
        del columns[key]
    assert made_up(columns=columns).digest != made_up().digest


def test_zeros_and_missing_numbers_have_one_form_each() -> None:
    first, second = np.zeros(SPACE.size), np.zeros(SPACE.size)
    first[:2], second[:2] = (0.0, np.nan), (-0.0, -np.nan)
    assert first.tobytes() != second.tobytes()
    key = ("cifar10", "test_loss")
    assert made_up(columns={key: first}).digest == made_up(columns={key: second}).digest


def test_a_digest_does_not_depend_on_the_format_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(tmp_path))
    table = made_up(name="mine")
    stored = read_parquet(write_table(table, SPACE), SPACE)
    lines = [
        f"{SPACE.format(SPACE.architecture(row))},{table.accuracy(row)!r},{table.accuracy(row, 'cifar100')!r}"
        for row in range(SPACE.size)
    ]
    (tmp_path / "mine.csv").write_text("architecture,cifar10_test,cifar100_test\n" + "\n".join(reversed(lines)) + "\n")
    assert stored.digest == load_table(tmp_path / "mine.csv", SPACE).digest == table.digest


# --- look-up


def test_a_look_up_joins_the_accuracy_of_the_derived_cell_of_each_epoch() -> None:
    trace: Any = [{"index": 0}, {"index": SPACE.size - 1}, {"index": 0}]
    assert look_up(trace, made_up()) == {"cifar10": [10, 90, 10], "cifar100": [90, 10, 90]}
    assert look_up([], made_up()) == {}
