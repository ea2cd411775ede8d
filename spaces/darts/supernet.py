"""The DARTS supernet: every genotype of the space in one network, a mixed operation on every edge.

It computes what the mixture says, operation by operation, and nothing of operations that are not selected. As in the
authors' search, pooling is followed by batch normalisation, and no batch normalisation of a cell has affine parameters.
With partial channels (PC-DARTS) the channels that bypass the operations are max-pooled where the edge has stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces.base import Mixture, NetworkConfig, SpaceError, Supernet
from spaces.darts.encoding import CELL_EDGES, INPUTS, OPERATIONS
from spaces.darts.operations import Norm, make
from spaces.darts.skeleton import Cell, Place, Skeleton


class MixedEdge(nn.Module):
    """All operations of one edge, on all channels or on the first of ``groups`` equal parts of them.

    Args:
        channels: of the nodes the edge joins.
        stride: 2 where it halves the resolution.
        groups: K of partial channels.
        norm: makes the batch normalisation of a width.
    """

    def __init__(self, channels: int, stride: int, groups: int, norm: Norm) -> None:
        super().__init__()
        self.mixed, self.stride, self.groups = channels // groups, stride, groups
        self.operations = nn.ModuleDict()
        for name in OPERATIONS[1:]:
            operation = make(name, self.mixed, stride, norm)
            self.operations[name] = nn.Sequential(operation, norm(self.mixed)) if "pool" in name else operation

    def forward(self, x: Tensor, edge: int, mixture: Mixture) -> Tensor:
        """The edge's output, its factor included; ``edge`` is its row of the mixture."""
        searched, bypass = x[:, : self.mixed], x[:, self.mixed :]
        y = torch.zeros_like(searched[:, :, :: self.stride, :: self.stride])
        chosen = range(len(OPERATIONS)) if mixture.selected is None else [mixture.selected[edge]]
        for operation in chosen:
            if (name := OPERATIONS[operation]) != "none":
                y = torch.addcmul(y, self.operations[name](searched), mixture.weights[edge, operation])
        if mixture.edge_bias is not None:
            y = y + mixture.edge_bias[edge]
        if self.groups > 1:
            bypass = bypass if self.stride == 1 else F.max_pool2d(bypass, self.stride)
            y = F.channel_shuffle(torch.cat([y, bypass], dim=1), self.groups)
        return y if mixture.edge_weights is None else y * mixture.edge_weights[edge]


class MixedCell(Cell):
    """A cell whose 14 edges mix all operations; reduction cells follow the last 14 rows of the mixture."""

    def __init__(self, place: Place, config: NetworkConfig) -> None:
        if place.channels % config.partial_channels:
            raise SpaceError(
                f"partial channels K={config.partial_channels} must divide every width of the supernet; "
                f"it does not divide {place.channels}"
            )
        norm = partial(nn.BatchNorm2d, affine=False, track_running_stats=config.batch_norm == "running")
        super().__init__(place, norm)
        self.edges = nn.ModuleList(
            MixedEdge(place.channels, 2 if place.reduction and source < INPUTS else 1, config.partial_channels, norm)
            for source, _ in CELL_EDGES
        )

    def node(self, target: int, nodes: Sequence[Tensor], mixture: Mixture) -> Tensor:
        row = len(CELL_EDGES) if self.reduction else 0
        outputs = [
            self.edges[edge](nodes[source], row + edge, mixture)
            for edge, (source, end) in enumerate(CELL_EDGES)
            if end == target
        ]
        return torch.stack(outputs).sum(dim=0)


class DARTSSupernet(Supernet):
    """The authors' macro-architecture around mixed cells."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.network = Skeleton(config, lambda place: MixedCell(place, config))

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        mixture = replace(mixture, weights=mixture.weights.to(images))  # Mixture.of knows no device or precision
        return self.network(images, mixture)  # type: ignore[no-any-return]
