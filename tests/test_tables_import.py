"""Importing benchmarks: agreement with the packages that wrote them, and what is refused."""

from __future__ import annotations

import bz2
import contextlib
import errno
import functools
import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_201_api import NASBench201API
from nats_bench.api_topology import NATStopology

from harness.errors import HarnessError
from harness.tables import EMBEDDED, Table, load_table, table_reference
from harness.tables.importing import import_table
from harness.tables.nats import TRUSTED_SEED, read_nats, read_record
from harness.tables.official import read_official
from harness.tables.opcodes import PickleReader
from harness.tables.store import stored_tables
from harness.tables.trials import DATASETS, MARKS, Collector, Columns, condense
from spaces.nas_bench_201.space import NASBench201
from tests import nb201_files as files

ROOT = Path(__file__).parent.parent
REAL = Path(os.environ.get("HARNESS_DATA_DIR") or ROOT.parent / "shared" / "data") / "nats-bench"
SPACE = files.SmallSpace()
Oracle = NASBench201API | NATStopology


def silent(count: int) -> None:
    """Shows no progress."""


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of tables."""
    folder = tmp_path / "tables"
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The same benchmark in both formats of torch.save: since 1.6 or before."""
    folder, content = tmp_path_factory.mktemp("official"), files.official()
    return {new: files.write_official(folder / f"{new}.pth", content, new) for new in (True, False)}


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write_nats(tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple")


def left_in(folder: Path) -> list[str]:
    """Whatever an import has left in a folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refused(path: Path, space: NASBench201 = SPACE) -> str:
    """The message with which an import ends; it is one line and leaves nothing behind."""
    with pytest.raises(HarnessError) as caught:
        import_table(path, space, "mine")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    assert left_in(Path(os.environ["HARNESS_TABLES_DIR"])) == []
    return message


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
    loaded = PickleReader(io.BytesIO(pickle.dumps(record, 2)).read, "it", MARKS, condense).load()
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
    for table in (load_table(None, NASBench201()), Table("mine", "s", {("a", "test_accuracy"): np.zeros(3)}, {})):
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


# Refused


class Call:
    """Pickles as a call, made when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[tuple[Call, Path]]:
    """What creates a file if it is run, and the file."""
    created = tmp_path / "created"
    yield Call(os.system, f"touch {created}"), created
    assert not created.exists()


Bait = tuple[Call, Path]


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("place", ["whole", "curve", "end"])
def test_a_hostile_official_file_runs_nothing(bait: Bait, tmp_path: Path, new: bool, place: str) -> None:
    call, created = bait
    content: Any = files.official()
    if place == "whole":
        content = call
    elif place == "curve":
        next(iter(content["arch2infos"][3]["full"]["all_results"].values()))["train_losses"][7] = call
    else:
        content["evaluated_indexes"] = [call]
    path = files.write_official(tmp_path / "hostile.pth", content, new)
    torch.load(path, weights_only=False)
    assert created.exists()  # a plain load runs it
    created.unlink()
    assert "was refused: it is a pickle that wants to run 'posix.system'" in refused(path)


@pytest.mark.parametrize("name", ["meta", "000002"])
def test_a_hostile_nats_bench_folder_runs_nothing(bait: Bait, tmp_path: Path, name: str) -> None:
    call, created = bait
    folder = files.write_nats(tmp_path / "NATS")
    files.compress(folder / f"{name}.pickle.pbz2", {"meta_archs": [call], "12": call})
    pickle.loads(bz2.decompress((folder / f"{name}.pickle.pbz2").read_bytes()))
    assert created.exists()
    created.unlink()
    assert f"{name}.pickle.pbz2 was refused: it is a pickle that wants to run 'posix.system'" in refused(folder)


@pytest.mark.parametrize("new", [True, False])
def test_a_truncated_official_file_is_called_that(official: dict[bool, Path], tmp_path: Path, new: bool) -> None:
    content = official[new].read_bytes()
    for length in [1, 5, 30, 300, *np.linspace(2000, len(content) - 1, 8, dtype=int).tolist()]:
        path = tmp_path / "short.pth"
        path.write_bytes(content[:length])
        assert refused(path).startswith(f"the file {path} is ")


def test_a_changed_byte_in_a_zip_is_found(official: dict[bool, Path], tmp_path: Path) -> None:
    content = bytearray(official[True].read_bytes())
    place = content.index(b"x-valid@3") + 40
    content[place : place + 400] = bytes(400)
    path = tmp_path / "changed.pth"
    path.write_bytes(content)
    assert refused(path).startswith(f"the file {path} is damaged")


def test_a_name_that_claims_another_digest(official: dict[bool, Path], tmp_path: Path) -> None:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    path.write_bytes(official[True].read_bytes())
    assert "is damaged or changed: its name says that its MD5 ends with 096897" in refused(path)


def without(content: dict[str, Any], *keys: Any) -> dict[str, Any]:
    """The content of a file, without what lies at the end of the keys."""
    inner: Any = content
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return content


def changed(content: dict[str, Any], value: Any, *keys: Any) -> dict[str, Any]:
    """The content of a file, with another value there."""
    inner: Any = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return content


FIRST = ("arch2infos", 0, "full", "all_results", ("cifar100", 777))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1.0, 2.0], "is not NAS-Bench-201: it has no 'meta_archs' and 'arch2infos'"),
        (without(files.official(), "arch2infos"), "is not NAS-Bench-201"),
        (changed(files.official(), None, "arch2infos"), "is not NAS-Bench-201"),
        (files.official(size=5), "of another space: it lists 5 architectures, and nas-bench-201 has 6"),
        (changed(files.official(), "64:64:64:64:64", "meta_archs", 0), "architecture 0 is '64:64:64:64:64'"),
        (changed(files.official(), [["a"]], "meta_archs", 4), "its architecture 4 is a list"),
        (files.official(rows=[0, 1, 4]), r"holds 3 of the 6 architectures .* \|\S+ is not there"),
        (without(files.official(), "arch2infos", 2, "less"), "version not known here: .* no 'full' and 'less'"),
        (without(files.official(), *FIRST, "eval_losses"), "wrong record of architecture 0: it has no 'fields'"),
        (changed(files.official(), 100, *FIRST, "epochs"), "of architecture 0: trained for 100 epochs where 200"),
        (changed(files.official(), 10**12, *FIRST, "epochs"), "is damaged or of another format"),
        (changed(files.official(), "99", *FIRST, "epochs"), "trained for 99 epochs"),
        (changed(files.official(), 101.0, *FIRST, "eval_acc1es", "x-test@199"), "x-test_accuracy 101 on cifar100"),
        (changed(files.official(), files.NAMES[9], "arch2infos", 1, "full", "arch_str"), "architecture 1: it is call"),
        (changed(files.official(), {}, "arch2infos", 1, "full", "all_results"), "lacks test accuracies after 200"),
        (changed(files.official(), 7, "arch2infos", 1, "full"), "wrong record of architecture 1"),
    ],
)
def test_the_fault_of_a_file_is_said_in_one_line(tmp_path: Path, content: Any, said: str) -> None:
    path = files.write_official(tmp_path / "wrong.pth", content)
    message = refused(path)
    assert message.startswith(f"the file {path} ")
    assert re.search(said, message), message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.pth", b"", "is empty"),
        ("text.pth", b"architecture,cifar10_test\n", "is no file of torch.save: it begins with b'arch'"),
        ("pickle.pth", pickle.dumps({"a": 1}), "is a pickle, but not one of torch.save"),
        ("zip.npz", b"PK\x03\x04" + bytes(100), "is damaged or cut short"),
        ("mine.parquet", b"PAR1", "is a table already; use it as it is, with --table PATH"),
        ("mine.csv", b"", "is empty"),
        ("mine.pbz2", bz2.compress(b"x"), "is a compressed file; of NATS-Bench, give the folder"),
    ],
)
def test_what_is_no_benchmark(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert said in refused(path)


def test_another_version_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1002, 2))
    assert "is of version 1002 of torch.save's format" in refused(path)


