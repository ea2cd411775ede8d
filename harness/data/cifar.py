"""CIFAR-10 and CIFAR-100, binary version: records of one or two label bytes and 3,072 pixels, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data.files import is_published, read
from harness.data.info import DatasetInfo
from harness.errors import HarnessError

LABEL_BYTES = {"cifar10": 1, "cifar100": 2}
"""Bytes before the pixels of a record. The last one is the label; CIFAR-100's first one is the coarse label."""


def read_records(
    info: DatasetInfo, folder: Path, files: Mapping[str, str], count: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], list[str]]:
    """Images (count, 3, 32, 32), labels (count,) and the names of the files that are not the published ones.

    ``files`` gives the published digest of each file; all hold equally many records. Raises :class:`HarnessError`
    where a file cannot be read, has another size, or a label that is no class.
    """
    each = count // len(files)
    before, pixels = LABEL_BYTES[info.name], 3 * info.image_size**2
    images = np.empty((count, 3, info.image_size, info.image_size), np.uint8)
    labels = np.empty(count, np.int64)
    others = []
    for number, (name, digest) in enumerate(files.items()):
        content = read(folder / name, each * (before + pixels))
        if not is_published(content, digest):
            others.append(name)
        records = np.frombuffer(content, np.uint8).reshape(each, before + pixels)
        part = slice(number * each, (number + 1) * each)
        images.reshape(count, pixels)[part] = records[:, before:]
        labels[part] = records[:, before - 1]
        if (worst := int(labels[part].max())) >= info.classes:
            record = int(labels[part].argmax())
            raise HarnessError(
                f"{folder / name} gives record {record} the label {worst}, but {info.name} has labels 0 to "
                f"{info.classes - 1}: it is damaged or of another format; replace it"
            )
    return images, labels, others
