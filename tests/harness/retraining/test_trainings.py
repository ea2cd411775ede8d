"""Training cells from scratch: the recipe, the loop and folders that are shared."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.config.recipe import Recipe, load_recipe, names
from harness.data.batches import random_crop, shrink
from harness.errors import HarnessError
from harness.random_streams import stream
from harness.retraining import worker
from harness.retraining.test_set import load_test_set
from harness.retraining.trainings import Retraining, representative, summary
from harness.retraining.worker import Training
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.spaces.base import Architecture, NetworkConfig, initialize
from harness.spaces.nas_bench_201.encoding import NONE, SKIP
from harness.study.planned_run import prepare_folder
from tests.support.small_training import CELL, SMALL, TINY, retraining, training_set
from tests.support.toy import NAS_BENCH_201 as SPACE
from tests.support.toy import identical

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("small_digits")


# --- recipes


def test_the_recipe_of_the_benchmark() -> None:
    recipe = load_recipe("nas-bench-201")
    assert (recipe.network.channels, recipe.network.cells) == (16, 5)
    assert (recipe.data.image_size, recipe.data.crop_padding, recipe.data.flip) == (32, 4, True)
    t = recipe.training
    assert (t.epochs, t.batch_size, t.learning_rate, t.learning_rate_min) == (200, 256, 0.1, 0)
    assert (t.momentum, t.nesterov, t.weight_decay, t.label_smoothing) == (0.9, True, 5e-4, 0)


def test_every_recipe_is_complete_and_goes_by_its_name() -> None:
    recipes = [load_recipe(name) for name in names()]
    assert [recipe.name for recipe in recipes] == names()
    assert len({recipe.hash for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        assert Recipe.model_validate(recipe.model_dump(mode="json")).hash == recipe.hash


def test_settings_change_the_hash_and_a_name_does_not(tmp_path: Path) -> None:
    recipe = load_recipe("short")
    assert load_recipe("short", ["training.epochs=3"]).hash != recipe.hash
    assert load_recipe("short", ["training.precision=float32"]).hash != recipe.hash
    assert load_recipe("short", ["name=other", "version=7"]).hash == recipe.hash


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", r"unknown setting 'training.epoch', did you mean 'training.epochs'\?"),
        ("training.epochs=0", r"recipe short: training.epochs: .*greater than or equal to 1 \(got 0\)"),
        ("training.momentum=0", "nesterov needs a momentum above 0"),
        ("data.images=5", "unknown setting 'data.images'"),
        ("data.image_size=12", "does not divide the 32 pixels of digits; it can be 4, 8, 16, 32"),
        ("training.batch_size=7", "leaves one image of digits alone in the last batch"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=message) as caught:
        retraining(tmp_path, override)
    assert "\n" not in str(caught.value)


# --- the loop


def quiet(_: float) -> None:
    pass


def test_training_is_what_a_plain_loop_does() -> None:
    recipe = load_recipe("short", [*TINY, "data.flip=true", "training.label_smoothing=0.1"])
    mine = Training(CELL, SPACE, training_set(), recipe, 3, CPU)
    rows = [mine.run_epoch(epoch, quiet) for epoch in range(2)]

    data, t = training_set(), recipe.training
    images = shrink(data.images, 4)
    pixels = images.double()
    mean = pixels.mean(dim=(0, 2, 3)).float()[None, :, None, None]
    sd = pixels.std(dim=(0, 2, 3), correction=0).float()[None, :, None, None]
    network = SPACE.network(CELL, NetworkConfig(channels=2, cells=1, classes=10))
    initialize(network, lambda name: stream("retrain/3", "weights", name))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    order, augmentation = stream("retrain/3", "train-order"), stream("retrain/3", "train-augmentation")
    losses = []
    for epoch in range(2):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * epoch / 3)) / 2
        total = 0.0
        for index in torch.randperm(SMALL, generator=order).split(20):
            batch = random_crop(images[index], 1, augmentation)
            mirrored = torch.rand(len(index), generator=augmentation) < 0.5
            batch[mirrored] = batch[mirrored].flip(3)
            loss = nn.functional.cross_entropy(
                network((batch - mean) / sd), data.labels[index], label_smoothing=t.label_smoothing
            )
            network.zero_grad()
            loss.backward()
            optimizer.step()
            total += len(index) * loss.item()
        losses.append(total / SMALL)
    assert identical(list(mine.network.state_dict().values()), list(network.state_dict().values()))
    assert [row["train_loss"] for row in rows] == pytest.approx(losses)
    assert rows[-1]["examples"] == 2 * SMALL

    test = load_test_set("digits")
    tested = mine.test(test)
    network.eval()
    with torch.no_grad():
        logits = network((shrink(test.images, 4) - mean) / sd)
    assert tested.accuracy == pytest.approx(100 * (logits.argmax(1) == test.labels).double().mean().item())
    assert tested.loss == pytest.approx(nn.functional.cross_entropy(logits, test.labels).item(), rel=1e-5)


def test_the_learning_rate_falls_by_a_cosine_epoch_by_epoch() -> None:
    recipe = load_recipe("short", [*TINY, "training.epochs=4", "training.learning_rate_min=0.02"])
    started = Training(CELL, SPACE, training_set(), recipe, 0, CPU)
    rates = []
    for epoch in range(4):
        started.run_epoch(epoch, lambda _: rates.append(started.optimizer.param_groups[0]["lr"]))
    steps = len(rates) // 4
    expected = [0.02 + 0.08 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates == pytest.approx([rate for rate in expected for _ in range(steps)])


# --- folders


class Killed(BaseException):
    """Stands for a kill."""


def train(how: Retraining, cell: Architecture, seed: int = 0, break_at: int | None = None) -> RunFolder:
    """Train a cell in this process; break off in the midst of the epoch after ``break_at`` epochs."""
    planned = how.plan(cell, seed, 1)
    prepare_folder(planned, {}, fresh=False)

    def emit(event: process.Event) -> None:
        if break_at is not None and event["kind"] == "progress" and event["done"] > break_at:
            raise Killed

    process.run(planned.folder, None, "cpu", emit, worker.train)
    return planned.folder


def outcome(folder: RunFolder) -> tuple[Any, ...]:
    result = folder.read_json("result.json")
    losses = [(row["train_loss"], row["train_accuracy"]) for row in folder.read_trace()]
    return result["status"], result["test_loss"], result["test_accuracy"], losses


def test_a_broken_training_goes_on_and_ends_bit_for_bit_as_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.Pace, "due", lambda self: True)
    whole = train(retraining(tmp_path / "whole"), CELL)
    broken = retraining(tmp_path / "broken")
    for epochs in (0, 1, 2):
        with pytest.raises(Killed):
            train(broken, CELL, break_at=epochs)
        folder = broken.plan(CELL, 0, 1).folder
        assert len(folder.read_trace()) == epochs
        assert folder.result is None
        assert broken.accuracies(CELL) == [None]
    folder = train(broken, CELL)
    assert outcome(folder) == outcome(whole)
    assert broken.plan(CELL, 0, 1).cached
    assert sorted(file.name for file in folder.path.iterdir() if file.suffix) == [
        "config.json",
        "environment.json",
        "result.json",
        "trace.jsonl",
    ]


def test_the_identity_is_what_can_change_the_result(tmp_path: Path) -> None:
    base = retraining(tmp_path, seeds=(0, 1))
    other = replace(base, training=replace(base.training, digest="0" * 64))
    test = replace(base, test=replace(base.test, digest="0" * 64))
    plans = [
        base.plan(CELL, 0, 1),
        base.plan(CELL, 1, 1),
        base.plan(SPACE.architecture(0), 0, 1),
        other.plan(CELL, 0, 1),
        test.plan(CELL, 0, 1),
        retraining(tmp_path, "training.epochs=2").plan(CELL, 0, 1),
    ]
    assert len({plan.config["identity"] for plan in plans}) == len(plans)
    assert base.plan(CELL, 0, 2).folder == plans[0].folder
    renamed = replace(base, recipe=base.recipe.model_copy(update={"name": "other", "version": 9}))
    assert renamed.plan(CELL, 0, 1).config["identity"] == plans[0].config["identity"]


def test_isomorphic_cells_share_their_training(tmp_path: Path) -> None:
    one = (SKIP, NONE, NONE, NONE, NONE, NONE)  # nothing reaches the output
    others = [cell for cell in map(SPACE.architecture, range(0, SPACE.size, 97)) if SPACE.canonical(cell) == "#"]
    same = representative(SPACE, one)
    assert SPACE.canonical(same) == SPACE.canonical(one)
    assert all(SPACE.index(same) <= SPACE.index(cell) for cell in [one, *others])
    how = retraining(tmp_path)
    folder = train(how, one)
    for cell in others:
        planned = how.plan(cell, 0, 1)
        assert planned.folder == folder
        assert planned.cached


def test_a_training_that_diverges_is_recorded_and_not_repeated(tmp_path: Path) -> None:
    how = retraining(tmp_path, "training.learning_rate=1e30")
    folder = train(how, CELL)
    result = folder.result
    assert result is not None
    assert result["status"] == "diverged"
    assert re.fullmatch(r"the training loss became (nan|inf) in epoch \d", result["reason"])
    assert how.plan(CELL, 0, 1).state == "diverged"
    assert how.accuracies(CELL) == [None]


def test_an_error_is_recorded_and_the_next_command_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = retraining(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "test", lambda *_: 1 / 0)
        result = train(how, CELL).result
    assert result is not None
    assert (result["status"], result["reason"][:17]) == ("failed", "ZeroDivisionError")
    assert how.plan(CELL, 0, 1).state == "goes on"
    assert outcome(train(how, CELL))[0] == "finished"


def test_the_summary_counts_what_did_not_finish() -> None:
    assert summary([90.0, 92.0]) == "91.00 ± 1.41 %, mean ± sd of 2 training seeds"
    assert summary([90.0]) == "90.00 %, one training seed"
    assert summary([90.0, None, 92.0]).endswith("2 training seeds, 1 of 3 training seeds did not finish")
    assert summary([None, None]) == "none of 2 trainings finished"
