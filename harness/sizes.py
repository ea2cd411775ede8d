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
    The cells compared are those that the space's rule derives when one edge alone prefers an operation, the first
    operation being the one that the others are compared with: in NAS-Bench-201 ``none``, in the DARTS space, whose
    rule never gives ``none``, the max pooling that stands in its place and costs as little.
    """
    edges, operations = len(space.edges), len(space.operations)
    sizes = []
    for preferred in range(edges * operations):
        scores = torch.zeros(edges * operations)
        scores[preferred] = 1
        scores = scores.view(edges, operations)
        on_this_edge = scores.amax(dim=1, keepdim=True).expand_as(scores)
        sizes.append(size_of(space, space.discretise(scores, on_this_edge), config, image_size))
    found = torch.tensor(sizes, dtype=torch.float64).view(edges, operations, 2)
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
    paid = torch.zeros(costs.shape[:2], dtype=torch.float64)
    for weight, cost in zip(weights, costs.unbind(dim=2), strict=True):
        dearest = space.discretise(cost, cost)
        paid += weight * cost / cost[range(len(cost)), list(dearest)].sum().clamp(min=1)
    return paid.to(device, torch.float32)
