"""Training of cells from scratch on half of a training set, for a tabular benchmark.

For a training seed, every cell has the same initial weights (layer by layer, where cells share one) and the same
batches, so that two trainings differ in their cells alone. All training seeds are trained at once, as stacked networks,
and with them other cells of small networks that have the same layers with weights. No search imports this module.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import torch
from torch import Tensor, nn

from harness.benchmark_builder.stacked_networks import stack_networks
from harness.config.recipe import Recipe
from harness.data.batches import Images, moments, shrink
from harness.data.training_set import TrainingSet
from harness.random_streams import Streams, stream
from harness.retraining.test_set import TestSet
from harness.search.training import descend, make_sgd, set_learning_rate, uses_mixed_precision
from harness.spaces.base import Architecture, NetworkConfig, SearchSpace, initialize
from harness.spaces.network_size import flops, parameters

CACHED_BYTES = 2**29
"""Most bytes of the batches of a training that are kept in memory for the next cells, whose batches are the same."""

GROUP_BYTES = 2**21
"""Most bytes of the first stage's feature maps of all cells that are trained at once; larger networks gain nothing."""


class MeasuredCell(TypedDict):
    """Accuracies and losses of a cell after the trainings of one budget, one value a training seed; and their time."""

    train_accuracy: list[float]  # %, in the last epoch, augmented
    train_loss: list[float]
    valid_accuracy: list[float]  # %
    valid_loss: list[float]
    test_accuracy: list[float]  # %
    test_loss: list[float]
    train_seconds: float  # processor seconds of one training: an equal share of those of its group
    valid_seconds: float  # that and one pass over the validation images


@dataclass(frozen=True)
class BenchmarkImages:
    """The halves of the training set, by the split that protocols call ``fixed``, and the test images."""

    train: Images
    valid: Images
    test: Images
    classes: int


def benchmark_images(training: TrainingSet, test: TestSet, recipe: Recipe, device: torch.device) -> BenchmarkImages:
    """Make the images of a recipe's size, normalised by the moments of the whole training set."""
    size = recipe.data.image_size
    order = torch.randperm(len(training.labels), generator=stream("fixed", "split"))
    half = len(order) // 2
    images = shrink(training.images, size)
    chosen = order[:half]
    train = Images(
        images[chosen], training.labels[chosen], *moments(images), recipe.data, recipe.training.batch_size
    ).to(device)
    other = order[half : 2 * half]
    valid = replace(train, images=images[other].to(device), labels=training.labels[other].to(device))
    tested = replace(train, images=shrink(test.images, size).to(device), labels=test.labels.to(device))
    return BenchmarkImages(train, valid, tested, training.classes)


