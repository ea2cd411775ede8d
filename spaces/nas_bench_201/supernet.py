"""The NAS-Bench-201 supernet: every cell of the space in one network, computed by source node.

It computes what the mixed operation of :mod:`harness.spaces.nas_bench_201.reference` computes (outputs and all
gradients agree), but shares work among the edges that leave the same node:

* one ReLU, one pooling, one 1×1 and one 3×3 convolution serve all of a node's outgoing edges;
* the mixing weights are the scale of the batch normalisation that follows each convolution, so that mixing costs
  nothing of its own, and one addition serves the outputs of both convolutions on all edges;
* skipped and pooled inputs are multiplied and added to the node they enter in one pass;
* on a CPU, what leaves a node under a soft mixture is one function with a gradient of its own;
* a one-hot mixture computes only the chosen operations.

Tensors and weights have their channels last in memory, which suits the convolutions of narrow networks on a CPU, or
first where channels are split and shuffled (partial channels). All of it can be differentiated twice.

The convolutions have no bias: batch normalisation by the batch's statistics cancels it exactly.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.spaces.base import Mixture, NetworkConfig, Supernet
from harness.spaces.nas_bench_201.encoding import CONV1, CONV3, EDGES, POOL, SKIP
from harness.spaces.nas_bench_201.fused_mixed_operation import MixedEdges
from harness.spaces.nas_bench_201.pooling import AveragePool
from harness.spaces.nas_bench_201.skeleton import Skeleton

NODES = 4
OUTGOING = [[edge for edge, (source, _) in enumerate(EDGES) if source == node] for node in range(NODES - 1)]
"""Edges that leave each node, in order of their target."""

BY_SOURCE = [edge for edges in OUTGOING for edge in edges]

Term = tuple[Tensor, Tensor | None]
"""A term of a sum: a tensor and its weight, a scalar; None stands for 1."""


class FusedConv(nn.Module):
    """The same convolution operation on all outgoing edges of one node: convolution and batch normalisation.

    Args:
        channels: c, the width of each edge.
        edges: number of outgoing edges.
        kernel: 1 or 3.
        running: keep running statistics and use them in evaluation.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, edges: int, kernel: int, running: bool) -> None:
        super().__init__()
        self.channels, self.edges = channels, edges
        self.conv = nn.Conv2d(channels, edges * channels, kernel, padding=kernel // 2, bias=False)
        self.running = running
        if running:
            self.register_buffer("running_mean", torch.zeros(edges, channels))
            self.register_buffer("running_var", torch.ones(edges, channels))

    def forward(self, x: Tensor, scale: Tensor, chosen: list[int]) -> Tensor:
        """``scale[i]`` · BN(conv(x)) for each chosen edge, one after the other: (batch, len(chosen) · c, h, w).

        Args:
            x: (batch, c, h, w), after ReLU.
            scale: (len(chosen),).
            chosen: positions among the outgoing edges.
        """
        weight = self.conv.weight
        everything = len(chosen) == self.edges
        if not everything:
            weight = weight.unflatten(0, (self.edges, self.channels))[chosen].flatten(0, 1)
        y = F.conv2d(x, weight, padding=self.conv.padding)
        gamma = scale.repeat_interleave(self.channels)
        if not self.running:
            return F.batch_norm(y, None, None, gamma, None, training=True)
        mean, var = self.running_mean[chosen].flatten(), self.running_var[chosen].flatten()
        y = F.batch_norm(y, mean, var, gamma, None, training=self.training)
        if self.training:
            self.running_mean[chosen] = mean.view(-1, self.channels)
            self.running_var[chosen] = var.view(-1, self.channels)
        return y


class MixedCell(nn.Module):
    """A cell whose edges mix all operations, on all channels or on 1/K of them."""

    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        self.mixed = config.searched_channels(channels)
        self.groups = config.partial_channels
        running = config.batch_norm == "running"
        self.direct = not running and self.groups == 1
        self.conv1 = nn.ModuleList(FusedConv(self.mixed, len(edges), 1, running) for edges in OUTGOING)
        self.conv3 = nn.ModuleList(FusedConv(self.mixed, len(edges), 3, running) for edges in OUTGOING)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        weights, factor, bias = mixture.weights, mixture.edge_weights, mixture.edge_bias
        if factor is not None:
            weights = weights * factor[:, None]
            bias = bias * factor if bias is not None else None
        in_full = x.device.type == "cpu" and x.dtype == weights.dtype  # no mixed precision
        if self.direct and mixture.selected is None and bias is None and in_full:
            return self._mix_all(x, weights)
        entering: list[list[Term]] = [[] for _ in range(NODES)]
        bypassing: list[list[Term]] = [[] for _ in range(NODES)]
        for node in range(NODES - 1):  # x is the node's value
            searched = x if self.groups == 1 else x[:, : self.mixed]
            for edge, outputs in self._outgoing(node, searched, weights, mixture.selected).items():
                target = EDGES[edge][1]
                entering[target].extend(outputs)
                if bias is not None:
                    entering[target].append((bias[edge].expand_as(searched), None))
                bypassing[target].append((x[:, self.mixed :], None if factor is None else factor[edge]))
            x = weighted_sum(entering[node + 1], like=searched)
            if self.groups > 1:
                x = shuffle(torch.cat([x, weighted_sum(bypassing[node + 1], like=x)], 1), self.groups)
        return x

    def _mix_all(self, x: Tensor, weights: Tensor) -> Tensor:
        """The cell's value where every edge mixes all operations; see :class:`MixedEdges`."""
        totals: list[Tensor] = []  # of the nodes after x, as far as they are computed
        leaving = weights[BY_SOURCE].split([len(edges) for edges in OUTGOING])
        kernels = ((self.conv1[node].conv.weight, self.conv3[node].conv.weight) for node in range(NODES - 1))  # type: ignore[union-attr]
        for w, (conv1, conv3) in zip(leaving, kernels, strict=True):
            rectified = F.relu(x)
            threes = F.conv2d(rectified, conv3, padding=1)  # type: ignore[arg-type]
            x, *totals = MixedEdges.apply(x, rectified, threes, conv1, w, *totals)  # type: ignore[no-untyped-call]
        return x

    def _outgoing(
        self, node: int, x: Tensor, weights: Tensor, selected: tuple[int, ...] | None
    ) -> dict[int, list[Term]]:
        """The operation outputs of every edge that leaves ``node``, whose (searched) value is ``x``."""
        edges = OUTGOING[node]
        outputs: dict[int, list[Term]] = {edge: [] for edge in edges}

        def users(operation: int) -> list[int]:
            return [i for i, edge in enumerate(edges) if selected is None or selected[edge] == operation]

        rectified: Tensor | None = None
        convolved: list[tuple[list[int], Tensor]] = []
        for operation, convolution in ((CONV1, self.conv1[node]), (CONV3, self.conv3[node])):
            if chosen := users(operation):
                rectified = F.relu(x) if rectified is None else rectified
                scale = weights[[edges[i] for i in chosen], operation]
                convolved.append((chosen, convolution(rectified, scale, chosen)))
        if selected is None:
            (chosen, ones), (_, threes) = convolved
            convolved = [(chosen, ones.add_(threes))]
        for chosen, y in convolved:
            for i, output in zip(chosen, y.split(self.mixed, dim=1), strict=True):
                outputs[edges[i]].append((output, None))
        for i in users(SKIP):
            outputs[edges[i]].append((x, weights[edges[i], SKIP]))
        if chosen := users(POOL):
            pooled = AveragePool.apply(x)  # type: ignore[no-untyped-call]
            for i in chosen:
                outputs[edges[i]].append((pooled, weights[edges[i], POOL]))
        return outputs


class NASBench201Supernet(Supernet):
    """The skeleton of NAS-Bench-201 around mixed cells."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.network = Skeleton(config, lambda channels: MixedCell(channels, config))
        self.layout = torch.channels_last if config.partial_channels == 1 else torch.contiguous_format
        self.to(memory_format=self.layout)  # type: ignore[call-overload]

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        mixture = replace(mixture, weights=mixture.weights.to(images))  # Mixture.of knows no device or precision
        images = images.contiguous(memory_format=self.layout)
        return self.network(images, mixture)  # type: ignore[no-any-return]


def weighted_sum(terms: list[Term], like: Tensor) -> Tensor:
    """The sum of ``terms``; zeros of the shape of ``like`` where there are none."""
    if not terms:
        return torch.zeros_like(like)
    (x, weight), *others = terms
    total = x if weight is None else weight * x
    for x, weight in others:
        total = total + x if weight is None else torch.addcmul(total, x, weight)
    return total


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle: x (batch, groups · c, h, w) with the channels of all groups interleaved (PC-DARTS)."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)  # type: ignore[no-any-return]
