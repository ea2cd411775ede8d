"""Data sets: training sets, which a search may see, and test sets, which only an evaluation may.

They are different classes: a search is handed no object that holds test images. The catalogue of data sets is in
:mod:`harness.data.info`; importing it, or this package, imports neither torch nor numpy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.catalogue import unknown
from harness.data.info import DATASETS, DatasetInfo
from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "TestSet",
    "TrainingSet",
    "data_directory",
    "load_test_set",
    "load_training_set",
    "names",
]


@dataclass(frozen=True)
class TrainingSet:
    """The images a search may see: all training images of a data set, and no test image.

    Attributes:
        images: (n, 3, size, size) uint8, on the CPU.
        labels: (n,) int64, from 0.
        classes: number of classes.
        digest: SHA-256, hexadecimal, of the images and labels as loaded, in order; not of the files.
        warning: one line for the user; empty where there is none.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: int
    digest: str
    warning: str


@dataclass(frozen=True)
class TestSet:
    """All test images of a data set, and no training image; the attributes of :class:`TrainingSet`."""

    name: str
    images: Tensor
    labels: Tensor
    classes: int
    digest: str
    warning: str


def names() -> list[str]:
    """The data sets there are."""
    return list(DATASETS)


def data_directory(given: str | Path | None) -> Path:
    """Where the data sets are: as given, else ``HARNESS_DATA_DIR``, else ``data`` in the working directory."""
    return Path(given or os.environ.get("HARNESS_DATA_DIR") or "data").expanduser()


def load_training_set(
    name: str, directory: str | Path | None = None, download: bool = True, progress: bool = True
) -> TrainingSet:
    """Load the training images of a data set.

    Args:
        directory: as for :func:`data_directory`.
        download: get the published archive where the files are missing and there is one.
        progress: draw the progress of a download on the standard error stream.

    Raises:
        HarnessError: unknown name; files missing, unreadable, cut short, with labels that are no class, or pickles that
            want to run something; download refused or damaged.
    """
    info = _info(name)
    folder = _folder(info, data_directory(directory), download, progress)
    images, labels, digest, warning = _read(info, folder, info.training_files, info.training_images, test=False)
    return TrainingSet(name, images, labels, info.classes, digest, warning)


def load_test_set(
    name: str, directory: str | Path | None = None, download: bool = True, progress: bool = True
) -> TestSet:
    """Load the test images of a data set. Arguments and errors are those of :func:`load_training_set`."""
    info = _info(name)
    folder = _folder(info, data_directory(directory), download, progress)
    if missing := [file for file in info.test_files if not (folder / file).exists()]:
        raise HarnessError(f"{folder} lacks the test set of {name}: {', '.join(missing)} missing; add what is missing")
    images, labels, digest, warning = _read(info, folder, info.test_files, info.test_images, test=True)
    return TestSet(name, images, labels, info.classes, digest, warning)


def _info(name: str) -> DatasetInfo:
    if name not in DATASETS:
        raise HarnessError(unknown("dataset", name, DATASETS))
    return DATASETS[name]


def _folder(info: DatasetInfo, directory: Path, download: bool, progress: bool) -> Path:
    """The folder that holds the files, downloaded where they are missing and may be; ``directory`` where none are."""
    from harness.data.files import absent, locate

    if not info.training_files:
        return directory
    if found := locate(info, directory):
        return found
    if not (download and info.archive):
        raise absent(info, directory)
    from harness.data.download import fetch

    return fetch(info, directory, progress)


def _read(
    info: DatasetInfo, folder: Path, files: Mapping[str, str], count: int, *, test: bool
) -> tuple[Tensor, Tensor, str, str]:
    """The ``count`` images and labels in files with these published digests, the digest of them, and the warning."""
    import hashlib

    import torch

    from harness.data.cifar import LABEL_BYTES, read_records
    from harness.data.digits import read_digits
    from harness.data.imagenet16 import read_batches

    others: list[str] = []
    if not files:
        images, labels = read_digits(test=test)
    elif info.name in LABEL_BYTES:
        images, labels, others = read_records(info, folder, files, count)
    else:
        images, labels, others = read_batches(info, folder, files, count)
    hashed = hashlib.sha256(images.data)
    hashed.update(labels.astype("<i8").data)
    digest = hashed.hexdigest()
    warning = ""
    if others:
        what = "test files" if test else "files"
        warning = (
            f"{len(others)} of the {len(files)} {what} of {info.name} in {folder} are not as published; "
            f"they are used as they are, digest {digest[:12]}"
        )
    return torch.from_numpy(images), torch.from_numpy(labels), digest, warning
