"""Downloading a data set: once, whole or not at all, and nothing but its own files."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pooch
import pytest

from harness.data.files import locate
from harness.data.info import DATASETS, Archive, DatasetInfo
from harness.data.training_set import load_training_set
from tests.support.data_files import failure, record, store


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
