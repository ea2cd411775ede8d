"""The images of a search: two halves of the training set on the device, and batches of them.

Nothing here reaches test images. Crop, flip and normalisation work on whole batches; there are no loader workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.config.protocol import Pixels, Protocol
from harness.data.training_set import TrainingSet
from harness.errors import HarnessError
from harness.methods.base import Batch
from harness.random_streams import stream

AT_ONCE = 512
"""Images whose accuracy is measured in one forward pass, at most."""


@dataclass(frozen=True)
class Images:
    """Images (n, 3, s, s) uint8 and labels (n,) int64 on the device, and how batches of them are made.

    Attributes:
        mean: per channel, of all training images that are used, (3, 1, 1), in 0 to 255.
        sd: likewise.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    sd: Tensor
    settings: Pixels
    batch_size: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def batches(self) -> int:
        """Batches an epoch; the last one may be smaller."""
        return -(-len(self) // self.batch_size)

    def shuffled(self, order: torch.Generator, augmentation: torch.Generator) -> Iterator[Batch]:
        """One epoch of augmented batches in random order."""
        for index in torch.randperm(len(self), generator=order).split(self.batch_size):
            chosen = index.to(self.images.device)
            images = self.images[chosen]
            if self.settings.crop_padding:
                images = random_crop(images, self.settings.crop_padding, augmentation)
            if self.settings.flip:
                images = random_flip(images, augmentation)
            yield Batch(self._normalize(images), self.labels[chosen])

    def in_order(self) -> Iterator[Batch]:
        """One epoch of batches as they are, for evaluation."""
        for images, labels in zip(self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True):
            yield Batch(self._normalize(images), labels)

    def measured(self) -> Iterator[Batch]:
        """The images as they are, in order, in the fewest batches of nearly equal size for measuring an accuracy."""
        parts = -(-len(self) // AT_ONCE)
        return replace(self, batch_size=-(-len(self) // parts)).in_order()

    def _normalize(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.sd

    def to(self, device: torch.device) -> Images:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("images", "labels", "mean", "sd")}
        return replace(self, **moved)


@dataclass(frozen=True)
class SearchData:
    """The search-train and search-validation halves, of equal size."""

    train: Images
    valid: Images
    classes: int


def search_data(training: TrainingSet, protocol: Protocol, seed: int, device: torch.device) -> SearchData:
    """The halves that one seed of a protocol sees. Raises as :func:`check_data` does."""
    check_data(training, protocol)
    settings = protocol.data
    available = len(training.labels)
    count = settings.images or available
    if settings.split == "halves":
        chosen = torch.arange(count)
    else:
        generator = stream(seed if settings.split == "random" else "fixed", "split")
        chosen = torch.randperm(available, generator=generator)[:count]
    images = shrink(training.images[chosen], settings.image_size)
    labels = training.labels[chosen]
    half = count // 2
    train = Images(images[:half], labels[:half], *moments(images[: 2 * half]), settings, protocol.search.batch_size)
    valid = replace(train, images=images[half : 2 * half], labels=labels[half : 2 * half])
    return SearchData(train.to(device), valid.to(device), training.classes)


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, (3, 1, 1), of images (n, 3, s, s) uint8."""
    levels = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(dim=1)])
    share = counts.double() / counts.sum(dim=1, keepdim=True)
    mean = share @ levels
    variance = (share * (levels - mean[:, None]) ** 2).sum(dim=1)
    return mean.float()[:, None, None], variance.sqrt().float().clamp(min=1.0)[:, None, None]


def check_data(training: TrainingSet, protocol: Protocol) -> None:
    """Raise :class:`HarnessError` where a data set cannot give the images that a protocol asks for."""
    settings, available = protocol.data, len(training.labels)
    if settings.images is not None and settings.images > available:
        raise HarnessError(
            f"data.images is {settings.images}, but {training.name} has {available} training images; lower it with "
            f"--set data.images={available}"
        )
    check_size(training, settings)


def check_size(training: TrainingSet, settings: Pixels) -> None:
    """Raise :class:`HarnessError` where the images cannot be average-pooled down to the size that is asked for."""
    native = training.images.shape[-1]
    if native % settings.image_size:
        sizes = ", ".join(str(size) for size in range(4, native + 1, 4) if native % size == 0)
        raise HarnessError(
            f"data.image_size={settings.image_size} does not divide the {native} pixels of {training.name}; "
            f"it can be {sizes}"
        )


def shrink(images: Tensor, size: int) -> Tensor:
    """Average-pool images (n, 3, s, s) uint8 to (n, 3, size, size); ``size`` divides s."""
    factor = images.shape[-1] // size
    if factor == 1:
        return images
    return torch.cat([F.avg_pool2d(chunk.float(), factor).round().byte() for chunk in images.split(4096)])


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad each image by ``padding`` zero pixels and cut its old size out at a random place, one draw an image."""
    count, _, height, width = images.shape
    offsets = torch.randint(2 * padding + 1, (2, count, 1), generator=generator)
    rows, columns = (offsets + torch.arange(max(height, width))).to(images.device)
    padded = F.pad(images, [padding] * 4)
    image = torch.arange(count, device=images.device)[:, None, None]
    cut = padded[image, :, rows[:, :height, None], columns[:, None, :width]]
    return cut.permute(0, 3, 1, 2).contiguous()


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    flipped = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flipped.to(images.device)[:, None, None, None], images.flip(3), images)
