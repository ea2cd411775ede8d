"""Training cells from scratch: the recipe, the loop, folders that are shared, and the two commands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from harness import training, worker
from harness.batches import random_crop, shrink
from harness.cli.main import harness
from harness.data import TrainingSet, load_test_set, load_training_set
from harness.errors import HarnessError
from harness.executor import Listener, Workers
from harness.experiment import begin
from harness.recipe import Recipe, load_recipe, names
from harness.results import load_results
from harness.retrain import Retraining, prepare, representative, summary
from harness.runs import RunFolder
from harness.streams import stream
from harness.training import Training
from spaces.base import Architecture, NetworkConfig, initialise
from spaces.nas_bench_201.encoding import NONE, SKIP
from tests.toy import NAS_BENCH_201 as SPACE
from tests.toy import identical

CPU = torch.device("cpu")
TINY = [
    *("data.image_size=4", "data.crop_padding=1", "network.channels=2", "network.cells=1"),
    *("training.epochs=3", "training.batch_size=20"),
]
SMALL = 50
"""Images of the training set here, and of the test set."""
CELL = SPACE.parse("|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|")


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def small_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits with few images."""

    def cut(loaded: Any) -> Any:
        return replace(loaded, images=loaded.images[:SMALL], labels=loaded.labels[:SMALL])

    for place in ("harness.training", "harness.retrain"):
        monkeypatch.setattr(f"{place}.load_test_set", lambda *_, **__: cut(load_test_set("digits")))
    monkeypatch.setattr("harness.training.load_training_set", lambda *_, **__: training_set())


def training_set() -> TrainingSet:
    loaded = load_training_set("digits")
    return replace(loaded, images=loaded.images[:SMALL], labels=loaded.labels[:SMALL])


def retraining(runs: Path, *overrides: str, seeds: tuple[int, ...] = (0,)) -> Retraining:
    return prepare(runs, SPACE, training_set(), "short", [*TINY, *overrides], seeds, None)


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
    initialise(network, lambda name: stream("retrain/3", "weights", name))
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
    begin(planned, {}, fresh=False)

    def emit(event: worker.Event) -> None:
        if break_at is not None and event["kind"] == "progress" and event["done"] > break_at:
            raise Killed

    worker.run(planned.folder, None, "cpu", emit, training.train)
    return planned.folder


def outcome(folder: RunFolder) -> tuple[Any, ...]:
    result = folder.read_json("result.json")
    losses = [(row["train_loss"], row["train_accuracy"]) for row in folder.read_trace()]
    return result["status"], result["test_loss"], result["test_accuracy"], losses


def test_a_broken_training_goes_on_and_ends_bit_for_bit_as_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.Pace, "due", lambda self: True)
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


