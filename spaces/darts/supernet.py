"""The DARTS supernet: every genotype of the space in one network, computed by source node.

It computes what the mixture says, and shares work among the edges that leave the same node: an operation with weights
is computed on all of them at once, one without weights once; the mixing weights are the scale of the batch
normalisation that ends an operation. Operations that are not selected are not computed.

As in the authors' search, pooling is followed by batch normalisation, and no batch normalisation of a cell has affine
parameters. With partial channels (PC-DARTS) the channels that bypass the operations are max-pooled where the edge has
stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.spaces.base import Mixture, NetworkConfig, Supernet
from harness.spaces.darts.encoding import CELL_EDGES, INPUTS, NODES, OPERATIONS
from harness.spaces.darts.skeleton import CellPosition, Inputs, Skeleton

OUTGOING = [[edge for edge, (source, _) in enumerate(CELL_EDGES) if source == node] for node in range(NODES - 1)]
"""Edges of a cell that leave each node, in order of their target."""


class EdgeNorm(nn.Module):
    """Batch normalisation of several edges side by side, whose scale is that of the mixture.

    Args:
        edges: number of edges.
        channels: of each edge.
        running: keep running statistics and use them in evaluation.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, edges: int, channels: int, running: bool) -> None:
        super().__init__()
        self.running = running
        if running:
            self.register_buffer("running_mean", torch.zeros(edges, channels))
            self.register_buffer("running_var", torch.ones(edges, channels))

    def forward(self, x: Tensor, chosen: list[int], scale: Tensor | None = None) -> Tensor:
        """x is (batch, len(chosen) · channels, h, w); scale (len(chosen),), None stands for 1."""
        gamma = None if scale is None else scale.repeat_interleave(x.shape[1] // len(chosen))
        if not self.running:
            return F.batch_norm(x, None, None, gamma, None, training=True)
        mean, var = self.running_mean[chosen].flatten(), self.running_var[chosen].flatten()
        y = F.batch_norm(x, mean, var, gamma, None, training=self.training)
        if self.training:
            self.running_mean[chosen] = mean.view(len(chosen), -1)
            self.running_var[chosen] = var.view(len(chosen), -1)
        return y


def of_edges(convolution: nn.Conv2d, edges: int, chosen: list[int]) -> Tensor:
    """The rows of a convolution's weight that belong to the chosen ones of ``edges`` edges."""
    if len(chosen) == edges:
        return convolution.weight
    return convolution.weight.unflatten(0, (edges, -1))[chosen].flatten(0, 1)  # type: ignore[no-any-return]


class Separable(nn.Module):
    """ReLU, depthwise and pointwise convolution, batch normalisation, on all outgoing edges of a node.

    The pointwise convolutions of the edges are one product of matrices, which is faster than a convolution in groups.
    """

    def __init__(self, channels: int, edges: int, kernel: int, stride: int, dilation: int, running: bool) -> None:
        super().__init__()
        self.edges, width, padding = edges, edges * channels, dilation * (kernel // 2)
        self.depthwise = nn.Conv2d(width, width, kernel, stride, padding, dilation, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, width, 1, groups=edges, bias=False)
        self.norm = EdgeNorm(edges, channels, running)

    def forward(self, x: Tensor, chosen: list[int], scale: Tensor | None) -> Tensor:
        """x: (batch, len(chosen) · channels, h, w)."""
        conv, weight = self.depthwise, of_edges(self.depthwise, self.edges, chosen)
        y = F.conv2d(F.relu(x), weight, None, conv.stride, conv.padding, conv.dilation, groups=x.shape[1])
        pointwise = of_edges(self.pointwise, self.edges, chosen).flatten(1).unflatten(0, (len(chosen), -1))
        y = (pointwise @ y.unflatten(1, (len(chosen), -1)).flatten(3)).view(y.shape)
        return self.norm(y, chosen, scale)  # type: ignore[no-any-return]


class Stack(nn.ModuleList):
    """Separable convolutions one after the other."""

    def forward(self, x: Tensor, chosen: list[int], scale: Tensor) -> Tensor:
        """x: (batch, channels, h, w), the value of the node that the edges leave."""
        y = x.repeat(1, len(chosen), 1, 1)
        for layer in self:
            y = layer(y, chosen, scale if layer is self[-1] else None)
        return y


class Reduce(nn.Module):
    """:class:`harness.spaces.darts.operations.FactorizedReduce` on all outgoing edges of a node."""

    def __init__(self, channels: int, edges: int, running: bool) -> None:
        super().__init__()
        self.edges = edges
        self.even = nn.Conv2d(channels, edges * (channels // 2), 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels, edges * (channels // 2), 1, stride=2, bias=False)
        self.norm = EdgeNorm(edges, channels, running)

    def forward(self, x: Tensor, chosen: list[int], scale: Tensor) -> Tensor:
        """x: (batch, channels, h, w), the value of the node that the edges leave."""
        x = F.relu(x)
        halves = [
            F.conv2d(view, of_edges(convolution, self.edges, chosen), stride=2).unflatten(1, (len(chosen), -1))
            for view, convolution in ((x, self.even), (x[:, :, 1:, 1:], self.odd))
        ]
        return self.norm(torch.cat(halves, dim=2).flatten(1, 2), chosen, scale)  # type: ignore[no-any-return]


class OutgoingEdges(nn.Module):
    """All operations of all edges that leave one node.

    Args:
        channels: c, on which the operations work.
        edges: number of edges.
        stride: 2 where the edges halve the resolution.
        running: keep running statistics and use them in evaluation.
    """

    def __init__(self, channels: int, edges: int, stride: int, running: bool) -> None:
        super().__init__()
        self.channels, self.edges = channels, edges
        separable = partial(Separable, channels, edges, running=running)
        norm = partial(nn.BatchNorm2d, channels, affine=False, track_running_stats=running)
        self.pools = nn.ModuleDict(
            {
                "max_pool_3x3": nn.Sequential(nn.MaxPool2d(3, stride, 1), norm()),
                "avg_pool_3x3": nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm()),
            }
        )
        self.convolutions = nn.ModuleDict(
            {
                "sep_conv_3x3": Stack([separable(3, stride, 1), separable(3, 1, 1)]),
                "sep_conv_5x5": Stack([separable(5, stride, 1), separable(5, 1, 1)]),
                "dil_conv_3x3": Stack([separable(3, stride, 2)]),
                "dil_conv_5x5": Stack([separable(5, stride, 2)]),
            }
        )
        if stride == 2:
            self.convolutions["skip_connect"] = Reduce(channels, edges, running)

    def forward(self, x: Tensor, weights: Tensor, selected: Sequence[int] | None) -> list[Tensor | None]:
        """The mixed output of each edge, None where only ``none`` is computed.

        Args:
            x: (batch, c, h, w), the node's value.
            weights: (edges, operations).
            selected: the only operation computed on each edge.
        """
        outputs: list[Tensor | None] = [None] * self.edges
        total: Tensor | None = None
        for operation, name in enumerate(OPERATIONS):
            chosen = [i for i in range(self.edges) if selected is None or selected[i] == operation]
            if name == "none" or not chosen:
                continue
            y = self._outputs(name, x, weights[chosen, operation], chosen)
            if selected is None:
                total = y if total is None else total + y
            else:
                for edge, output in zip(chosen, y.unbind(1), strict=True):
                    outputs[edge] = output
        return outputs if total is None else list(total.unbind(1))

    def _outputs(self, name: str, x: Tensor, scale: Tensor, chosen: list[int]) -> Tensor:
        """``scale[i]`` · operation(x) for each chosen edge: (batch, len(chosen), c, h, w)."""
        if name in self.convolutions:
            return self.convolutions[name](x, chosen, scale).unflatten(1, (-1, self.channels))  # type: ignore[no-any-return]
        y = self.pools[name](x) if name in self.pools else x
        return scale[:, None, None, None] * y[:, None]


class MixedCell(nn.Module):
    """A cell whose 14 edges mix all operations; reduction cells follow the last 14 rows of the mixture."""

    def __init__(self, position: CellPosition, config: NetworkConfig) -> None:
        super().__init__()
        self.groups, self.reduction, self.stride = config.partial_channels, position.reduction, position.stride
        self.mixed = config.searched_channels(position.channels)
        running = config.batch_norm == "running"
        self.inputs = Inputs(position, partial(nn.BatchNorm2d, affine=False, track_running_stats=running))
        self.outgoing = nn.ModuleList(
            OutgoingEdges(self.mixed, len(edges), self.stride(node), running) for node, edges in enumerate(OUTGOING)
        )

    def forward(self, before_previous: Tensor, previous: Tensor, mixture: Mixture) -> Tensor:
        rows = slice(len(CELL_EDGES), None) if self.reduction else slice(len(CELL_EDGES))
        weights, selected = mixture.weights[rows], mixture.selected and mixture.selected[rows]
        factor = None if mixture.edge_weights is None else mixture.edge_weights[rows]
        bias = None if mixture.edge_bias is None else mixture.edge_bias[rows]
        if factor is not None:
            weights = weights * factor[:, None]
            bias = None if bias is None else bias * factor
        nodes = self.inputs(before_previous, previous)
        entering: list[list[Tensor]] = [[] for _ in range(NODES)]
        bypassing: list[list[Tensor]] = [[] for _ in range(NODES)]
        for node, edges in enumerate(OUTGOING):
            if node >= INPUTS:
                nodes.append(self._sum(entering[node], bypassing[node], nodes[0]))
            searched, bypass = nodes[node][:, : self.mixed], nodes[node][:, self.mixed :]
            if self.groups > 1 and self.stride(node) == 2:
                bypass = F.max_pool2d(bypass, 2)
            choice = None if selected is None else [selected[edge] for edge in edges]
            for edge, y in zip(edges, self.outgoing[node](searched, weights[edges], choice), strict=True):
                target = CELL_EDGES[edge][1]
                entering[target] += [] if y is None else [y]
                entering[target] += [] if bias is None else [bias[edge]]
                bypassing[target].append(bypass if factor is None else factor[edge] * bypass)
        nodes.append(self._sum(entering[-1], bypassing[-1], nodes[0]))
        return torch.cat(nodes[INPUTS:], dim=1)

    def _sum(self, entering: list[Tensor], bypassing: list[Tensor], first: Tensor) -> Tensor:
        """The value of an intermediate node; ``first`` is the value of node 0, on whose edges the size may change."""
        size = first[:, : self.mixed, :: self.stride(0), :: self.stride(0)]
        y = sum(entering, torch.zeros_like(size))
        if self.groups > 1:
            y = F.channel_shuffle(torch.cat([y, sum(bypassing[1:], bypassing[0])], dim=1), self.groups)
        return y


class DARTSSupernet(Supernet):
    """The authors' macro-architecture around mixed cells."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.network = Skeleton(config, lambda position: MixedCell(position, config))

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        mixture = replace(mixture, weights=mixture.weights.to(images))  # Mixture.of knows no device or precision
        return self.network(images, mixture)  # type: ignore[no-any-return]
