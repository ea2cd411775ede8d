"""The discrete network of one genotype, as it is trained from scratch: without auxiliary head and drop-path."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.spaces.base import Architecture, NetworkConfig
from harness.spaces.darts.encoding import CELL_EDGES, INPUTS, NODES, NONE, OPERATIONS
from harness.spaces.darts.operations import make
from harness.spaces.darts.skeleton import CellPosition, Inputs, Skeleton


class DiscreteCell(nn.Module):
    """A cell of two operations a node; pooling is not followed by batch normalisation, unlike in the supernet."""

    def __init__(self, genotype: Architecture, position: CellPosition) -> None:
        super().__init__()
        self.inputs = Inputs(position, nn.BatchNorm2d)
        chosen = genotype[len(CELL_EDGES) :] if position.reduction else genotype[: len(CELL_EDGES)]
        self.edges = nn.ModuleDict(
            {
                f"{target}<-{source}": make(
                    OPERATIONS[operation], position.channels, position.stride(source), nn.BatchNorm2d
                )
                for (source, target), operation in zip(CELL_EDGES, chosen, strict=True)
                if operation != NONE
            }
        )

    def forward(self, before_previous: Tensor, previous: Tensor) -> Tensor:
        nodes = self.inputs(before_previous, previous)
        for target in range(INPUTS, NODES):
            first, second = (
                self.edges[name](x) for source, x in enumerate(nodes) if (name := f"{target}<-{source}") in self.edges
            )
            nodes.append(first + second)
        return torch.cat(nodes[INPUTS:], dim=1)


class DiscreteNetwork(Skeleton):
    """The network of one genotype: affine batch normalisation with running statistics everywhere."""

    def __init__(self, genotype: Architecture, config: NetworkConfig) -> None:
        super().__init__(config, lambda position: DiscreteCell(genotype, position))
