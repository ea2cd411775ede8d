"""Building a table: stacked trainings against plain ones, resuming, and what the table then says."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness import registry
from harness.benchmark_builder import cell_training
from harness.benchmark_builder.build import BuildPlan, measure_cells, plan_build
from harness.benchmark_builder.cell_training import BenchmarkImages, CellTrainer, benchmark_images, group_cells
from harness.benchmark_builder.stacked_networks import stack_networks
from harness.benchmark_builder.table import store_table
from harness.benchmarks.load import load_table
from harness.benchmarks.retraining_noise import retraining_noise
from harness.benchmarks.store import tables_directory
from harness.benchmarks.table import TabularBenchmark
from harness.config.recipe import Optimization, Recipe, load_recipe
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.random_streams import Streams, stream
from harness.retraining.test_set import load_test_set
from harness.search.training import cosine
from harness.spaces.base import Architecture, NetworkConfig, initialize
from harness.spaces.network_size import flops, parameters
from tests.support.command_line import call, refusal
from tests.support.toy import NAS_BENCH_201 as SPACE

pytestmark = pytest.mark.usefixtures("work")

CPU = torch.device("cpu")
SMALL = ["network.channels=2", "data.image_size=8", "training.epochs=3", "training.batch_size=200"]
CELL = SPACE.parse("|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|")

FIRST_CELLS = """
from harness.spaces.nas_bench_201.space import NASBench201

class FirstCells(NASBench201):
    name = "first-cells"
    summary = "the first twelve cells of NAS-Bench-201"
    size = 12
"""


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def small_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with a space of twelve cells, and an empty folder for tables."""
    folder = tmp_path / "installed"
    information = folder / "first_cells-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "first_cells.py").write_text(FIRST_CELLS)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: first-cells\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[harness.spaces]\nfirst-cells = first_cells:FirstCells\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("HARNESS_TABLES_DIR", str(tmp_path / "tables"))
    registry.refresh()
    yield
    registry.refresh()


def recipe() -> Recipe:
    return load_recipe("short", SMALL)


def digits() -> BenchmarkImages:
    return benchmark_images(load_training_set("digits"), load_test_set("digits"), recipe(), CPU)


def small_plan() -> BuildPlan:
    space = registry.get_space("first-cells")
    return plan_build("tiny", space, load_training_set("digits"), load_test_set("digits"), recipe(), None, [0, 1])


def no_progress(done: int, cells: int) -> None:
    pass


