"""Training one cell's discrete network from scratch, and testing it once: a process of its own, like a search's.

Started by :mod:`harness.execution.local`. Nothing of a search imports this module: it is the only one that hands test
images to a network.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.config.recipe import Recipe
from harness.data.batches import Images, moments, shrink
from harness.data.training_set import TrainingSet
from harness.errors import Diverged
from harness.methods.base import Passes
from harness.methods.search_state import classify
from harness.random_streams import Streams, stream
from harness.retraining.test_set import TestSet, load_test_set
from harness.runs import process
from harness.runs.environment import compute_reproducibly
from harness.runs.schema import TraceRow, TrainingConfig
from harness.search.cost import Cost
from harness.search.epoch import Mean, Tick, trace_row
from harness.search.training import make_sgd, set_learning_rate, train_epoch, uses_mixed_precision
from harness.search.worker import training_set
from harness.spaces.base import Architecture, NetworkConfig, SearchSpace, initialize


def main() -> None:
    """Train in the folder named on the command line."""
    process.main(train)


def train(
    progress: process.Progress, data_directory: Path | None, device_name: str, emit: process.Emit
) -> dict[str, Any]:
    """Train until the last epoch, then test; what the result says besides: ``test_loss`` and ``test_accuracy`` (%)."""
    from harness.registry import get_space

    config: TrainingConfig = progress.folder.read_json("config.json")
    compute_reproducibly(config["threads"])
    space, recipe = get_space(config["space"]), Recipe.model_validate(config["recipe"])
    images = training_set(progress.folder, data_directory)
    cell = space.parse(config["architecture"])
    training = Training(cell, space, images, recipe, config["seed"], torch.device(device_name))
    progress.resume(training, emit)
    progress.to_the_end(training, config["epochs"], emit)
    tested = training.test(load_test_set(config["dataset"], data_directory, download=False))
    return {"test_loss": tested.loss, "test_accuracy": tested.accuracy}


class Training:
    """One training of a cell's network from scratch; see :class:`harness.runs.process.EpochByEpoch`."""

    def __init__(
        self,
        cell: Architecture,
        space: SearchSpace,
        training: TrainingSet,
        recipe: Recipe,
        seed: int,
        device: torch.device,
    ) -> None:
        self.cell, self.space, self.recipe, self.device = cell, space, recipe, device
        # Streams of its own: nothing a search of the same seed has drawn comes again.
        self.streams = Streams(f"retrain/{seed}")
        self.cost = Cost(device)
        self.passes = Passes()
        images = shrink(training.images, recipe.data.image_size)
        train = Images(images, training.labels, *moments(images), recipe.data, recipe.training.batch_size)
        self.images = train.to(device)
        self.network = space.network(
            cell, NetworkConfig(recipe.network.channels, recipe.network.cells, training.classes)
        )
        initialize(self.network, lambda name: stream(f"retrain/{seed}", "weights", name))
        self.network.to(device)
        self.optimizer = make_sgd(self.network.parameters(), recipe.training)

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """One epoch, from 0, and its row. Raises :class:`Diverged` where the loss is not a finite number."""
        settings, trained = self.recipe.training, Mean()
        set_learning_rate(self.optimizer, settings, epoch, settings.epochs)
        train_epoch(
            self.network.train(),
            self.optimizer,
            self.images,
            self.streams,
            trained=trained,
            cost=self.cost,
            passes=self.passes,
            tick=tick,
            label_smoothing=settings.label_smoothing,
            mixed_precision=uses_mixed_precision(self.device, settings.precision),
        )
        if not math.isfinite(trained.loss or 0.0):
            raise Diverged(f"the training loss became {trained.loss} in epoch {epoch + 1}")
        row = trace_row(
            epoch, self.space, self.cell, self.cost, self.passes, trained=trained, valid=(None, None), alpha=None
        )
        return {**row, "operations": {}}  # the cell does not change

    def test(self, test: TestSet) -> Mean:
        """Loss and accuracy on all test images, by running statistics.

        The images are normalised as the training images are. Raises :class:`Diverged` where the loss is not a finite
        number.
        """
        images = shrink(test.images, self.recipe.data.image_size)
        tested = Mean()
        self.network.eval()
        with torch.no_grad():
            for batch in replace(self.images, images=images, labels=test.labels).to(self.device).in_order():
                tested.add(classify(self.network, batch, self.passes), len(batch.labels))
        if not math.isfinite(tested.loss or 0.0):
            raise Diverged(f"the test loss is {tested.loss}")
        return tested

    def alphas(self) -> None:
        """There are no architecture parameters."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "streams": self.streams.state_dict(),
            "passes": vars(self.passes).copy(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.streams.load_state_dict(state["streams"])
        self.passes = Passes(**state["passes"])
        self.cost.load_state_dict(state["cost"])
