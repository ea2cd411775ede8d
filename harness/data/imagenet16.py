"""The images of ImageNet16-120 from the pickles that were published, read as data.

A batch is a dictionary of ``data``, uint8 (n, 768), channel by channel; ``labels``, a list of n numbers from 1 to
1,000; and ``mean``. Written by PatrykChrabaszcz/Imagenet32_Scripts; NAS-Bench-201 keeps the labels 1 to 120.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.files import is_published, read
from harness.data.info import DatasetInfo
from harness.data.safe_pickle import load_pickle
from harness.errors import HarnessError


class PickledArray:
    """Stands for a numpy array in a pickle: holds what describes it. numpy itself is not run by the pickle."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def pixels(self, width: int) -> npt.NDArray[np.uint8]:
        """The array, if it is uint8 (n, width) in C order. Raises ValueError if not."""
        _, shape, dtype, fortran, content = self.state
        content = content.encode("latin1") if isinstance(content, str) else content
        if not isinstance(dtype, PickledType) or dtype.code != "u1" or fortran or not isinstance(content, bytes):
            raise ValueError("the images are not uint8")
        if len(shape) != 2 or shape[1] != width or len(content) != shape[0] * width:
            raise ValueError(f"the images have the shape {shape}, not (n, {width})")
        return np.frombuffer(content, np.uint8).reshape(-1, width)


class PickledType:
    """Stands for a numpy dtype in a pickle."""

    def __init__(self, code: Any, *flags: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, which uint8 has not."""


def encode(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them in the old protocols."""
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding}")
    return text.encode("latin1")


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledType,
    ("_codecs", "encode"): encode,
}


def read_batches(
    info: DatasetInfo, folder: Path, files: Mapping[str, str], count: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], list[str]]:
    """Images (count, 3, 16, 16), labels (count,) from 0, and the names of the files that are not the published ones.

    ``files`` gives the published digest of each file. Raises :class:`HarnessError` where a file cannot be read, wants
    to run something, is of another format, or where together they hold another number of images of the classes that
    are used.
    """
    images, labels, others = [], [], []
    for name, digest in files.items():
        content = read(folder / name)
        if not is_published(content, digest):
            others.append(name)
        batch = load_pickle(io.BytesIO(content), ALLOWED, str(folder / name), encoding="latin1")
        try:
            pixels, numbers = _arrays(batch, 3 * info.image_size**2)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise HarnessError(
                f"{folder / name} is no batch of {info.name} ({type(error).__name__}: {error}); replace it"
            ) from None
        used = numbers <= info.classes
        images.append(pixels[used])
        labels.append(numbers[used] - 1)
    total = sum(len(part) for part in labels)
    if total != count:
        raise HarnessError(
            f"{', '.join(files)} in {folder} hold {total:,} images of the first {info.classes} classes, but "
            f"{info.name} has {count:,} there: they are of another data set; replace them"
        )
    return np.concatenate(images).reshape(-1, 3, info.image_size, info.image_size), np.concatenate(labels), others


def _arrays(batch: Any, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    pixels, numbers = batch["data"].pixels(width), batch["labels"]
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise ValueError("the labels are not a list of whole numbers")
    if len(numbers) != len(pixels):
        raise ValueError(f"{len(pixels)} images have {len(numbers)} labels")
    labels = np.array(numbers, np.int64)
    if len(labels) and (labels.min() < 1 or labels.max() > 1000):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} are not from 1 to 1000")
    return pixels, labels
