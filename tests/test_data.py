"""Data sets as a user has them on disk: official formats, made by hand and small, and everything that can be wrong."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data import DATASETS, DatasetInfo, data_directory, load_test_set, load_training_set, names
from harness.data.cifar import read_records
from harness.data.digits import held_out
from harness.data.files import locate
from harness.data.imagenet16 import read_batches
from harness.data.info import Archive
from harness.errors import HarnessError

ROOT = Path(__file__).parent.parent
CIFAR10, CIFAR100, IMAGENET16 = DATASETS["cifar10"], DATASETS["cifar100"], DATASETS["imagenet16-120"]
EACH = 4
"""Records in each file of the small CIFAR sets below."""


def record(label: bytes, red: int = 1, green: int = 2, blue: int = 3) -> bytes:
    """One image of one colour."""
    return label + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def publish(monkeypatch: pytest.MonkeyPatch, info: DatasetInfo, contents: dict[str, bytes], images: int) -> DatasetInfo:
    """Make these files the published ones of a data set."""
    files = {name: sha256(content) for name, content in contents.items()}
    changed = replace(info, training_files=files, training_images=images)
    monkeypatch.setitem(DATASETS, info.name, changed)
    return changed


def store(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def failure(name: str, directory: Path, **options: Any) -> str:
    """The message of a load that fails, which must be one line."""
    with pytest.raises(HarnessError) as caught:
        load_training_set(name, directory, **{"download": False, **options})
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def contents() -> dict[str, bytes]:
    """CIFAR-10 in small: file f has the labels f to f + 3, and red counts the images."""
    return {
        name: b"".join(record(bytes([file + i]), red=EACH * file + i) for i in range(EACH))
        for file, name in enumerate(CIFAR10.training_files)
    }


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes]) -> DatasetInfo:
    return publish(monkeypatch, CIFAR10, contents, EACH * len(contents))


class TestCatalogue:
    def test_listing_data_sets_imports_neither_torch_nor_numpy(self) -> None:
        code = "import sys, harness.data; print(harness.data.names(), {'torch', 'numpy', 'pooch'} & set(sys.modules))"
        printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert printed.stdout.strip() == f"{names()} set()"

    def test_unknown_name_lists_the_valid_ones(self, tmp_path: Path) -> None:
        message = failure("cifar-10", tmp_path)
        assert "did you mean 'cifar10'" in message
        assert all(name in message for name in names())

    def test_directory_is_as_given_else_the_variable_else_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
        assert data_directory(None) == Path("data")
        monkeypatch.setenv("HARNESS_DATA_DIR", "elsewhere")
        assert data_directory(None) == Path("elsewhere")
        assert data_directory("here") == Path("here")


class TestDigits:
    def test_every_image_of_scikit_learn_once_in_its_order(self) -> None:
        from sklearn.datasets import load_digits

        original = load_digits()
        exact = torch.nn.functional.interpolate(
            torch.from_numpy(original.images)[:, None] * (255 / 16), scale_factor=4, mode="bilinear"
        )
        info, test = DATASETS["digits"], held_out(len(original.target))
        for digits, part, count in (
            (load_training_set("digits"), ~test, info.training_images),
            (load_test_set("digits"), test, info.test_images),
        ):
            assert digits.images.shape == (count, 3, 32, 32)
            assert (digits.images.dtype, digits.labels.dtype) == (torch.uint8, torch.int64)
            assert (digits.classes, digits.warning) == (10, "")
            assert np.array_equal(digits.labels.numpy(), original.target[part])
            assert torch.equal(digits.images[:, 0], digits.images[:, 1])
            assert torch.equal(digits.images[:, 0], digits.images[:, 2])
            assert (digits.images[:, :1] - exact[torch.from_numpy(part)]).abs().max() <= 0.5 + 1e-9
            assert (digits.images.min().item(), digits.images.max().item()) == (0, 255)

    def test_no_image_is_in_both_parts_and_every_class_is(self) -> None:
        training, test = load_training_set("digits"), load_test_set("digits")
        assert not {image.numpy().tobytes() for image in test.images} & {
            image.numpy().tobytes() for image in training.images
        }
        assert torch.bincount(test.labels).min() >= 27  # of about 36
        assert len(test.labels) + len(training.labels) == 1797

    def test_digests_are_the_same_on_every_machine(self) -> None:
        digest = load_training_set("digits").digest
        assert digest == "20059f1d64e41c418e1584c43d058dc17173c98372c07aac9793df8eb5af7bc3"
        digest = load_test_set("digits").digest
        assert digest == "e18682e43afc4882dcdf74d17e7fadcfb3dad5d227a9573bd445070fd4669229"


class TestCifar:
    @pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "."])
    def test_images_and_labels_file_by_file(
        self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes], folder: str
    ) -> None:
        store(tmp_path / folder, contents)
        loaded = load_training_set("cifar10", tmp_path, download=False)
        assert loaded.images.shape == (20, 3, 32, 32)
        assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
        assert loaded.labels.tolist() == [file + i for file in range(5) for i in range(4)]
        assert loaded.images[:, 0, 31, 0].tolist() == list(range(20))
        assert loaded.images[7, 1].unique().tolist() == [2]
        assert loaded.images[7, 2].unique().tolist() == [3]
        assert (loaded.name, loaded.classes, loaded.warning) == ("cifar10", 10, "")

    def test_rows_then_columns(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pixels = np.zeros((3, 32, 32), np.uint8)
        pixels[1, 2, 5] = 77
        contents = {"one.bin": b"\x09" + pixels.tobytes()}
        publish(monkeypatch, CIFAR10, contents, 1)
        loaded = load_training_set("cifar10", store(tmp_path, contents), download=False)
        assert loaded.images.nonzero().tolist() == [[0, 1, 2, 5]]

    def test_cifar100_takes_the_fine_label(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        contents = {"train.bin": record(bytes([4, 71]), red=9) + record(bytes([19, 99]))}
        publish(monkeypatch, CIFAR100, contents, 2)
        store(tmp_path / "cifar-100-binary", contents)
        loaded = load_training_set("cifar100", tmp_path, download=False)
        assert loaded.labels.tolist() == [71, 99]
        assert loaded.images[:, :, 0, 0].tolist() == [[9, 2, 3], [1, 2, 3]]
        assert (loaded.classes, loaded.warning) == (100, "")

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
    def test_every_record_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int]]
    ) -> None:
        images = np.stack([np.random.default_rng(seed).integers(0, 256, (3, 32, 32), np.uint8) for _, seed in made])
        content = b"".join(bytes([label]) + image.tobytes() for (label, _), image in zip(made, images, strict=True))
        folder = store(tmp_path_factory.mktemp("records"), {"batch": content})
        read, labels, others = read_records(CIFAR10, folder, {"batch": sha256(content)}, len(made))
        assert np.array_equal(read, images)
        assert labels.tolist() == [label for label, _ in made]
        assert others == []

    def test_digest_is_of_the_content(self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]) -> None:
        store(tmp_path, contents)
        loaded = load_training_set("cifar10", tmp_path, download=False)
        expected = hashlib.sha256(loaded.images.numpy().tobytes() + loaded.labels.numpy().tobytes())
        assert loaded.digest == expected.hexdigest()

    def test_other_files_than_published_are_used_with_a_warning(
        self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]
    ) -> None:
        store(tmp_path, contents)
        published = load_training_set("cifar10", tmp_path, download=False)
        contents["data_batch_2.bin"] = contents["data_batch_2.bin"][:-1] + b"\x63"
        store(tmp_path, contents)
        loaded = load_training_set("cifar10", tmp_path, download=False)
        assert loaded.images[7, 2, 31, 31] == 99
        assert loaded.digest != published.digest
        assert "1 of the 5 files" in loaded.warning
        assert loaded.digest[:12] in loaded.warning
        assert "\n" not in loaded.warning

    def test_absent(self, tmp_path: Path) -> None:
        message = failure("cifar10", tmp_path)
        for part in (str(tmp_path / "cifar-10-batches-bin"), "https://", "--data-dir", "HARNESS_DATA_DIR"):
            assert part in message

    def test_some_files_missing_is_said_and_not_repaired(
        self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]
    ) -> None:
        folder = store(tmp_path / cifar10.folder, contents)
        (folder / "data_batch_3.bin").unlink()
        message = failure("cifar10", tmp_path, download=True)
        assert "data_batch_3.bin" in message
        assert "data_batch_2.bin" not in message

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda content: content[:-1], "12,291 bytes where 12,292 are expected"),
            (lambda content: content + b"\x00", "12,293 bytes where 12,292 are expected"),
            (lambda content: b"", "0 bytes"),
            (lambda content: content[:3073] + b"\x0a" + content[3074:], "gives record 1 the label 10"),
        ],
        ids=["cut short", "too long", "empty", "label"],
    )
    def test_damaged_file(
        self,
        tmp_path: Path,
        cifar10: DatasetInfo,
        contents: dict[str, bytes],
        change: Callable[[bytes], bytes],
        expected: str,
    ) -> None:
        contents["data_batch_4.bin"] = change(contents["data_batch_4.bin"])
        message = failure("cifar10", store(tmp_path, contents))
        assert str(tmp_path / "data_batch_4.bin") in message
        assert expected in message

    def test_unreadable_file(self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]) -> None:
        store(tmp_path, contents)
        (tmp_path / "data_batch_1.bin").unlink()
        (tmp_path / "data_batch_1.bin").mkdir()
        assert f"cannot read {tmp_path / 'data_batch_1.bin'}" in failure("cifar10", tmp_path)

    def test_the_real_one(self) -> None:
        directories = [Path(os.environ.get("HARNESS_DATA_DIR") or "absent"), ROOT.parent / "shared" / "data"]
        folder = next((found for directory in directories if (found := locate(CIFAR10, directory))), None)
        if folder is None:
            pytest.skip("no CIFAR-10 in HARNESS_DATA_DIR or ../shared/data")
        loaded = load_training_set("cifar10", folder, download=False)
        assert loaded.images.shape == (50_000, 3, 32, 32)
        assert torch.bincount(loaded.labels).tolist() == [5000] * 10
        means = [loaded.images[:, channel].double().mean().item() for channel in range(3)]
        assert means == pytest.approx([125.3, 123.0, 113.9], abs=0.5)  # published: 125.307, 122.950, 113.865
        digests = {name: sha256((folder / name).read_bytes()) for name in CIFAR10.training_files}
        assert bool(loaded.warning) == (digests != CIFAR10.training_files)
        assert torch.bincount(load_test_set("cifar10", folder, download=False).labels).tolist() == [1000] * 10


class TestTestSets:
    """The test images of the data sets that come in files."""

    def test_cifar10(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cifar10: DatasetInfo) -> None:
        batch = record(b"\x03", red=7) + record(b"\x09", red=8)
        monkeypatch.setitem(
            DATASETS, "cifar10", replace(cifar10, test_images=2, test_files={"test_batch.bin": sha256(batch)})
        )
        store(tmp_path, {name: record(b"\x00") * EACH for name in cifar10.training_files})
        with pytest.raises(HarnessError, match=r"lacks the test set of cifar10: test_batch\.bin missing; add"):
            load_test_set("cifar10", tmp_path, download=False)
        store(tmp_path, {"test_batch.bin": batch})
        loaded = load_test_set("cifar10", tmp_path, download=False)
        assert loaded.labels.tolist() == [3, 9]
        assert loaded.images[:, 0, 0, 0].tolist() == [7, 8]
        assert loaded.warning == ""
        store(tmp_path, {"test_batch.bin": record(b"\x03", red=6) + batch[3073:]})
        changed = load_test_set("cifar10", tmp_path, download=False)
        assert changed.digest != loaded.digest
        assert "1 of the 1 test files of cifar10" in changed.warning

    def test_imagenet16_takes_the_validation_images_of_its_classes(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        contents = {"train_data_batch_1": pickle.dumps(batch([1])), "val_data": pickle.dumps(batch([5, 121, 120]))}
        files = {"val_data": sha256(contents["val_data"])}
        info = replace(publish(monkeypatch, IMAGENET16, {"train_data_batch_1": contents["train_data_batch_1"]}, 1))
        monkeypatch.setitem(DATASETS, info.name, replace(info, test_files=files, test_images=2))
        loaded = load_test_set(info.name, store(tmp_path, contents))
        assert loaded.labels.tolist() == [4, 119]
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 2]

    def test_absent_and_unknown(self, tmp_path: Path) -> None:
        for name, message in (("cifar100", "cifar100 is neither in"), ("mnist", "unknown dataset 'mnist'")):
            with pytest.raises(HarnessError, match=message):
                load_test_set(name, tmp_path, download=False)


class Server:
    """Serves one archive on this machine and counts how often it is asked for it."""

    def __init__(self) -> None:
        self.content = b""
        self.status = 200
        self.sent: int | None = None  # bytes sent before the connection breaks; None: all
        self.requests = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests += 1
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(owner.content)))
                self.end_headers()
                self.wfile.write(owner.content[: owner.sent])

            def log_message(self, *arguments: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/small.tar.gz"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # Its handler keeps the stream that pytest puts in the place of the standard error stream for one test.
    monkeypatch.setattr(pooch.get_logger(), "disabled", True)
    server = Server()
    yield server
    server.stop()


def tar(contents: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """A gzipped tar of these files and of further members without content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return file.getvalue()


