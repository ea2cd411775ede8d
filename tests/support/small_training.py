"""Training from scratch in small, for tests, and the fixtures that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.data.training_set import TrainingSet, load_training_set
from harness.retraining.trainings import Retraining, prepare
from tests.support.toy import NAS_BENCH_201 as SPACE

TINY = [
    *("data.image_size=4", "data.crop_padding=1", "network.channels=2", "network.cells=1"),
    *("training.epochs=3", "training.batch_size=20"),
]
SMALL = 50
"""Images of the training set here, and of the test set."""
CELL = SPACE.parse("|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|")


def training_set() -> TrainingSet:
    loaded = load_training_set("digits")
    return replace(loaded, images=loaded.images[:SMALL], labels=loaded.labels[:SMALL])


def retraining(runs: Path, *overrides: str, seeds: tuple[int, ...] = (0,)) -> Retraining:
    return prepare(runs, SPACE, training_set(), "short", [*TINY, *overrides], seeds, None)
