"""Importing benchmarks: agreement with the packages that wrote them, and what is stored."""

from __future__ import annotations

import errno
import functools
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nas_201_api import NASBench201API
from nats_bench.api_topology import NATStopology

from harness.benchmark_import.importing import import_table
from harness.benchmark_import.nas_bench_201 import read_official
from harness.benchmark_import.nats_bench import TRUSTED_SEED, read_nats, read_record
from harness.benchmark_import.pickle_stream import PickleReader
from harness.benchmark_import.records import DATASETS, MARKS, Collector, Columns, summarize_record
from harness.benchmarks.load import load_table, table_reference
from harness.benchmarks.store import stored_tables
from harness.benchmarks.table import EMBEDDED, TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support import nb201_files as files
from tests.support.paths import DATA, printed
from tests.support.table_imports import SPACE, left_in, refused

REAL = DATA / "nats-bench"
Oracle = NASBench201API | NATStopology


def silent(count: int) -> None:
    """Shows no progress."""


# Agreement with the packages


@pytest.fixture
def old_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.load as it was before torch 2.6, which the package relies on."""
    monkeypatch.setattr(torch, "load", functools.partial(torch.load, weights_only=False))


def assert_agrees(columns: Columns, oracle: Oracle, row: int, dataset: str, hp: str) -> None:
    """A row of the columns of one dataset and budget, by every answer of the package."""
    halved = "cifar10-valid" if dataset == "cifar10" else dataset
    suffix = "" if hp == "200" else f"@{hp}"

    def ours(metric: str, seed: int | None = None) -> float:
        return float(columns[dataset, f"{metric}@{hp}/{seed}" if seed else f"{metric}{suffix}"][row])

    def theirs(seed: int | bool) -> dict[str, float]:
        tested = oracle.get_more_info(row, dataset, None, hp, seed)
        validated = oracle.get_more_info(row, halved, None, hp, seed)
        return {
            "test_accuracy": tested["test-accuracy"],
            "test_loss": tested["test-loss"],
            "train_accuracy": tested["train-accuracy"],
            "train_loss": tested["train-loss"],
            "train_seconds": tested["train-all-time"],
            "valid_accuracy": validated["valid-accuracy"],
            "valid_loss": validated["valid-loss"],
            "valid_seconds": validated["train-all-time"] + validated["valid-per-time"],
        }

    for metric, value in theirs(False).items():
        assert ours(metric) == pytest.approx(value, rel=1e-12)
    trainings = oracle.query_by_index(row, dataset, hp)
    validated_trainings = oracle.query_by_index(row, halved, hp)
    for seed in set(trainings) & set(validated_trainings):
        for metric, value in theirs(seed).items():
            assert ours(metric, seed) == pytest.approx(value, rel=1e-12)
    for seed, training in trainings.items():
        name = "ori-test" if dataset == "cifar10" else "x-test"
        assert ours("test_accuracy", seed) == training.get_eval(name)["accuracy"]
        assert ours("train_loss", seed) == training.get_train()["loss"]
    chosen = oracle.get_more_info(row, halved, None, hp, True)["valid-accuracy"]  # of a seed drawn at random
    assert chosen in [ours("valid_accuracy", seed) for seed in validated_trainings]
    recorded = {name for owner, name in columns if owner == dataset and name.startswith(f"valid_accuracy@{hp}/")}
    for name in recorded - {f"valid_accuracy@{hp}/{seed}" for seed in validated_trainings}:
        assert np.isnan(columns[dataset, name][row])
    if hp == "200":
        cost = oracle.get_cost_info(row, dataset, hp)
        assert ours("parameters") == pytest.approx(cost["params"] * 1e6, abs=0.5)
        assert ours("flops") == pytest.approx(cost["flops"] * 1e6, abs=0.5)
        assert ours("latency") == pytest.approx(cost["latency"], rel=1e-12)
        assert ours("train_seconds") == pytest.approx(cost["T-train@total"], rel=1e-12)


@pytest.mark.parametrize("new", [True, False], ids=["since torch 1.6", "before torch 1.6"])
def test_the_official_file_answers_as_its_package_does(
    official: dict[bool, Path], new: bool, old_load: None, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = read_official(official[new], SPACE, silent).columns()
    oracle = NASBench201API(str(official[new]), verbose=False)
    for row in range(SPACE.size):
        for dataset in DATASETS:
            for hp in ("12", "200"):
                assert_agrees(columns, oracle, row, dataset, hp)


def test_a_nats_bench_folder_answers_as_its_package_does(nats: Path) -> None:
    columns = read_nats(nats, SPACE, silent)[0].columns()
    oracle = NATStopology(str(nats), fast_mode=True, verbose=False)
    for row in range(SPACE.size):
        for dataset in DATASETS:
            for hp in ("12", "200"):
                assert_agrees(columns, oracle, row, dataset, hp)


def test_real_records_of_nats_bench() -> None:
    folder = REAL / "NATS-tss-v1_0-3ffb9-simple"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set HARNESS_DATA_DIR")
    collector = Collector(NASBench201(), "NATS-Bench", TRUSTED_SEED)
    oracle = NATStopology(str(folder), fast_mode=True, verbose=False)
    for row in (0, 11, 284):
        collector.add(row, read_record(folder, row))
    columns = collector.columns()
    for row in (0, 11, 284):
        for dataset in DATASETS:
            for hp in ("12", "200"):
                assert_agrees(columns, oracle, row, dataset, hp)
    assert columns["cifar10", "valid_accuracy@12/111"][0] == pytest.approx(64.016, abs=1e-6)
    assert columns["cifar10", "test_accuracy@200/888"][0] == pytest.approx(86.18, abs=1e-6)
    assert columns["cifar100", "parameters"][0] == 135_156
    assert "holds 3 of the 15,625 architectures of nas-bench-201" in refused(folder, NASBench201())


def test_trainings_that_disagree_on_flops() -> None:
    """As nats-bench repairs it: where the numbers differ, seed 888 is right."""
    draw = files.random.Random(0)
    record = files.results(0, 200, dict.fromkeys(files.SETS, (777, 888)), draw)
    for (_, seed), trial in record["all_results"].items():
        trial["flop"] = 15.5 if seed == 888 else 31.0
    loaded = PickleReader(io.BytesIO(pickle.dumps(record, 2)).read, "it", MARKS, summarize_record).load()
    for trusted, expected in ((TRUSTED_SEED, 15_500_000), (None, 23_250_000)):
        collector = Collector(SPACE, "it", trusted)
        collector.add(0, {200: loaded})
        assert collector.columns()["cifar100", "flops"][0] == expected


# Imported, stored, loaded


def test_a_stored_table_is_what_was_read(official: dict[bool, Path], tables: Path) -> None:
    columns = read_official(official[True], SPACE, silent).columns()
    table, file = import_table(official[True], SPACE, "mine")
    assert left_in(tables) == [file.name] == ["mine.parquet"]
    for source in ("mine", str(file)):
        loaded = load_table(source, SPACE)
        assert loaded.datasets == list(DATASETS)
        assert list(loaded.columns) == list(columns)
        assert all(np.array_equal(loaded.columns[key], column, equal_nan=True) for key, column in columns.items())
        assert loaded.provenance == table.provenance
        assert loaded.query(3).keys() == columns.keys()
    assert table_reference("mine") == "mine"
    assert table_reference(EMBEDDED) is None
    assert table_reference("mine.csv") == str(Path("mine.csv").absolute())


def test_provenance_says_what_was_imported(official: dict[bool, Path], nats: Path) -> None:
    facts = import_table(official[True], SPACE)[0].provenance
    assert (facts["name"], facts["source"], facts["licence"]) == ("True", "True.pth", "MIT")
    assert facts["version"] == "none that was published"
    assert len(bytes.fromhex(facts["sha256"])) == 32
    facts = import_table(nats, SPACE)[0].provenance
    assert facts["name"] == facts["source"] == "NATS-tss-v1_0-3ffb9-simple"
    assert facts["version"] == "1.0"
    assert set(facts) == {"name", "description", "source", "sha256", "version", "licence", "date"}
    assert list(stored_tables()) == ["NATS-tss-v1_0-3ffb9-simple", "True"]


def test_the_first_version_has_no_test_accuracy_at_12_epochs(tmp_path: Path) -> None:
    content = files.official()
    for record in content["arch2infos"].values():
        less = record["less"]
        less["all_results"] = {key: value for key, value in less["all_results"].items() if key[0] == "cifar10-valid"}
    table = import_table(files.write_official(tmp_path / "first.pth", content), SPACE)[0]
    assert table.valid_accuracy("cifar10", 12).shape == (SPACE.size,)
    with pytest.raises(HarnessError, match=r"^the table first has no test_accuracy@12 on cifar10: it has test_acc"):
        table.column("cifar10", "test_accuracy@12")


def test_validation_is_never_taken_from_test() -> None:
    for table in (
        load_table(None, NASBench201()),
        TabularBenchmark("mine", "s", {("a", "test_accuracy"): np.zeros(3)}, {}),
    ):
        dataset = table.datasets[0]
        with pytest.raises(
            HarnessError, match=rf"^the table {table.name} has no valid_accuracy on {dataset}: it has tes"
        ):
            table.valid_accuracy(dataset)
    with pytest.raises(HarnessError, match=r"has no test_accuracy on b: its datasets are a$"):
        table.test_accuracy("b")


def test_trained_weights_in_a_file_are_ignored(tmp_path: Path) -> None:
    content = files.official()
    weights = {"stem.weight": torch.ones(3, 2), "count": torch.zeros(1, dtype=torch.long)}
    for trial in content["arch2infos"][2]["full"]["all_results"].values():
        trial["net_state_dict"] = weights
    for new in (True, False):
        path = files.write_official(tmp_path / f"{new}.pth", content, new)
        assert read_official(path, SPACE, silent).columns().keys()


# Stored whole or not at all


def test_a_full_disk_leaves_nothing(official: dict[bool, Path], monkeypatch: pytest.MonkeyPatch, tables: Path) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = refused(official[True])
    assert message.startswith(f"cannot store a table as {tables / 'mine.parquet'} (No space left on device); make room")


def test_an_interrupt_leaves_nothing(official: dict[bool, Path], monkeypatch: pytest.MonkeyPatch, tables: Path) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for target in ("os.fsync", "harness.benchmark_import.records.Collector.add"):
        with monkeypatch.context() as patch:
            patch.setattr(target, interrupt)
            with pytest.raises(KeyboardInterrupt):
                import_table(official[True], SPACE, "mine")
        assert left_in(tables) == []


def test_a_table_is_never_replaced(official: dict[bool, Path], tables: Path) -> None:
    file = import_table(official[True], SPACE, "mine")[1]
    before = file.read_bytes()
    with pytest.raises(HarnessError, match=r"^there is a table mine already; give another name with --name, or delete"):
        import_table(Path("gone.pth"), SPACE, "mine")
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be(official: dict[bool, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(tmp_path / "file" / "tables"))
    with pytest.raises(
        HarnessError, match=r"^cannot store a table as .* choose another folder with HARNESS_TABLES_DIR$"
    ):
        import_table(official[True], SPACE)


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b", "mine.csv", "mine.parquet", EMBEDDED, "a\n"])
def test_names_that_no_table_can_have(official: dict[bool, Path], name: str) -> None:
    with pytest.raises(HarnessError, match="cannot be the name of a table"):
        import_table(official[True], SPACE, name)


def test_damaged_and_foreign_parquet_files(official: dict[bool, Path], tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    good = import_table(official[True], SPACE, "mine")[1].read_bytes()
    path = tmp_path / "x.parquet"

    def fault(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(HarnessError) as caught:
            load_table(path, SPACE).test_accuracy("cifar10")
        assert str(caught.value).isprintable()
        return str(caught.value)

    for content in (b"", b"PAR1", good[:-1], good[:5000], good[:50] + bytes(2000) + good[2050:]):
        assert fault(content).startswith(f"cannot read the table {path} (")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1.0]}), path)
    assert fault(path.read_bytes()) == f"{path} is a Parquet file, but not a table of this harness"
    table = pyarrow.parquet.read_table(io.BytesIO(good))
    for facts, said in (
        (b'{"schema": 2}', f"the table {path} is of version 2, which is not known here"),
        (b'{"schema": 1, "space": "other", "provenance": {}}', f"the table {path} is of other, not nas-bench-201"),
        (b"[]", f"{path} is a Parquet file, but not a table of this harness"),
    ):
        pyarrow.parquet.write_table(table.replace_schema_metadata({"nas-harness": facts}), path)
        assert fault(path.read_bytes()) == said
    place = table.schema.get_field_index("cifar10:test_accuracy")
    wrong = table.set_column(place, "cifar10:test_accuracy", [[101.0] * SPACE.size])
    pyarrow.parquet.write_table(wrong, path)
    assert "values that are not between 0 and 100" in fault(path.read_bytes())
    for column in ([1, 2, 3, 4, 5, 6], [None, *[1.0] * 5]):
        pyarrow.parquet.write_table(table.set_column(place, "cifar10:test_accuracy", [column]), path)
        assert "does not hold a number in every row" in fault(path.read_bytes())


def test_a_table_is_read_without_pandas(official: dict[bool, Path], tables: Path) -> None:
    """It takes longer to import than the table to load."""
    import_table(official[True], SPACE, "mine")
    code = (
        "import sys; from harness.benchmarks.load import load_table; from tests.support.nb201_files import SmallSpace; "
        "load_table('mine', SmallSpace()).test_accuracy('cifar10'); print('pandas' in sys.modules)"
    )
    assert printed(code) == "False"
