"""The official NAS-Bench-201 file, as ``torch.save`` wrote it: ``NAS-Bench-201-v1_1-096897.pth`` and ``v1_0-e61699``.

The file is one pickle: ``meta_archs``, the architectures' strings, and ``arch2infos``, a dict of two records for each
index: ``full``, trained for 200 epochs, and ``less``, for 12. It is read in a stream, so that memory stays far below
the file's size, and as data, so that nothing in it can run.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.benchmark_import.pickle_stream import PickleReader
from harness.benchmark_import.records import CONTENT, FULL, MARKS, SHORT, Collector, summarize_record
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace

MAGIC = 0x1950A86A20F9469CFC6C
"""With what ``torch.save`` begins a file in its format of before torch 1.6."""

PROTOCOL = 1001
"""The one version that this format has."""

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
VERSIONS = {"096897": "1.1", "e61699": "1.0"}
"""The two published files, by the last six digits of their MD5."""

CHUNK = 2**20

Advance = Callable[[int], None]
"""Is told how many more bytes have been read."""


def read_official(path: Path, space: SearchSpace, advance: Advance) -> Collector:
    """All cells of the file, complete or not.

    Raises:
        HarnessError: the file is empty, damaged, cut short, hostile, of another format, version or space.
        OSError: it cannot be read.
    """
    what = f"the file {path}"
    collector = Collector(space, what)
    with _pickles(path, what, advance) as reader:
        content = reader.load()
    if not isinstance(content, dict) or not {"meta_archs", "arch2infos"} <= content.keys():
        raise HarnessError(f"{what} is not NAS-Bench-201: it has no 'meta_archs' and 'arch2infos'")
    collector.check_names(content["meta_archs"])
    if not isinstance(content["arch2infos"], dict):
        raise HarnessError(f"{what} is not NAS-Bench-201: its 'arch2infos' is no dict")
    for row, record in content["arch2infos"].items():
        if not isinstance(record, dict) or not {"full", "less"} <= record.keys():
            raise HarnessError(f"{what} is of a version not known here: an architecture has no 'full' and 'less'")
        collector.add(row, {FULL: record["full"], SHORT: record["less"]})
    return collector


def digests(path: Path, advance: Advance) -> tuple[str, str]:
    """A file's SHA-256 and MD5, in hexadecimal."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
            advance(len(chunk))
    return sha256.hexdigest(), md5.hexdigest()


def version(path: Path, md5: str) -> str:
    """Recognise the file. Raises HarnessError where its name claims a digest that it does not have."""
    claimed = re.search(r"-([0-9a-f]{6})\.pth$", path.name)
    if claimed and not md5.endswith(claimed[1]):
        raise HarnessError(
            f"the file {path} is damaged or changed: its name says that its MD5 ends with {claimed[1]}, but it is "
            f"{md5}; download it again, or rename the file to import it as it is"
        )
    return next((number for end, number in VERSIONS.items() if md5.endswith(end)), "none that was published")


@contextmanager
def _pickles(path: Path, what: str, advance: Advance) -> Iterator[PickleReader]:
    """A reader at the pickle that holds the content, in either format of ``torch.save``."""
    with open(path, "rb") as file:
        head = file.read(len(ZIP))
        file.seek(0)
        if not head:
            raise HarnessError(f"{what} is empty")
        if head == ZIP:
            with _zipped(file, what) as member:
                yield _reader(member, what, advance)
        elif head.startswith(PICKLE):
            reader = _reader(file, what, advance)
            if reader.load() != MAGIC:
                raise HarnessError(f"{what} is a pickle, but not one of torch.save")
            if (protocol := reader.load()) != PROTOCOL:
                raise HarnessError(f"{what} is of version {protocol!r} of torch.save's format, which is not known here")
            reader.load()  # the byte order and sizes of the machine that wrote it
            yield reader
            reader.load()  # the storages' names, with which the file ends
        else:
            raise HarnessError(f"{what} is no file of torch.save: it begins with {head!r}")


def _reader(stream: IO[bytes], what: str, advance: Advance) -> PickleReader:
    def read(count: int) -> bytes:
        chunk = stream.read(count)
        advance(len(chunk))
        return chunk

    return PickleReader(read, what, MARKS, summarize_record)


@contextmanager
def _zipped(file: IO[bytes], what: str) -> Iterator[IO[bytes]]:
    """The pickle in a file of torch 1.6 or later. Its checksum is checked at its end."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith("/data.pkl")]
            if len(members) != 1 or members[0].compress_type != zipfile.ZIP_STORED:
                raise HarnessError(f"{what} is a zip file, but not one of torch.save")
            with archive.open(members[0]) as member:
                yield member
                while member.read(CHUNK):
                    pass
    # what zipfile raises of a damaged file, NotImplementedError for a version or flag that it does not know
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise HarnessError(f"{what} is damaged or cut short ({error})") from None


def provenance(path: Path, sha256: str, version: str) -> dict[str, Any]:
    """The provenance of the file, as the table records it."""
    return {
        "description": (f"NAS-Bench-201 (version {version}): {CONTENT}"),
        "source": path.name,
        "sha256": sha256,
        "version": version,
        "licence": "MIT",
    }
