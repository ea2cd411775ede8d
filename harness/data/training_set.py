"""The images that a search may see. Importing this module imports neither torch nor numpy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.info import DATASETS
from harness.data.reading import dataset_folder, dataset_info, read_images

if TYPE_CHECKING:
    from torch import Tensor


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


def names() -> list[str]:
    """The data sets there are."""
    return list(DATASETS)


def data_directory(path: str | Path | None) -> Path:
    """The folder of the data sets: ``path``, else ``HARNESS_DATA_DIR``, else ``data`` in the working directory."""
    return Path(path or os.environ.get("HARNESS_DATA_DIR") or "data").expanduser()


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
    info = dataset_info(name)
    folder = dataset_folder(info, data_directory(directory), download, progress)
    images, labels, digest, warning = read_images(info, folder, info.training_files, info.training_images, test=False)
    return TrainingSet(name, images, labels, info.classes, digest, warning)
