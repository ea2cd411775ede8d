"""Tables in CSV files: how they are read, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.load import load_table
from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.nas_bench_201.encoding import SIZE, cell_at, to_string
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support.studies import ALL_CONV3, ALL_SKIP

SPACE = NASBench201()
HEADER = "cifar10_test,cifar100_test,imagenet16_120_test,architecture,canonical"
SKIP_ROW = f"54.3,15.6,16.3,{to_string(ALL_SKIP)},0+0"
CONV_ROW = f"93.8,71.1,41.4,{to_string(ALL_CONV3)},x"


@pytest.fixture(scope="module")
def made_up() -> TabularBenchmark:
    draw = np.random.default_rng(0)
    columns = {
        (name, "test_accuracy"): draw.uniform(0, 100, SIZE) for name in ("cifar10", "cifar100", "ImageNet16-120")
    }
    return TabularBenchmark("made-up", SPACE.name, columns, {})


def rows(table: TabularBenchmark) -> list[str]:
    """Its rows in the form of the tests' CSV files, in random order."""
    lines = [
        ",".join([*(repr(value) for value in table.query(row).values()), to_string(cell_at(row)), "-"])
        for row in range(SIZE)
    ]
    random.Random(0).shuffle(lines)
    return lines


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def assert_same(table: TabularBenchmark, other: TabularBenchmark) -> None:
    assert list(table.columns) == list(other.columns)
    for key, column in table.columns.items():
        assert np.array_equal(column, other.columns[key])