class TestDownload:
    """Of CIFAR-10 in small, from a server on this machine."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, cifar10: DatasetInfo) -> None:
        self.directory, self.server, self.info, self.patch = tmp_path / "data", server, cifar10, monkeypatch

    def offer(self, archive: bytes, md5: str | None = None) -> None:
        """What the server sends, and the MD5 that is known of it."""
        assert self.info.archive is not None
        md5 = md5 or hashlib.md5(archive, usedforsecurity=False).hexdigest()
        self.server.content = archive
        offered = replace(self.info, archive=Archive(self.server.url, md5, self.info.archive.members))
        self.patch.setitem(DATASETS, "cifar10", offered)

    def members(self, contents: dict[str, bytes]) -> dict[str, bytes]:
        files = {**contents, "test_batch.bin": record(b"\x00"), "batches.meta.txt": b"airplane\n"}
        return {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}

    def load(self) -> list[int]:
        return load_training_set("cifar10", self.directory, progress=False).labels.tolist()

    def nothing_looks_complete(self) -> bool:
        return locate(self.info, self.directory) is None

    def test_once(self, contents: dict[str, bytes], capfd: pytest.CaptureFixture[str]) -> None:
        self.offer(tar(self.members(contents)))
        loaded = load_training_set("cifar10", self.directory)
        assert loaded.labels.tolist() == self.load()
        assert (len(loaded.labels), loaded.warning) == (20, "")
        assert self.server.requests == 1
        assert sorted(path.name for path in (self.directory / "cifar-10-batches-bin").iterdir()) == [
            *contents,
            "test_batch.bin",
        ]
        assert "cifar10" in capfd.readouterr().err

    def test_not_unless_allowed(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        failure("cifar10", self.directory)
        assert self.server.requests == 0
        assert not self.directory.exists()

    def test_two_at_once_download_once(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: self.load(), range(2))
        assert first == second
        assert self.server.requests == 1

    def test_archive_put_there_by_hand_is_used(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        store(self.directory, {"small.tar.gz": self.server.content})
        assert len(self.load()) == 20
        assert self.server.requests == 0

    def test_interrupted_unpacking_is_done_again(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        copied = []

        def interrupted(source: Any, target: Any, length: int = 0) -> None:
            copied.append(target.name)
            target.write(source.read(5000))
            if len(copied) == 3:
                raise KeyboardInterrupt

        with self.patch.context() as patch:
            patch.setattr("harness.data.download.shutil.copyfileobj", interrupted)
            with pytest.raises(KeyboardInterrupt):
                self.load()
        assert len(copied) == 3
        assert self.nothing_looks_complete()
        assert len(self.load()) == 20
        assert self.server.requests == 1

    def test_half_a_download_is_not_kept(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        self.server.sent = len(self.server.content) // 2
        assert self.server.url in failure("cifar10", self.directory, download=True, progress=False)
        assert self.nothing_looks_complete()
        assert not (self.directory / "small.tar.gz").exists()
        self.server.sent = None
        assert len(self.load()) == 20

    def test_wrong_digest_is_refused(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)), md5="0" * 32)
        assert "its MD5 is not 0000" in failure("cifar10", self.directory, download=True, progress=False)
        assert self.nothing_looks_complete()
        assert not (self.directory / "small.tar.gz").exists()

    def test_refused_by_the_server(self) -> None:
        self.offer(b"", md5="0" * 32)
        self.server.status = 403
        message = failure("cifar10", self.directory, download=True, progress=False)
        for part in (self.server.url, "HTTP 403", str(self.directory), "--data-dir", "HARNESS_DATA_DIR"):
            assert part in message

    def test_no_network(self) -> None:
        self.offer(b"")
        self.server.stop()
        message = failure("cifar10", self.directory, download=True, progress=False)
        assert "cannot be downloaded (ConnectionError)" in message

    def test_nothing_is_written_outside(self, contents: dict[str, bytes], tmp_path: Path) -> None:
        link = tarfile.TarInfo("cifar-10-batches-bin/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        hostile = dict.fromkeys(("../up", str(tmp_path / "absolute"), "cifar-10-batches-bin/../../up"), b"x")
        self.offer(tar({**hostile, **self.members(contents)}, link))
        assert len(self.load()) == 20
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
        assert not os.path.lexists(self.directory / "cifar-10-batches-bin" / "link")

    def test_a_link_is_no_file(self, contents: dict[str, bytes], tmp_path: Path) -> None:
        members = self.members(contents)
        secret = store(tmp_path / "elsewhere", {"secret": members.pop("cifar-10-batches-bin/data_batch_1.bin")})
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret / "secret")
        self.offer(tar(members, link))
        message = failure("cifar10", self.directory, download=True, progress=False)
        assert "lacks cifar-10-batches-bin/data_batch_1.bin" in message
        assert self.nothing_looks_complete()

    @pytest.mark.parametrize("cut", [0, 30, 300])
    def test_damaged_archive(self, contents: dict[str, bytes], cut: int) -> None:
        whole = tar(self.members(contents))
        self.offer(whole[:cut])
        assert "small.tar.gz" in failure("cifar10", self.directory, download=True, progress=False)
        assert self.nothing_looks_complete()

    def test_a_folder_of_other_files_is_left_alone(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        folder = store(self.directory / "cifar-10-batches-bin", {"mine.txt": b"mine"})
        assert "holds other files" in failure("cifar10", self.directory, download=True, progress=False)
        assert (folder / "mine.txt").read_bytes() == b"mine"
        assert self.server.requests == 0

    def test_no_place_to_store(self, contents: dict[str, bytes]) -> None:
        self.offer(tar(self.members(contents)))
        self.directory.write_bytes(b"a file")
        assert "cannot store cifar10" in failure("cifar10", self.directory, download=True, progress=False)


def batch(labels: Any, images: Any = None, **more: Any) -> dict[str, Any]:
    """A batch as its authors wrote it; image i is i everywhere."""
    if images is None:
        images = np.repeat(np.arange(len(labels), dtype=np.uint8)[:, None], 768, axis=1)
    return {"data": images, "labels": labels, "mean": np.zeros(768), **more}


class Runs:
    """Makes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class TestImageNet16:
    def load(self, monkeypatch: pytest.MonkeyPatch, folder: Path, files: list[bytes], images: int) -> Any:
        contents = {f"train_data_batch_{number}": content for number, content in enumerate(files, 1)}
        publish(monkeypatch, IMAGENET16, contents, images)
        return load_training_set("imagenet16-120", store(folder, contents))

    def refusal(self, monkeypatch: pytest.MonkeyPatch, folder: Path, file: bytes, images: int = 1) -> str:
        with pytest.raises(HarnessError) as caught:
            self.load(monkeypatch, folder, [file], images)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("protocol", [2, 3])
    @pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
    def test_first_120_classes_of_all_files(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: int, module: bytes
    ) -> None:
        files = [pickle.dumps(batch(labels), protocol) for labels in ([1, 121, 120], [1000, 7])]
        files = [
            file.replace(b"numpy._core.multiarray", module).replace(b"numpy.core.multiarray", module) for file in files
        ]
        loaded = self.load(monkeypatch, tmp_path / "ImageNet16", files, images=3)
        assert loaded.labels.tolist() == [0, 119, 6]
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 2, 1]
        assert loaded.images.shape == (3, 3, 16, 16)
        assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
        assert (loaded.classes, loaded.warning) == (120, "")

    def test_channel_by_channel_row_by_row(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pixels = np.zeros((1, 3, 16, 16), np.uint8)
        pixels[0, 2, 1, 4] = 5
        loaded = self.load(monkeypatch, tmp_path, [pickle.dumps(batch([3], pixels.reshape(1, 768)))], images=1)
        assert loaded.images.nonzero().tolist() == [[0, 2, 1, 4]]

    def test_pickles_of_python_2(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """They hold the pixels as text of one byte a character, which is read as Latin-1."""
        file = pickle.dumps(batch([3], np.full((1, 768), 200, np.uint8)), 3)
        content = b"\xc8" * 768
        size = len(content).to_bytes(4, "little")
        old = file.replace(b"B" + size + content, b"T" + size + content)  # BINBYTES to BINSTRING
        assert old != file
        loaded = self.load(monkeypatch, tmp_path, [old], images=1)
        assert loaded.images.unique().tolist() == [200]

    def test_absent_is_never_downloaded(self, tmp_path: Path) -> None:
        message = failure("imagenet16-120", tmp_path, download=True)
        for part in (str(tmp_path / "ImageNet16"), "train_data_batch_10", IMAGENET16.page, "HARNESS_DATA_DIR"):
            assert part in message

    def test_nothing_in_a_hostile_pickle_runs(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        made = tmp_path / "made"
        message = self.refusal(monkeypatch, tmp_path / "data", pickle.dumps(batch([1], extra=Runs(made))))
        assert "mkdir" in message
        assert not made.exists()

    @pytest.mark.parametrize(
        "content",
        [
            batch([1], np.full((1, 768), None)),
            batch([1], np.zeros((1, 768), np.int8)),
            batch([1], np.zeros((1, 192), np.float32)),
            batch([1], np.zeros((1, 3072), np.uint8)),
            batch([1], np.zeros(768, np.uint8)),
            batch([1, 500], np.asfortranarray(np.zeros((2, 768), np.uint8))),
            batch([1], [[0] * 768]),
            batch([1, 2], np.zeros((1, 768), np.uint8)),
            batch([0]),
            batch([1001]),
            batch([1.0]),
            batch(np.array([1])),
            {"data": np.zeros((1, 768), np.uint8)},
            [1, 2, 3],
        ],
    )
    def test_other_content_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: Any) -> None:
        assert "train_data_batch_1" in self.refusal(monkeypatch, tmp_path, pickle.dumps(content, 3))

    def test_cut_short(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert "damaged" in self.refusal(monkeypatch, tmp_path, pickle.dumps(batch([1]))[:-100])

    def test_another_number_of_images(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert "hold 2 images" in self.refusal(monkeypatch, tmp_path, pickle.dumps(batch([1, 2, 500])), images=3)

    values = st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3) | st.just(np.zeros((1, 768), np.uint8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "labels"]), inner),
        max_leaves=6,
    )

    @given(st.fixed_dictionaries({}, optional={"data": values, "labels": values}) | values)
    def test_whatever_a_pickle_holds_there_is_one_kind_of_error(
        self, tmp_path_factory: pytest.TempPathFactory, content: Any
    ) -> None:
        file = pickle.dumps(content, 3)
        folder = store(tmp_path_factory.mktemp("batches"), {"batch": file})
        info = replace(IMAGENET16, training_files={"batch": sha256(file)}, training_images=1)
        try:
            images, labels, _ = read_batches(info, folder, info.training_files, info.training_images)
        except HarnessError:
            return
        assert images.shape == (1, 3, 16, 16)
        assert images.dtype == np.uint8
        assert 0 <= labels.item() < 120
