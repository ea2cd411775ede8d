"""A NATS-Bench topology folder, ``NATS-tss-v1_0-3ffb9-simple``: a compressed pickle for each architecture.

``meta.pickle.pbz2`` lists the architectures, ``000000.pickle.pbz2`` to ``015624.pickle.pbz2`` hold one each: a dict
``{"12": ..., "200": ...}`` of records as in the NAS-Bench-201 file. They are read as data, and nothing in them can run.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from harness.benchmark_import.pickle_stream import PickleReader
from harness.benchmark_import.records import CONTENT, FULL, MARKS, SHORT, Collector, Record, summarize_record
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace

Digest: TypeAlias = "hashlib._Hash"
END = ".pickle.pbz2"
META = f"meta{END}"
LIMIT = 2**28
"""Bytes that a file may expand to: a real record has 325 kB, the list of architectures 1.4 MB."""

TRUSTED_SEED = 888
"""The seed whose parameters and FLOPs the ``nats-bench`` package trusts where a cell's trainings disagree."""


def record_file(folder: Path, row: int) -> Path:
    """The path of the record of an architecture."""
    return folder / f"{row:06d}{END}"


def check_folder(folder: Path, space: SearchSpace) -> None:
    """Raise HarnessError, saying what is missing, unless the folder has a file for every architecture."""
    names = {path.name for path in folder.iterdir()}
    there = sum(record_file(folder, row).name in names for row in range(space.size))
    if META not in names or not there:
        missing = META if there else record_file(folder, 0).name
        raise HarnessError(f"the folder {folder} is not NATS-Bench's topology space: it lacks {missing}")
    beyond = record_file(folder, space.size).name
    if beyond in names:
        raise HarnessError(
            f"the folder {folder} is of another space: {space.name} has {space.size:,} architectures, so that there is "
            f"no {beyond}"
        )
    if there < space.size:
        raise HarnessError(
            f"the folder {folder} holds {there:,} of the {space.size:,} architectures of {space.name}; a table needs "
            "all of them: unpack the whole archive"
        )


def read_record(folder: Path, row: int, digest: Digest | None = None) -> Record:
    """The trainings of one architecture, by number of epochs. ``digest`` takes the file's SHA-256.

    Raises:
        HarnessError: the file is damaged, cut short, hostile, or of another version.
        OSError: it cannot be read.
    """
    path = record_file(folder, row)
    content = _load(path, digest)
    if not isinstance(content, dict) or not {str(FULL), str(SHORT)} <= content.keys():
        raise HarnessError(f"the file {path} is of a version not known here: it has no records '{SHORT}' and '{FULL}'")
    return {epochs: content[str(epochs)] for epochs in (FULL, SHORT)}


def read_nats(folder: Path, space: SearchSpace, advance: Callable[[int], None]) -> tuple[Collector, str]:
    """All cells of a folder, and the SHA-256 of its files' SHA-256 in order. ``advance`` is called after each file.

    Raises as :func:`check_folder` and :func:`read_record` do.
    """
    check_folder(folder, space)
    collector = Collector(space, f"the folder {folder}", TRUSTED_SEED)
    digest = hashlib.sha256()
    meta = _load(folder / META, digest)
    collector.check_names(meta.get("meta_archs") if isinstance(meta, dict) else None)
    for row in range(space.size):
        collector.add(row, read_record(folder, row, digest))
        advance(1)
    return collector, digest.hexdigest()


def _load(path: Path, digest: Digest | None) -> Any:
    """The content of a compressed pickle, which is held in memory compressed and expanded piece by piece."""
    what = f"the file {path}"
    left = LIMIT
    compressed = path.read_bytes()
    if not compressed:
        raise HarnessError(f"{what} is empty")
    if digest:
        digest.update(hashlib.sha256(compressed).digest())
    with bz2.open(io.BytesIO(compressed)) as file:

        def read(count: int) -> bytes:
            nonlocal left
            try:
                chunk = file.read(count)
            except EOFError:
                raise HarnessError(f"{what} is cut short") from None
            except OSError as error:
                raise HarnessError(f"{what} is damaged or no bz2 file ({error})") from None
            left -= len(chunk)
            if left < 0:
                raise HarnessError(f"{what} expands to more than {LIMIT:,} bytes, which no record does")
            return chunk

        return PickleReader(read, what, MARKS, summarize_record).load()


def provenance(folder: Path, sha256: str) -> dict[str, Any]:
    """The provenance of the folder, as the table records it."""
    version = re.match(r"NATS-tss-v(\d+)_(\d+)", folder.name)
    return {
        "description": (
            "The topology space of NATS-Bench, which has NAS-Bench-201's cells and more trainings of them: " + CONTENT
        ),
        "source": folder.name,
        "sha256": sha256,
        "version": f"{version[1]}.{version[2]}" if version else "not stated",
        "licence": "MIT",
    }