def test_the_architecture_decides_the_row(made_up: TabularBenchmark, tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", HEADER, *rows(made_up))
    table = load_table(file, SPACE)
    assert table.datasets == ["cifar10", "cifar100", "ImageNet16-120"]
    assert_same(table, made_up)
    assert (table.name, table.space) == ("mine", "nas-bench-201")
    assert table.provenance == {
        "name": "mine",
        "description": "Test accuracies read from the file mine.csv.",
        "source": "mine.csv",  # and not its folder: a table moved is the same table
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def test_files_as_spreadsheets_write_them(made_up: TabularBenchmark, tmp_path: Path) -> None:
    lines = ['"' + line.replace(",", '","') + '"' for line in [HEADER, *rows(made_up)]]
    file = tmp_path / "mine.csv"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", ""]).encode())
    assert_same(load_table(file, SPACE), made_up)


def test_any_dataset_in_any_order_and_other_columns(made_up: TabularBenchmark, tmp_path: Path) -> None:
    lines = [
        "note,architecture,SVHN_test,CIFAR-100_test,cifar10_valid",
        *(f"n,{line.split(',')[3]},{line.split(',')[0]},{line.split(',')[1]},x" for line in rows(made_up)),
    ]
    table = load_table(write(tmp_path / "mine.csv", *lines), SPACE)
    assert table.datasets == ["SVHN", "cifar100"]
    assert np.array_equal(table.test_accuracy("SVHN"), made_up.test_accuracy("cifar10"))
    assert np.array_equal(table.test_accuracy("cifar100"), made_up.test_accuracy("cifar100"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["cifar10_test,arch", "9,x"], "line 1: no column is called 'architecture'; .* 'cifar10_test, arch'"),
        (["architecture,architecture,a_test"], "line 1: more than one column is called 'architecture'"),
        (["architecture,canonical,_test"], "line 1: no column of test accuracies, such as 'cifar10_test'"),
        (["cifar10_test,CIFAR-10_test,architecture"], "line 1: columns .* are both of cifar10"),
        ([""], "line 1: no column is called 'architecture'"),
        ([HEADER, SKIP_ROW, CONV_ROW.replace("conv_3x3~1", "conv_5x5~1")], "line 3: not a NAS.*expected an operation"),
        ([HEADER, "1,2,3,,"], "line 2: not a NAS-Bench-201 architecture: expected '|' .* at character 0 of ''"),
        ([HEADER, SKIP_ROW, CONV_ROW, SKIP_ROW], r"line 4: the same cell as in line 2: \|skip_connect~0\|"),
        ([HEADER, SKIP_ROW], r"lacks 15,624 of the 15,625 cells of nas-bench-201, for example \|"),
        ([HEADER], "lacks 15,625 of the 15,625 cells"),
        ([HEADER, SKIP_ROW, "", CONV_ROW.replace("71.1", "good")], "line 4: cifar100_test is 'good', not a number"),
        ([HEADER, CONV_ROW.replace("41.4", "")], "line 2: imagenet16_120_test is '', not a number"),
        ([HEADER, CONV_ROW.replace("41.4", "nan")], "is 'nan', not a number between 0 and 100"),
        ([HEADER, CONV_ROW.replace("41.4", "inf")], "is 'inf', not a number between 0 and 100"),
        ([HEADER, CONV_ROW.replace("41.4", "-0.1")], "is '-0.1', not a number between 0 and 100"),
        ([HEADER, CONV_ROW.replace("41.4", "100.1")], "is '100.1', not a number between 0 and 100"),
        ([HEADER, CONV_ROW.replace("41.4", "9" * 5000)], r"is '9+\.\.\.', not a number between 0 and 100"),
        ([HEADER, "54,3;" + SKIP_ROW], "line 2: 6 fields where the header has 5"),
        ([HEADER, SKIP_ROW, '"' + CONV_ROW], "line 3: not valid CSV"),
        ([HEADER, CONV_ROW.replace("x", "x" * 200_000)], "line 2: not valid CSV .*field"),
        (["<!DOCTYPE html>", "<html>"], "line 1: no column is called 'architecture'; .*'<!DOCTYPE html>'"),
    ],
)
def test_the_fault_of_a_csv_file_is_said_in_one_line(tmp_path: Path, lines: list[str], said: str) -> None:
    file = write(tmp_path / "mine.csv", *lines)
    with pytest.raises(HarnessError, match=said) as caught:
        load_table(file, SPACE)
    message = str(caught.value)
    assert message.startswith(f"the table {file}")
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (f"{HEADER}\n{SKIP_ROW}\n".encode() + b"\xe9,", "line 3: not UTF-8 text"),
        (HEADER.encode("utf-16"), "line 1: not UTF-8 text"),
        (HEADER.encode("utf-16-le"), "line 1: not text but binary"),
        (pickle.dumps({"a": 1.0}), "line 1: not UTF-8 text"),
        (b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl", "line 1: not text but binary"),
        (b"PAR1\x15\x04\x15\x00", "line 1: not text but binary"),
        (HEADER.replace(",", "\r").encode(), "line 1: not valid CSV|line 1: no column"),
        (b"\x1b[2J\n", r"line 1: no column is called 'architecture'; the columns are '\\x1b\[2J'"),
    ],
    ids=["empty", "latin-1", "utf-16", "utf-16-le", "pickle", "zip", "parquet", "carriage returns", "escapes"],
)
def test_what_is_no_csv_file_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(content)
    with pytest.raises(HarnessError, match=said) as caught:
        load_table(file, SPACE)
    assert str(file) in str(caught.value)
    assert str(caught.value).isprintable()


def test_fractions_are_not_taken_for_percentages(made_up: TabularBenchmark, tmp_path: Path) -> None:
    fractions = [f"{float(line.partition(',')[0]) / 100},{line.partition(',')[2]}" for line in rows(made_up)]
    with pytest.raises(HarnessError, match="no accuracy above 1 in cifar10_test; it takes percentages"):
        load_table(write(tmp_path / "mine.csv", HEADER, *fractions), SPACE)


@pytest.mark.parametrize("name", ["gone.csv", "."])
def test_no_file_or_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match=r"^cannot read a table from \S+ \(.+\); give the path of a CSV file"):
        load_table(tmp_path / name, SPACE)