def test_zip_files_that_torch_does_not_write(tmp_path: Path) -> None:
    for names, how in ((["a/other"], zipfile.ZIP_STORED), (["a/data.pkl"], zipfile.ZIP_DEFLATED)):
        path = tmp_path / "zip.pth"
        with zipfile.ZipFile(path, "w", how) as archive:
            for name in names:
                archive.writestr(name, pickle.dumps({}))
        assert "is a zip file, but not one of torch.save" in refused(path)


def test_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.pth").startswith(f"cannot read a table from {tmp_path / 'gone.pth'} (No such file")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("000001", None, "holds 5 of the 6 architectures of nas-bench-201; .*: unpack the whole archive"),
        ("meta", None, "is not NATS-Bench's topology space: it lacks meta.pickle.pbz2"),
        ("000006", b"", "of another space: nas-bench-201 has 6 architectures"),
        ("000002", b"", "000002.pickle.pbz2 is empty"),
        ("000002", bz2.compress(b"x" * 9)[:20], "000002.pickle.pbz2 is cut short"),
        ("000002", pickle.dumps({}), "000002.pickle.pbz2 is damaged or no bz2 file"),
        ("000002", bz2.compress(pickle.dumps({"01": {}, "12": {}, "90": {}})), "of a version not known here"),
        ("000002", bz2.compress(pickle.dumps({"12": {}, "200": {}})), "architecture 2: it has no 'arch_str'"),
        ("meta", bz2.compress(pickle.dumps({"meta_archs": files.NAMES})), "it lists 15,625 architectures"),
        ("meta", bz2.compress(pickle.dumps([])), "of another space: it lists 0 architectures"),
    ],
)
def test_the_fault_of_a_folder_is_said_in_one_line(
    nats: Path, tmp_path: Path, file: str, content: bytes | None, said: str
) -> None:
    folder = tmp_path / "NATS"
    folder.mkdir()
    for path in nats.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / f"{file}.pickle.pbz2"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    message = refused(folder)
    assert re.search(said, message), message


