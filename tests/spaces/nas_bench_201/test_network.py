"""The discrete network: its size as the benchmark recorded it, and its agreement with the supernet."""

from __future__ import annotations

import bz2
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.data.safe_pickle import load_pickle
from harness.random_streams import stream
from harness.spaces.base import Architecture, Mixture, NetworkConfig, initialize
from harness.spaces.nas_bench_201.encoding import CONV1, CONV3, EDGES
from harness.spaces.nas_bench_201.network import DiscreteNetwork
from harness.spaces.nas_bench_201.space import NASBench201
from harness.spaces.nas_bench_201.supernet import OUTGOING, NASBench201Supernet
from harness.spaces.network_size import flops, parameters
from tests.support.paths import DATA

SPACE = NASBench201()
RECORDS = DATA / "nats-bench" / "NATS-tss-v1_0-3ffb9-simple"
SMALL = NetworkConfig(channels=2, cells=1, classes=10)
CELLS: list[Architecture] = [(3,) * 6, (3, 1, 2, 0, 4, 3), (0, 0, 0, 3, 2, 4), (3, 2, 1, 0, 0, 0), (0,) * 6, (1,) * 6]


class Float64:
    """Stands for ``numpy.dtype``: a description of a number in the records."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def scalar(_: Float64, data: bytes) -> float:
    return float(np.frombuffer(data, "<f8")[0])


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy.core.multiarray", "scalar"): scalar,
    ("numpy", "dtype"): Float64,
}


@pytest.mark.parametrize("row", [0, 11, 284])
def test_parameters_and_flops_are_those_of_the_benchmarks_own_records(row: int) -> None:
    file = RECORDS / f"{row:06}.pickle.pbz2"
    if not file.is_file():
        pytest.skip(f"no {file}; name the folder that holds nats-bench in HARNESS_DATA_DIR")
    with bz2.open(file) as content:
        record = load_pickle(content, ALLOWED, file.name)["200"]
    assert SPACE.architecture(row) == SPACE.parse(record["arch_str"])
    sizes = {"cifar10": 32, "cifar10-valid": 32, "cifar100": 32, "ImageNet16-120": 16}
    compared = set()
    for (dataset, _), result in record["all_results"].items():
        if dataset in compared:
            continue
        config = result["arch_config"]
        network = SPACE.network(
            SPACE.architecture(row), NetworkConfig(config["channel"], config["num_cells"], config["class_num"])
        )
        assert parameters(network) / 1e6 == pytest.approx(result["params"], rel=1e-12)
        assert flops(network, sizes[dataset]) / 1e6 == pytest.approx(result["flop"], rel=1e-12)
        compared.add(dataset)
    assert compared == set(sizes)


def test_known_size_without_the_records() -> None:
    network = SPACE.network(SPACE.architecture(0), NetworkConfig(16, 5, 10))
    assert parameters(network) == 129_306
    assert flops(network, 32) == 15_647_370


def test_parameters_counted_by_hand() -> None:
    stem = 2 * 3 * 9 + 2 * 2
    reductions = (4 * 2 * 9 + 8 + 4 * 4 * 9 + 8 + 4 * 2) + (8 * 4 * 9 + 16 + 8 * 8 * 9 + 16 + 8 * 4)
    head = 2 * 8 + 8 * 10 + 10
    convolutions = sum(c * c * 9 + 2 * c for c in (2, 4, 8))
    assert parameters(SPACE.network((0, 1, 4, 0, 1, 4), SMALL)) == stem + reductions + head
    assert parameters(SPACE.network((3, 3, 3, 3, 3, 3), SMALL)) == stem + reductions + head + 6 * convolutions
    pointwise = sum(c * c + 2 * c for c in (2, 4, 8))
    assert parameters(SPACE.network((3, 2, 0, 1, 4, 2), SMALL)) == (
        stem + reductions + head + convolutions + 2 * pointwise
    )


def test_flops_counted_by_hand() -> None:
    network = SPACE.network((3, 0, 0, 0, 1, 0), SMALL)  # one 3x3 convolution in the cell
    stem = 64 * 2 * 3 * 9
    cells = 64 * 2 * 2 * 9 + 16 * 4 * 4 * 9 + 4 * 8 * 8 * 9
    reductions = 16 * (4 * 2 * 9 + 4 * 4 * 9 + 4 * 2) + 4 * (8 * 4 * 9 + 8 * 8 * 9 + 8 * 4)
    assert flops(network, 8) == stem + cells + reductions + 8 * 10 + 10


def test_counting_changes_nothing() -> None:
    network = SPACE.network((3,) * 6, SMALL).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flops(network, 8)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def inherit(network: DiscreteNetwork, supernet: NASBench201Supernet, cell: Architecture) -> None:
    """Give a discrete network the weights that the supernet holds for its cell."""
    ours, theirs = network, supernet.network
    with torch.no_grad():
        for part in ("stem", "reductions", "head"):
            getattr(ours, part).load_state_dict(getattr(theirs, part).state_dict())
        for stage, others in zip(ours.stages, theirs.stages, strict=True):
            for ours_cell, theirs_cell in zip(stage, others, strict=True):
                for edge, (source, target) in enumerate(EDGES):
                    if cell[edge] in (CONV1, CONV3):
                        fused = (theirs_cell.conv1 if cell[edge] == CONV1 else theirs_cell.conv3)[source]
                        weight = fused.conv.weight.chunk(fused.edges)[OUTGOING[source].index(edge)]
                        ours_cell.edges[f"{target}<-{source}"][1].weight.copy_(weight)


@pytest.mark.parametrize("cell", CELLS, ids=SPACE.format)
def test_it_computes_what_the_supernet_computes_with_the_same_weights(cell: Architecture) -> None:
    supernet = NASBench201Supernet(SMALL)
    initialize(supernet, lambda name: stream(0, name))
    network = DiscreteNetwork(cell, SMALL)
    inherit(network, supernet, cell)
    images = torch.randn(4, 3, 8, 8, generator=stream(0, "images"), dtype=torch.float64)
    # in training both normalise by the batch, and the affine parameters of the network are still 1 and 0
    torch.testing.assert_close(network.double()(images), supernet.double()(images, Mixture.of(cell, 5)))


def test_the_macro_architecture_step_by_step() -> None:
    """Stem, residual blocks of stride 2 and BN-ReLU-pool-linear head, written out; the cells pass their input on."""
    network = DiscreteNetwork((0, 0, 0, 1, 0, 0), SMALL).double()
    initialize(network, lambda name: stream(0, name))
    images = torch.randn(4, 3, 8, 8, generator=stream(0, "images"), dtype=torch.float64)
    (stem, _), head = network.stem, network.head[4]

    def norm(x: Tensor) -> Tensor:
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()

    x = norm(F.conv2d(images, stem.weight, padding=1))
    for block in network.reductions:
        first, second, project = block.body[1].weight, block.body[4].weight, block.shortcut[1].weight
        y = norm(F.conv2d(x.relu(), first, stride=2, padding=1))
        y = norm(F.conv2d(y.relu(), second, padding=1))
        x = y + F.conv2d(F.avg_pool2d(x, 2), project)
    expected = norm(x).relu().mean((2, 3)) @ head.weight.T + head.bias
    torch.testing.assert_close(network(images), expected)


def test_all_batch_normalisations_are_affine_with_running_statistics() -> None:
    layers = [m for m in SPACE.network((3,) * 6, SMALL).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(layers) == 1 + 3 * 6 + 2 * 2 + 1
    assert all(layer.affine and layer.track_running_stats for layer in layers)
