"""What cells cost to run: parameters and FLOPs of their networks, and of each operation on each edge."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from methods.base import GradientMethod
from spaces.base import Architecture, NetworkConfig, SearchSpace
from spaces.size import flops, parameters

BENCHMARK = NetworkConfig(channels=16, cells=5, classes=10)
"""The network whose size is told of a cell: that of NAS-Bench-201 on CIFAR-10."""

BENCHMARK_IMAGE_SIZE = 32
"""Pixels of its images."""


def benchmark_size(space: SearchSpace, cell: Architecture) -> tuple[int, int]:
    """Parameters of a cell's :data:`BENCHMARK` network, and multiply-accumulate operations of one image."""
    network = space.network(cell, BENCHMARK)
    return parameters(network), flops(network, BENCHMARK_IMAGE_SIZE)


def operation_costs(space: SearchSpace, config: NetworkConfig, measure: Callable[[nn.Module], int]) -> Tensor:
    """What each operation on each edge adds to the size of a cell's network, (edges, operations), float64.

    It is exact where sizes add up over the edges, as parameters and FLOPs do. The first operation is the one that the
    others are compared with; in NAS-Bench-201 it is ``none``.
    """
    first = (0,) * len(space.edges)
    nothing = measure(space.network(first, config))
    costs = torch.zeros(len(space.edges), len(space.operations), dtype=torch.float64)
    for edge in range(len(space.edges)):
        for operation in range(1, len(space.operations)):
            cell = (*first[:edge], operation, *first[edge + 1 :])
            costs[edge, operation] = measure(space.network(cell, config)) - nothing
    return costs


def costs_to_pay(
    method: GradientMethod, space: SearchSpace, config: NetworkConfig, image_size: int, device: torch.device
) -> Tensor | None:
    """What the loss of α pays for each operation on each edge, (edges, operations); None where it pays for none.

    Of each kind of cost, the dearest cell pays the method's weight.
    """
    kinds: list[tuple[float, Callable[[nn.Module], int]]] = [
        (method.flops_weight, lambda network: flops(network, image_size)),
        (method.parameters_weight, parameters),
    ]
    paid = [(weight, operation_costs(space, config, measure)) for weight, measure in kinds if weight]
    terms = [weight * costs / costs.amax(dim=1).sum().clamp(min=1) for weight, costs in paid]
    return torch.stack(terms).sum(dim=0).to(device, torch.float32) if terms else None