def alone(cell: Architecture, data: BenchmarkImages, settings: Optimization, seed: int, epochs: int) -> nn.Module:
    """A cell's network of one training seed, trained as plainly as it can be said."""
    network = SPACE.network(cell, NetworkConfig(2, 1, 10))
    initialize(network, lambda name: stream(f"retrain/{seed}", "weights", name))
    streams = Streams(f"retrain/{seed}")
    optimizer = torch.optim.SGD(
        network.parameters(), settings.learning_rate, settings.momentum, 0, settings.weight_decay, settings.nesterov
    )
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = cosine(settings.learning_rate, 0, epoch, epochs)
        for images, labels in data.train.shuffled(streams["train-order"], streams["train-augmentation"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval()


SAME_CONVOLUTIONS = [  # where CELL has a pooling, the others have a skip connection, nothing, or a pooling
    CELL,
    SPACE.parse("|nor_conv_1x1~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"),
    SPACE.parse("|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|nor_conv_3x3~1|skip_connect~2|"),
]


@pytest.mark.parametrize("cells", [SAME_CONVOLUTIONS, 3 * [CELL]], ids=["unlike cells", "one cell"])
def test_stacked_networks_compute_and_learn_what_each_would_alone(cells: list[Architecture]) -> None:
    networks = [SPACE.network(cell, NetworkConfig(4, 1, 10)) for cell in cells]
    for seed, network in enumerate(networks):
        initialize(network, lambda name, seed=seed: stream(seed, name))
        network.double()
    joined = stack_networks(networks)
    images = torch.randn(3, 8, 3, 8, 8, dtype=torch.float64)
    logits = joined(images.transpose(0, 1).flatten(1, 2)).unflatten(1, (3, 10))
    logits.square().mean(dim=(0, 2)).sum().backward()
    learned = dict(joined.named_parameters())
    for seed, network in enumerate(networks):
        expected = network(images[seed])
        torch.testing.assert_close(logits[:, seed], expected)
        expected.square().mean().backward()
        for name, parameter in network.named_parameters():
            gradient = learned[name].grad
            assert gradient is not None
            by_itself = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(gradient.view(3, *parameter.shape)[seed], by_itself)
    joined.eval()
    logits = joined(images.transpose(0, 1).flatten(1, 2)).unflatten(1, (3, 10))
    for seed, network in enumerate(networks):
        torch.testing.assert_close(logits[:, seed], network.eval()(images[seed]))


def test_networks_that_cannot_be_stacked_are_named() -> None:
    def edges(layer: nn.Module | None) -> nn.Module:
        return nn.ModuleDict({} if layer is None else {"edge": layer})

    with pytest.raises(TypeError, match="LayerNorm"):
        stack_networks([nn.LayerNorm(3)])
    with pytest.raises(TypeError, match="square convolutions without bias"):
        stack_networks([nn.Conv2d(1, 1, 3)])
    with pytest.raises(TypeError, match="different shapes"):
        stack_networks([nn.Conv2d(1, 1, 3, bias=False), nn.Conv2d(1, 1, 1, bias=False)])
    with pytest.raises(TypeError, match="a Identity and a Conv2d"):
        stack_networks([edges(nn.Identity()), edges(nn.Conv2d(1, 1, 1, bias=False))])
    with pytest.raises(TypeError, match="lacks a layer"):
        stack_networks([edges(nn.Conv2d(1, 1, 1, bias=False)), edges(None)])
    with pytest.raises(TypeError, match="two Sequential of other layers"):
        stack_networks([nn.Sequential(nn.ReLU()), nn.Sequential()])


def test_cells_of_the_same_convolutions_are_trained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SPACE.parse("|nor_conv_1x1~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|skip_connect~2|")
    cells = [SAME_CONVOLUTIONS[0], other, SAME_CONVOLUTIONS[1], SAME_CONVOLUTIONS[2]]
    assert list(group_cells(SPACE, recipe(), [0, 1], cells)) == [SAME_CONVOLUTIONS, [other]]
    monkeypatch.setattr(
        "harness.benchmark_builder.cell_training.GROUP_BYTES", 2 * 2 * 4 * 2 * 8**2 * 200
    )  # two cells, two seeds
    assert list(group_cells(SPACE, recipe(), [0, 1], cells)) == [SAME_CONVOLUTIONS[:2], [other], SAME_CONVOLUTIONS[2:]]
    wide = load_recipe("short", [*SMALL, "network.channels=4"])
    assert list(group_cells(SPACE, wide, [0, 1], cells)) == [[cell] for cell in cells]


def test_the_halves_are_disjoint_and_complete() -> None:
    data, training = digits(), load_training_set("digits")
    assert len(data.train) == len(data.valid) == len(training.labels) // 2
    order = torch.randperm(len(training.labels), generator=stream("fixed", "split"))
    assert torch.equal(torch.cat([data.train.labels, data.valid.labels]), training.labels[order])


@pytest.mark.parametrize("group_bytes", [2**21, 0], ids=["together", "one by one"])
def test_cells_are_trained_as_a_plain_loop_would(group_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.benchmark_builder.cell_training.GROUP_BYTES", group_bytes)
    exact = {name: getattr(digits().train, name).double() for name in ("mean", "sd")}
    halves = (replace(images, **exact) for images in (digits().train, digits().valid, digits().test))
    data = BenchmarkImages(*halves, classes=10)
    torch.set_default_dtype(torch.float64)  # in float32, rounding errors grow to per cents within 40 steps
    trainer = CellTrainer(SPACE, data, recipe(), [3, 4], CPU)
    groups = list(group_cells(SPACE, recipe(), [3, 4], SAME_CONVOLUTIONS[:2]))
    assert len(groups) == (1 if group_bytes else 2)
    found = [measured for group in groups for measured in trainer.measure(group, epochs=3)]
    for cell, measured in zip(SAME_CONVOLUTIONS[:2], found, strict=True):
        for number, seed in enumerate([3, 4]):
            network = alone(cell, data, recipe().training, seed, epochs=3)
            for name, images in (("valid", data.valid), ("test", data.test)):
                batches = list(images.in_order())
                with torch.no_grad():
                    logits = torch.cat([network(batch.images) for batch in batches])
                loss = float(nn.functional.cross_entropy(logits, images.labels))
                accuracy = 100 * float((logits.argmax(dim=1) == images.labels).float().mean())
                assert measured[f"{name}_loss"][number] == pytest.approx(loss)  # type: ignore[literal-required]
                assert measured[f"{name}_accuracy"][number] == pytest.approx(accuracy)  # type: ignore[literal-required]


def test_seconds_are_those_of_the_training_and_of_a_validation_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = 0

    def counted(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal batches
        batches += 1
        return forward(*arguments)

    forward = cell_training._forward
    monkeypatch.setattr(cell_training, "_forward", counted)
    monkeypatch.setattr("harness.benchmark_builder.cell_training.time.process_time", lambda: float(batches))
    data = digits()
    trainer = CellTrainer(SPACE, data, recipe(), [0, 1], CPU)
    valid = len(list(data.valid.in_order()))
    for epochs in (1, 3):
        [found] = trainer.measure([CELL], epochs)
        assert 2 * found["train_seconds"] == epochs * data.train.batches  # two seeds share them
        assert 2 * found["valid_seconds"] == epochs * data.train.batches + valid


def test_batches_that_are_kept_are_those_that_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    data = digits()
    kept = CellTrainer(SPACE, data, recipe(), [0], CPU)
    [first] = kept.measure([CELL], epochs=1)
    kept.measure([CELL], epochs=3)
    [again] = kept.measure([CELL], epochs=1)
    monkeypatch.setattr("harness.benchmark_builder.cell_training.CACHED_BYTES", 0)
    [made] = CellTrainer(SPACE, data, recipe(), [0], CPU).measure([CELL], epochs=1)
    for found in (again, made):
        assert found["test_loss"] == first["test_loss"]


@pytest.mark.usefixtures("small_space")
def test_a_table_is_built_interrupted_and_taken_up_again(tmp_path: Path) -> None:
    arguments = ["benchmark", "build", "--space", "first-cells", "--name", "tiny", "--seeds", "2", "--jobs", "2"]
    arguments += [f"--set={setting}" for setting in SMALL]
    planned = small_plan()
    killed: list[int | None] = []

    def kill_a_process(done: int, cells: int) -> None:
        if done and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0] or 0, signal.SIGKILL)

    with pytest.raises(HarnessError, match="the same command goes on"):
        measure_cells(planned, 2, "cpu", None, kill_a_process)
    kept = (planned.folder / "measured.jsonl").read_bytes()
    assert kept.count(b"\n") >= 1
    (planned.folder / "measured.jsonl").write_bytes(kept + b'{"index": 5, "measu')  # as a full disk leaves it
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    assert not planned.folder.parent.exists()

    space = registry.get_space("first-cells")
    table = load_table("tiny", space)
    for row in map(json.loads, kept.splitlines()):  # measured once: no second training takes as long to the nanosecond
        assert table.columns["digits", "train_seconds"][row["index"]] == row["measured"]["3"]["train_seconds"]
        assert table.columns["digits", "train_seconds@1"][row["index"]] == row["measured"]["1"]["train_seconds"]
    data = digits()
    for index in (0, 7):
        [expected] = CellTrainer(space, data, recipe(), [0, 1], CPU).measure([space.architecture(index)], epochs=3)
        assert table.test_accuracy("digits")[index] == pytest.approx(np.mean(expected["test_accuracy"]))
        assert table.columns["digits", "valid_accuracy@3/1"][index] == expected["valid_accuracy"][1]
        network = space.network(space.architecture(index), NetworkConfig(2, 1, 10))
        assert table.columns["digits", "parameters"][index] == parameters(network)
        assert table.columns["digits", "flops"][index] == flops(network, 8)
    seeds = np.stack([table.columns["digits", f"test_accuracy@3/{seed}"] for seed in (0, 1)])
    rng = (np.abs(seeds[0] - seeds[1]) / 2).mean()  # the standard error of a mean of two
    assert retraining_noise(table, "digits", space) == pytest.approx(rng)
    assert table.provenance["plan"]["seeds"] == [0, 1]
    assert "after 1 epoch;" in call("benchmark", "query", "3", "--space", "first-cells", "--table", "tiny").output
    assert "there is a table tiny already" in refusal(call(*arguments))


@pytest.mark.usefixtures("small_space")
def test_what_was_measured_is_kept_until_the_table_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    space, planned = registry.get_space("first-cells"), small_plan()
    other = planned.folder.parent / "unfinished"
    for folder in (planned.folder, other):
        folder.mkdir(parents=True)
    table = TabularBenchmark("tiny", space.name, {("digits", "test_accuracy"): np.full(12, 50.0)}, {"name": "tiny"})
    damaged = replace(table, columns={("digits", "test_accuracy"): np.full(12, 51.0)})
    with monkeypatch.context() as patch:
        patch.setattr("harness.benchmark_builder.table.read_parquet", lambda *_: damaged)
        with pytest.raises(HarnessError, match="not read back as it was written"):
            store_table(planned, space, table)
    assert planned.folder.exists()
    (tables_directory() / "tiny.parquet").unlink()
    store_table(planned, space, table)
    assert not planned.folder.exists()
    assert other.exists()


@pytest.mark.usefixtures("small_space")
def test_another_plan_under_the_same_name_is_refused() -> None:
    planned = small_plan()
    planned.folder.mkdir(parents=True)
    other = {"name": "tiny", "seeds": [5]}
    (planned.folder / "plan.json").write_text(json.dumps(other))
    with pytest.raises(HarnessError, match=r"begun with another .*seeds.*; go on with the command of then"):
        measure_cells(planned, 1, "cpu", None, no_progress)


@pytest.mark.usefixtures("small_space")
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--short=9", "--short"),
        ("--dataset=cifar10", "cifar10"),
        ("--name=a/b", "cannot be the name of a table"),
        ("--set=training.epochs=0", "training.epochs"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(option: str, message: str, tmp_path: Path) -> None:
    result = call("benchmark", "build", option, f"--data-dir={tmp_path / 'absent'}")
    assert message in refusal(result)
