"""Reading the images and labels of a data set from its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.info import DATASETS, DatasetInfo
from harness.errors import HarnessError, unknown

if TYPE_CHECKING:
    from torch import Tensor


def dataset_info(name: str) -> DatasetInfo:
    """The entry of a data set. Raises :class:`HarnessError` for an unknown name."""
    if name not in DATASETS:
        raise HarnessError(unknown("dataset", name, DATASETS))
    return DATASETS[name]


def dataset_folder(info: DatasetInfo, directory: Path, download: bool, progress: bool) -> Path:
    """The folder that holds the files, downloaded where they are missing and may be; ``directory`` where none are."""
    from harness.data.files import absent, locate

    if not info.training_files:
        return directory
    if complete := locate(info, directory):
        return complete
    if not (download and info.archive):
        raise absent(info, directory)
    from harness.data.download import fetch

    return fetch(info, directory, progress)


def read_images(
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
