"""Importing benchmarks: what is refused, and that nothing in it runs."""

from __future__ import annotations

import bz2
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.benchmark_import.nats_bench import read_record
from harness.errors import HarnessError
from tests.support import nb201_files as files
from tests.support.table_imports import refused


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
    monkeypatch.setattr("harness.benchmark_import.nats_bench.LIMIT", 10_000)
    with pytest.raises(HarnessError, match="expands to more than 10,000 bytes"):
        read_record(nats, 0)