def test_a_file_that_expands_without_end(nats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.tables.nats.LIMIT", 10_000)
    with pytest.raises(HarnessError, match="expands to more than 10,000 bytes"):
        read_record(nats, 0)


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

    for target in ("os.fsync", "harness.tables.trials.Collector.add"):
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


# The reader of pickles

ATOMS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20)
PLAIN = st.recursive(
    ATOMS
    | st.binary(min_size=1, max_size=8)
    | st.dictionaries(st.text(max_size=17) | st.integers(0, 300), st.floats(allow_nan=False)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.tuples(ATOMS, ATOMS), inner, max_size=4)
    ),
    max_leaves=20,
)


def read(content: bytes) -> Any:
    return PickleReader(io.BytesIO(content).read, "the file x").load()


@settings(deadline=None)
@given(PLAIN, st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_through(value: Any, protocol: int) -> None:
    assert read(pickle.dumps([value, value], protocol)) == [value, value]


def test_long_curves_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"{name}@{epoch}" for name in ("x-valid", "ori-test") for epoch in range(200)]
    curves = [{key: index / 7 + number for index, key in enumerate(keys)} for number in range(3)]
    value = [curves, [dict(enumerate(curve.values())) for curve in curves], np.float64(1.5), np.float32(0.25), {1, "a"}]
    for protocol in (2, 3, 4):
        for window in (2**22, 1000, 7):
            monkeypatch.setattr("harness.tables.opcodes.WINDOW", window)
            assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_truncated_pickle_is_called_damaged(protocol: int) -> None:
    content = pickle.dumps([{"x-valid@3": 3.5, "b": 1.0}, {1: 2.0, 3: 4.0}, (1, "four"), np.float64(2)], protocol)
    for length in range(len(content)):
        with pytest.raises(HarnessError, match=r"^the file x is damaged or of another format \([^\n]+\)$"):
            read(content[:length])


@settings(deadline=None)
@given(st.data())
def test_changed_bytes_give_a_value_or_one_line(data: st.DataObject) -> None:
    content = bytearray(
        pickle.dumps([{"x-valid@3": 3.5, "b": [1.0]}, {1: 2.0}, np.float64(2), {"s"}], data.draw(st.integers(2, 5)))
    )
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HarnessError):
        read(bytes(content))


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}" + b")" + b"\x85" * 10**5 + b"Ns.",
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
        b"\x80\x02X\x01\x00\x00\x00a)R.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        b"\x80\x02ccollections\nOrderedDict\n}b.",
        b"(ios\nsystem\n.",
        b"\x80\x02c" + b"a" * 2000,
        b"\x80\x02}e.",
        b"\x80\x02]K\x01K\x02s.",
    ],
)
def test_pickles_made_to_break_a_reader(content: bytes) -> None:
    with pytest.raises(HarnessError, match=r"^the file x is damaged or of another format"):
        read(content)


def test_large_dicts_are_let_go_and_small_ones_kept() -> None:
    records = [{"curve": dict.fromkeys(range(20), 1.0), "small": {"a": 1.0}, "sum": number} for number in range(99)]

    def condense(record: dict[Any, Any]) -> None:
        del record["curve"]

    def load(value: Any) -> Any:
        reader = PickleReader(
            io.BytesIO(pickle.dumps(value, 2)).read, "the file x", frozenset({"curve", "sum"}), condense
        )
        return reader.load()

    assert load([*records, records[0]["small"]])[-1] == {"a": 1.0}
    assert load(records)[98] == {"small": {"a": 1.0}, "sum": 98}
    assert load([*records, records[90]["curve"]])[-1] == records[90]["curve"]
    with pytest.raises(HarnessError, match="refers back to a record read long before"):
        load([*records, records[0]["curve"]])


def test_a_table_is_read_without_pandas(official: dict[bool, Path], tables: Path) -> None:
    """It takes longer to import than the table to load."""
    import_table(official[True], SPACE, "mine")
    code = (
        "import sys; from harness.tables import load_table; from tests.nb201_files import SmallSpace; "
        "load_table('mine', SmallSpace()).test_accuracy('cifar10'); print('pandas' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert done.stdout.strip() == "False"
