"""The size of cells: parameters and FLOPs of their networks, and of each operation on each edge."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.methods.base import WeightSharingMethod
from harness.spaces.base import Architecture, NetworkConfig, SearchSpace
from harness.spaces.network_size import size_of


def cells_to_compare(space: SearchSpace) -> list[list[Architecture]]:
    """Make, for each edge (outer) and operation (inner), a cell in which that edge alone prefers that operation.

    The cells are those that the space's rule derives, the first operation being the one that the others are compared
    with: in NAS-Bench-201 ``none``, in the DARTS space, whose rule never gives ``none``, the max pooling that stands in
    its place and costs as little.
    """
    edges, operations = len(space.edges), len(space.operations)

    def preferring(edge: int, operation: int) -> Architecture:
        scores = torch.zeros(edges, operations)
        scores[edge, operation] = 1
        return space.discretize(scores, scores.amax(dim=1, keepdim=True).expand_as(scores))

    return [[preferring(edge, operation) for operation in range(operations)] for edge in range(edges)]


def operation_costs(space: SearchSpace, config: NetworkConfig, image_size: int) -> Tensor:
    """Compute what each operation on each edge adds to the size of a cell's network: (edges, operations, 2), float64.

    The last axis is that of :class:`harness.spaces.network_size.Size`. It is exact where sizes add up over the edges,
    as parameters and FLOPs do. Of edges that the space calls equal one is measured: a network takes tens of
    milliseconds.
    """
    cells, edges = cells_to_compare(space), space.equal_edges
    distinct = {cell for edge in set(edges) for cell in cells[edge]}
    sizes = {cell: size_of(space, cell, config, image_size) for cell in distinct}
    costs = torch.tensor([[sizes[cell] for cell in cells[edge]] for edge in edges], dtype=torch.float64)
    return costs - costs[:, :1]


def penalties(
    method: WeightSharingMethod,
    space: SearchSpace,
    config: NetworkConfig,
    image_size: int,
    latencies: Sequence[Sequence[float]] | None,
    device: torch.device,
) -> Tensor | None:
    """Compute the penalty of each operation on each edge in the loss of α, (edges, operations); None: no penalty.

    For each kind of cost, the most expensive cell has the method's weight as its penalty. ``latencies`` are those of
    :func:`harness.search.operation_latency.latencies`; None: latency has no penalty.
    """
    weights = [method.parameters_weight, method.flops_weight, method.latency_weight]
    if not any(weights):
        return None
    sizes = operation_costs(space, config, image_size)
    seconds = torch.zeros(sizes.shape[:2]) if latencies is None else torch.tensor(latencies)
    penalty = torch.zeros(sizes.shape[:2], dtype=torch.float64)
    for weight, cost in zip(weights, [*sizes.unbind(dim=2), seconds.double()], strict=True):
        most_expensive = float(cost[range(len(cost)), list(space.discretize(cost, cost))].sum())
        if most_expensive > 0:
            penalty += weight * cost / most_expensive
    return penalty.to(device, torch.float32)
