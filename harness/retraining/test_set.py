"""The test images of a data set, which no search can reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.reading import dataset_folder, dataset_info, read_images
from harness.data.training_set import data_directory
from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TestSet:
    """All test images of a data set, and no training image; the attributes of :class:`TrainingSet`."""

    name: str
    images: Tensor
    labels: Tensor
    classes: int
    digest: str
    warning: str


def load_test_set(
    name: str, directory: str | Path | None = None, download: bool = True, progress: bool = True
) -> TestSet:
    """Load the test images of a data set. Arguments and errors are those of :func:`load_training_set`."""
    info = dataset_info(name)
    folder = dataset_folder(info, data_directory(directory), download, progress)
    if missing := [file for file in info.test_files if not (folder / file).exists()]:
        raise HarnessError(f"{folder} lacks the test set of {name}: {', '.join(missing)} missing; add what is missing")
    images, labels, digest, warning = read_images(info, folder, info.test_files, info.test_images, test=True)
    return TestSet(name, images, labels, info.classes, digest, warning)
