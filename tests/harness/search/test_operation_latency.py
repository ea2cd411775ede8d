"""Latencies of operations: what is measured, kept and paid for. Clocks are made up: no test depends on timing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.methods.darts import DARTS
from harness.reports.figures.accuracy import accuracy_and_latency
from harness.reports.results.comparison import make_comparison
from harness.runs.results import load_study
from harness.search import operation_latency
from harness.search.operation_costs import operation_costs
from harness.search.operation_latency import Latencies, latencies
from harness.spaces.base import NetworkConfig
from harness.spaces.network_size import LATENCY_BATCH, flops
from harness.study.planning import plan_runs
from tests.support import studies
from tests.support.small_search import protocol, run
from tests.support.toy import NAS_BENCH_201

CONFIG, IMAGE_SIZE = NetworkConfig(channels=2, cells=1, classes=3), 8
MADE_UP: Latencies = [[0.0, 0.001, 0.003, 0.009, 0.002]] * 6


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, and a clock that shows FLOPs, but for every seventh time, when it is slow."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(operation_latency, "cache_directory", lambda: folder)
    passes = 0

    def timed(network: nn.Module, images: torch.Tensor) -> float:
        nonlocal passes
        assert images.shape == (LATENCY_BATCH, 3, IMAGE_SIZE, IMAGE_SIZE)
        passes += 1
        return 1e-9 * flops(network, IMAGE_SIZE) + (1.0 if passes % 7 == 0 else 0.0)

    monkeypatch.setattr(operation_latency, "_timed", timed)
    return folder


def measured(threads: int = 1) -> Latencies:
    return latencies(NAS_BENCH_201, CONFIG, IMAGE_SIZE, "cpu", threads)


def test_an_operation_takes_what_its_networks_take_longer_at_their_fastest() -> None:
    expected = 1e-9 * operation_costs(NAS_BENCH_201, CONFIG, IMAGE_SIZE)[:, :, 1]
    assert np.allclose(measured(), expected)


def test_they_are_measured_once_a_device_and_found_again(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured()
    monkeypatch.setattr(operation_latency, "_measure", lambda *_: MADE_UP)
    assert measured() == first
    assert measured(threads=2) == MADE_UP
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"measured": null}'])
def test_a_damaged_file_is_measured_anew(kept: Path, content: bytes) -> None:
    first = measured()
    (file,) = kept.iterdir()
    file.write_bytes(content)
    assert measured() == first
    assert json.loads(file.read_text())["latencies"] == first


def test_a_folder_that_cannot_be_written_is_one_line(kept: Path) -> None:
    kept.write_text("a file where the folder should be")
    with pytest.raises(HarnessError, match=r"^cannot keep the measured latencies as .*XDG_CACHE_HOME"):
        measured()


def test_a_device_that_this_machine_lacks_is_one_line() -> None:
    with pytest.raises(HarnessError, match=r"^--device cuda:99 cannot be used"):
        latencies(NAS_BENCH_201, CONFIG, IMAGE_SIZE, "cuda:99", 1)


def test_threads_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    measured(threads=before + 1)
    assert torch.get_num_threads() == before


def test_a_run_holds_what_it_pays_for(tmp_path: Path) -> None:
    methods = [DARTS(), DARTS(flops_weight=1.0), DARTS(latency_weight=50.0)]
    training = load_training_set("digits")
    rules = protocol("alpha.learning_rate=0.3")

    def planned(timed: Latencies) -> list[Any]:
        return plan_runs(tmp_path, methods, [0], NAS_BENCH_201, rules, training, 1, latencies=timed)

    plain, sized, timed = planned(MADE_UP)
    assert "latencies" not in plain.config
    assert "latencies" not in sized.config
    assert timed.config["latencies"] == MADE_UP
    others = planned([[2 * value for value in edge] for edge in MADE_UP])
    pairs = zip((plain, sized, timed), others, strict=True)
    assert [one.config["identity"] == other.config["identity"] for one, other in pairs] == [True, True, False]
    for each in (plain, timed):
        each.folder.write_json("config.json", each.config)
        run(each.folder)
    slowest = MADE_UP[0].index(max(MADE_UP[0]))
    alphas = [one.folder.read_json("alphas.json")[-1]["alpha"] for one in (plain, timed)]
    weights = [torch.tensor(alpha).softmax(dim=1)[:, slowest] for alpha in alphas]
    assert (weights[1] < weights[0]).all()


def test_the_figure_shows_the_sum_over_the_edges(tmp_path: Path) -> None:
    writer = studies.StudyWriter(tmp_path / "study")
    writer.add("darts", 0, [studies.ALL_CONV3])
    assert accuracy_and_latency(make_comparison(load_study(writer.path)), "cifar10") is None
    writer.add("gdas", 0, [studies.ALL_SKIP], latencies=MADE_UP)
    figure = accuracy_and_latency(make_comparison(load_study(writer.path)), "cifar10")
    assert figure is not None
    shown = {round(float(x), 6) for line in figure.axes[0].lines[:4] for x in np.asarray(line.get_xdata()).tolist()}
    assert shown == {54.0, 6.0}  # milliseconds: six 3×3 convolutions, six skips