def group_cells(
    space: SearchSpace, recipe: Recipe, seeds: Sequence[int], cells: Iterable[Architecture]
) -> Iterator[list[Architecture]]:
    """Group cells for :meth:`CellTrainer.measure`: cells of the same layers with weights, as many as gain by it.

    A group comes as soon as it is full, and the groups that never are come last.
    """
    config = NetworkConfig(recipe.network.channels, recipe.network.cells, classes=1)
    features = 4 * config.channels * recipe.data.image_size**2 * recipe.training.batch_size
    most = max(1, GROUP_BYTES // (features * len(seeds)))
    groups: defaultdict[tuple[tuple[str, torch.Size], ...], list[Architecture]] = defaultdict(list)
    for cell in cells:
        with torch.device("meta"):
            weights = space.network(cell, config).named_parameters()
        layers = tuple((name, weight.shape) for name, weight in weights)
        groups[layers].append(cell)
        if len(groups[layers]) == most:
            yield groups.pop(layers)
    yield from groups.values()


class CellTrainer:
    """Trains cells under one recipe.

    Args:
        space: of the cells.
        data: the images.
        recipe: its ``epochs`` is the full budget.
        seeds: training seeds.
        device: of the networks.
    """

    def __init__(
        self, space: SearchSpace, data: BenchmarkImages, recipe: Recipe, seeds: Sequence[int], device: torch.device
    ) -> None:
        self.space, self.data, self.recipe, self.seeds, self.device = space, data, recipe, list(seeds), device
        settings = recipe.training
        self.config = NetworkConfig(recipe.network.channels, recipe.network.cells, data.classes)
        pixels = 3 * recipe.data.image_size**2
        self._keep = 4 * pixels * len(data.train) * settings.epochs * len(self.seeds) <= CACHED_BYTES
        self._kept: list[list[tuple[Tensor, Tensor]]] = []

    def size(self, cell: Architecture) -> tuple[int, int]:
        """Count the parameters of a cell's network, and the multiply-accumulate operations of one image."""
        network = self.space.network(cell, self.config)
        return parameters(network), flops(network, self.recipe.data.image_size)

    def measure(self, cells: Sequence[Architecture], epochs: int) -> list[MeasuredCell]:
        """Train a group of cells for so many epochs, over which the learning rate falls, and test them.

        A network whose loss is no longer finite has the accuracy of its guesses.
        """
        network, settings = self._network(cells), self.recipe.training
        optimizer = make_sgd(
            network.parameters(),
            settings,
            fused=True,  # goes by memory order, which backward() makes that of the weight
        )
        mixed_precision = uses_mixed_precision(self.device, settings.precision)
        count = len(cells) * len(self.seeds)
        trained = _Means(count)
        start = time.process_time()
        network.train()
        for epoch, batches in zip(range(epochs), self._epochs(), strict=False):
            set_learning_rate(optimizer, settings, epoch, epochs)
            trained = _Means(count)
            for images, labels in batches:
                with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed_precision):
                    losses, correct = _forward(network, images, labels, len(cells), settings.label_smoothing)
                descend(losses.sum(), optimizer)
                trained.add(losses, correct, len(labels))
        train_seconds = time.process_time() - start
        valid = self._test(network, self.data.valid, len(cells))
        valid_seconds = time.process_time() - start
        test = self._test(network, self.data.test, len(cells))
        return [
            MeasuredCell(
                train_accuracy=trained.accuracy[mine],
                train_loss=trained.loss[mine],
                valid_accuracy=valid.accuracy[mine],
                valid_loss=valid.loss[mine],
                test_accuracy=test.accuracy[mine],
                test_loss=test.loss[mine],
                train_seconds=train_seconds / count,
                valid_seconds=valid_seconds / count,
            )
            for mine in (slice(at, at + len(self.seeds)) for at in range(0, count, len(self.seeds)))
        ]

    def _network(self, cells: Sequence[Architecture]) -> nn.Module:
        """Stack the networks of the cells, one a training seed."""
        networks = []
        for cell in cells:
            for seed in self.seeds:
                network = self.space.network(cell, self.config)
                initialize(network, lambda name, seed=seed: stream(f"retrain/{seed}", "weights", name))  # type: ignore[misc]
                networks.append(network)
        return stack_networks(networks).to(self.device)

    def _epochs(self) -> Iterator[list[tuple[Tensor, Tensor]] | Iterator[tuple[Tensor, Tensor]]]:
        """Yield the batches of epoch after epoch; they are made only once if they fit into :data:`CACHED_BYTES`."""
        if not self._keep:
            yield from self._make_epochs()
        if not self._kept:
            epochs = self._make_epochs()
            self._kept = [list(next(epochs)) for _ in range(self.recipe.training.epochs)]
        yield from self._kept

    def _make_epochs(self) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        streams = [Streams(f"retrain/{seed}") for seed in self.seeds]
        while True:
            orders = [self.data.train.shuffled(each["train-order"], each["train-augmentation"]) for each in streams]
            yield (
                self._stack_batches([batch.images for batch in step], [batch.labels for batch in step])
                for step in zip(*orders, strict=True)
            )

    def _test(self, network: nn.Module, images: Images, cells: int) -> _Means:
        network.eval()
        seeds = len(self.seeds)
        sums = _Means(cells * seeds)
        with torch.no_grad():
            for batch in images.in_order():
                stacked = self._stack_batches([batch.images] * seeds, [batch.labels] * seeds)
                sums.add(*_forward(network, *stacked, cells), len(batch.labels))
        return sums

    def _stack_batches(self, images: list[Tensor], labels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Stack the batches of S seeds: images (batch, S·3, h, w), labels (batch, S)."""
        stacked = torch.cat(images, dim=1).contiguous(memory_format=torch.channels_last)
        return stacked, torch.stack(labels, dim=1)


def _forward(
    network: nn.Module, images: Tensor, labels: Tensor, cells: int, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Compute the mean cross-entropy and the number of right answers of each network, (cells·S,).

    The images of a batch are (batch, S·3, h, w), those of each seed in turn, and the labels (batch, S).
    """
    images = torch.cat([images] * cells, dim=1)
    targets = labels.repeat(1, cells)
    logits = network(images).unflatten(1, (targets.shape[1], -1)).transpose(1, 2)  # (batch, classes, cells·S)
    losses = nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)
    return losses.mean(dim=0), (logits.detach().argmax(dim=1) == targets).sum(dim=0)


class _Means:
    """Mean loss and accuracy (%) of each of S networks over the images of an epoch."""

    def __init__(self, count: int) -> None:
        self._loss, self._correct = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        self._images = 0

    def add(self, losses: Tensor, correct: Tensor, images: int) -> None:
        self._loss = self._loss.to(losses.device) + images * losses.detach().double()
        self._correct = self._correct.to(losses.device) + correct
        self._images += images

    @property
    def loss(self) -> list[float]:
        return (self._loss / self._images).tolist()

    @property
    def accuracy(self) -> list[float]:
        return (100 * self._correct / self._images).tolist()
