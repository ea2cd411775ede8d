"""Find the files of a data set and read them whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from harness.data.info import DatasetInfo
from harness.errors import HarnessError


def locate(info: DatasetInfo, directory: Path) -> Path | None:
    """The folder that holds all training files: the data set's own in ``directory``, or ``directory`` itself.

    None where there is none of the files. Raises :class:`HarnessError` where some are missing.
    """
    for folder in (directory / info.folder, directory):
        missing = [name for name in info.training_files if not os.path.exists(folder / name)]
        if not missing:
            return folder
        if len(missing) < len(info.training_files):
            remedy = ", or move the others away to have all of them downloaded" if info.archive else ""
            raise HarnessError(
                f"{folder} holds only a part of {info.name}: {', '.join(missing)} missing; add what is missing{remedy}"
            )
    return None


def absent(info: DatasetInfo, directory: Path, reason: str = "") -> HarnessError:
    """The error for a data set that is not there: where it was looked for, and how to get it."""
    names = list(info.training_files)
    way = (
        f"unpack {info.archive.url} into {directory}"
        if info.archive
        else f"get {names[0]} to {names[-1]} as {info.page} says and put them there"
    )
    return HarnessError(
        f"{info.name} is neither in {directory / info.folder} nor in {directory}{reason}; {way}, or name the folder "
        "that holds it with --data-dir or HARNESS_DATA_DIR"
    )


def read(path: Path, size: int | None = None) -> bytes:
    """The content of a file. Raises :class:`HarnessError` where it cannot be read or has not ``size`` bytes."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}") from None
    if size is not None and len(content) != size:
        raise HarnessError(
            f"{path} has {len(content):,} bytes where {size:,} are expected: it is cut short or of another format; "
            "replace it"
        )
    return content


def is_published(content: bytes, digest: str) -> bool:
    """True if the digest of ``content`` is ``digest``, given as ``algorithm:hexadecimal``."""
    algorithm, _, expected = digest.partition(":")
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == expected
