"""Data sets in small for tests, in their official formats, and fixtures of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.info import DATASETS, DatasetInfo
from harness.data.training_set import load_training_set
from harness.errors import HarnessError

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


def batch(labels: Any, images: Any = None, **more: Any) -> dict[str, Any]:
    """A batch as its authors wrote it; image i is i everywhere."""
    if images is None:
        images = np.repeat(np.arange(len(labels), dtype=np.uint8)[:, None], 768, axis=1)
    return {"data": images, "labels": labels, "mean": np.zeros(768), **more}
