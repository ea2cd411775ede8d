"""What cells cost to run: parameters and FLOPs of their networks, and of each operation on each edge."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from methods.base import GradientMethod
from spaces.base import Architecture, NetworkConfig, SearchSpace
from spaces.size import flops, parameters

BENCHMARK = NetworkConfig(channels=16, cells=5, classes=10)
"""The network whose size is told of a cell: that of NAS-Bench-201 on CIFAR-10."""

BENCHMARK_IMAGE_SIZE = 32
"""Pixels of its images."""


class Size(NamedTuple):
    """Parameters of a network, and multiply-accumulate operations of one image."""

    parameters: int
    flops: int


def benchmark_size(space: SearchSpace, cell: Architecture) -> Size:
    """The size of a cell's :data:`BENCHMARK` network."""
    return size_of(space, cell, BENCHMARK, BENCHMARK_IMAGE_SIZE)


def size_of(space: SearchSpace, cell: Architecture, config: NetworkConfig, image_size: int) -> Size:
    """The size of a cell's network."""
    network = space.network(cell, config)
    return Size(parameters(network), flops(network, image_size))


def operation_costs(space: SearchSpace, config: NetworkConfig, image_size: int) -> Tensor:
    """What each operation on each edge adds to the size of a cell's network: (edges, operations, 2), float64.

    The last axis is that of :class:`Size`. It is exact where sizes add up over the edges, as parameters and FLOPs do.
    The first operation is the one that the others are compared with; in NAS-Bench-201 it is ``none``.
    """
    first = (0,) * len(space.edges)
    sizes = [
        [
            size_of(space, (*first[:edge], operation, *first[edge + 1 :]), config, image_size)
            for operation in range(len(space.operations))
        ]
        for edge in range(len(space.edges))
    ]
    found = torch.tensor(sizes, dtype=torch.float64)
    return found - found[:, :1]


def costs_to_pay(
    method: GradientMethod, space: SearchSpace, config: NetworkConfig, image_size: int, device: torch.device
) -> Tensor | None:
    """What the loss of α pays for each operation on each edge, (edges, operations); None where it pays for none.

    Of each kind of cost, the dearest cell pays the method's weight.
    """
    weights = [method.parameters_weight, method.flops_weight]  # as in Size
    if not any(weights):
        return None
    costs = operation_costs(space, config, image_size)
    shares = costs / costs.amax(dim=1, keepdim=True).sum(dim=0, keepdim=True).clamp(min=1)
    return (shares @ torch.tensor(weights, dtype=torch.float64)).to(device, torch.float32)
