"""Checkpoints of a run, the newest and the one before, so that a damaged file costs an epoch and not the run.

A checkpoint is written beside its place (``checkpoint-new.pt``); then the last one becomes ``checkpoint-previous.pt``
and the new one ``checkpoint.pt``. After any crash one of the latter two is whole.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.runs.folder import write_atomically

NEWEST, PREVIOUS, UNPLACED = "checkpoint.pt", "checkpoint-previous.pt", "checkpoint-new.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Make ``state`` the newest checkpoint and keep the last one. Raises as :func:`write_atomically` does."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(folder / UNPLACED, buffer.getvalue())
    try:
        if (folder / NEWEST).is_file():
            os.replace(folder / NEWEST, folder / PREVIOUS)
        os.replace(folder / UNPLACED, folder / NEWEST)
    except OSError as error:
        raise HarnessError(
            f"cannot write {folder / NEWEST}: {error.strerror}; make room or choose another folder"
        ) from None


def read(file: Path) -> dict[str, Any]:
    """Read a checkpoint, onto the CPU. Raises an exception of some kind where the file is damaged."""
    import torch

    with zipfile.ZipFile(file) as archive:  # PyTorch does not compare checksums
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def existing(folder: Path) -> list[Path]:
    """The checkpoints that there are, newest first."""
    return [folder / name for name in (NEWEST, PREVIOUS) if (folder / name).is_file()]


def delete_newest(folder: Path) -> None:
    """Delete the newest checkpoint, which is damaged, and keep the one before."""
    (folder / NEWEST).unlink(missing_ok=True)


def delete(folder: Path) -> None:
    """Delete whatever checkpoints there are, and what processes have left that were killed while they wrote one."""
    for file in (*map(folder.joinpath, (NEWEST, PREVIOUS, UNPLACED)), *folder.glob(f".{UNPLACED}.*")):
        file.unlink(missing_ok=True)