# --- the commands


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and workers that work in this process."""

    def execute(self: Workers, runs: list[RunFolder], listener: Listener) -> None:
        for run in runs:

            def emit(event: worker.Event, run: RunFolder = run) -> None:
                if event["kind"] == "ended":
                    listener.ended(run, event["status"], event["reason"])

            listener.started(run)
            work = training.train if self.program == "harness.training" else None
            worker.run(run, self.data_directory, self.device, emit, work)

    for name in ("HARNESS_RUNS_DIR", "HARNESS_DATA_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Workers, "execute", execute)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(harness, arguments)


def sets(prefix: str = "") -> list[str]:
    return [option for setting in TINY for option in ("--set", f"{prefix}{setting}")]


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


@pytest.mark.usefixtures("work")
def test_retrain_reports_mean_and_sd_over_training_seeds_and_repeats_nothing() -> None:
    command = ("retrain", SPACE.format(CELL), "--seeds", "2", "--no-mlflow", *sets())
    first = call(*command)
    assert first.exit_code == 0, first.output or first.exception
    single = [float(found) for found in re.findall(r"seed \d: test accuracy ([\d.]+) %", first.output)]
    assert len(single) == 2
    printed = re.search(
        r"recipe short v1 \(\w{12}\): ([\d.]+) ± ([\d.]+) %, mean ± sd of 2 training seeds", first.output
    )
    assert printed
    assert [float(value) for value in printed.groups()] == pytest.approx([fmean(single), stdev(single)], abs=0.011)
    assert "C=2, N=1, 10 classes: " in first.output

    again = call("retrain", str(SPACE.index(CELL)), "--seeds", "3", "--no-mlflow", *sets())
    assert again.output.count("(cached)") == 2
    assert again.output.count(": started") == 1
    (folder,) = Path("runs/.retrained").iterdir()
    assert len(list(folder.glob("seed-*"))) == 3


@pytest.mark.usefixtures("work")
def test_a_search_is_evaluated_on_the_data_it_searched_on() -> None:
    search = ("--set", "search.epochs=1", "--set", "data.images=40", "--set", "supernet.channels=4")
    command = ("run", "--method", "darts", "--method", "gdas", "--seeds", "2", "--study", "both", "--no-mlflow")
    command += (*search, "--training-seeds", "2", "--evaluate")
    done = call(*command, "both", *sets("recipe."))
    assert done.exit_code == 0, done.output or done.exception
    assert len(re.findall(r"darts seed \d: retrained on digits, [\d.]+ ± [\d.]+ %", done.output)) == 2
    frame = load_results("both").set_index(["method", "seed"])
    assert frame[["test_cifar10", "retrained_digits"]].notna().all(axis=None)

    files = list(Path("runs").glob("both/*/*/evaluation.json"))
    assert len(files) == 4
    for file in files:
        evaluation = RunFolder(file.parent).evaluation
        assert evaluation is not None
        values = [value for value in evaluation["retrained"]["digits"] if value is not None]
        assert len(values) == 2
        row = frame.loc[tuple(RunFolder(file.parent).config[key] for key in ("label", "seed"))]
        assert row.retrained_digits == pytest.approx(fmean(values))
        assert evaluation["recipe"].startswith("short v1 (")
    before = [file.read_bytes() for file in files]
    assert call(*command, "both", *sets("recipe.")).exit_code == 0
    assert [file.read_bytes() for file in files] == before

    report = call("report", "--study", "both")
    assert report.exit_code == 0, report.exception
    written = Path("runs/both/report")
    assert (written / "tables" / "accuracy-retrained-digits.csv").is_file()
    page = written.joinpath("report.html").read_text()
    assert "Accuracy on digits, retrained" in page
    assert "oo few distinct cells to correlate the accuracy retrained on digits" in page


@pytest.mark.usefixtures("work")
def test_a_training_that_fails_is_told_and_the_search_stands() -> None:
    options = ["--set", "recipe.training.learning_rate=1e30", "--no-mlflow", *sets("recipe.")]
    command = ("run", "--method", "random-search", "--seeds", "1", "--set", "search.epochs=1", "--evaluate", "retrain")
    done = call(*command, "--set", "data.images=40", *options)
    assert done.exit_code == 1
    assert "1 of 1 runs finished" in done.output
    assert "diverged: the training loss became" in done.output
    assert "random-search seed 0: retrained on digits, none of 3 trainings finished" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("retrain 99999", "15624"),
        ("retrain 5 --recipe shrot", r"unknown recipe 'shrot', did you mean 'short'\?"),
        ("retrain 5 --dataset mnist", "unknown dataset 'mnist'"),
        ("retrain 5 --dataset imagenet16-120", "imagenet16-120 is neither in .*--data-dir"),
        ("retrain 5 --set training.lr=1", "unknown setting 'training.lr'"),
        ("retrain 5 --device tpu", "--device tpu cannot be used"),
        ("run --method darts --recipe short", "a recipe is for retraining; add --evaluate retrain or"),
        ("run --method darts --set recipe.training.epochs=2", "a recipe is for retraining; add --evaluate"),
        ("run --method darts --evaluate both --set recipe.training.epochs=0", "training.epochs"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_creates_nothing(arguments: str, message: str, work: Path) -> None:
    result = call(*arguments.split())
    assert result.exception is not None
    assert re.search(message, str(result.exception))
    assert "\n" not in str(result.exception)
    assert list(work.iterdir()) == []
