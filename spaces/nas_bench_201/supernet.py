"""The NAS-Bench-201 supernet: every cell of the space in one network, computed by source node.

It computes what the textbook mixed operation computes (a plain one lives in the tests, and outputs and all gradients
agree), but shares work among the edges that leave the same node:

* one ReLU, one pooling, one 1×1 and one 3×3 convolution serve all of a node's outgoing edges;
* the mixing weights are the scale of the batch normalisation that follows each convolution, so that mixing costs
  nothing of its own;
* a one-hot mixture computes only the chosen operations.

The convolutions have no bias: batch normalisation by the batch's statistics cancels it exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces.base import Mixture, NetworkConfig, SpaceError, Supernet
from spaces.nas_bench_201.encoding import CONV1, CONV3, EDGES, POOL, SKIP
from spaces.nas_bench_201.skeleton import Skeleton

NODES = 4
OUTGOING = [[edge for edge, (source, _) in enumerate(EDGES) if source == node] for node in range(NODES - 1)]
"""Edges that leave each node, in order of their target."""


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

    def forward(self, x: Tensor, scale: Tensor, chosen: list[int]) -> tuple[Tensor, ...]:
        """``scale[i]`` · BN(conv(x)) for each chosen edge; x (batch, c, h, w) is after ReLU, scale (len(chosen),)."""
        weight = self.conv.weight
        everything = len(chosen) == self.edges
        if not everything:
            weight = weight.unflatten(0, (self.edges, self.channels))[chosen].flatten(0, 1)
        y = F.conv2d(x, weight, padding=self.conv.padding)
        gamma = scale.repeat_interleave(self.channels)
        if not self.running:
            y = F.batch_norm(y, None, None, gamma, None, training=True)
        else:
            mean, var = self.running_mean[chosen].flatten(), self.running_var[chosen].flatten()
            y = F.batch_norm(y, mean, var, gamma, None, training=self.training)
            if self.training:
                self.running_mean[chosen] = mean.view(-1, self.channels)
                self.running_var[chosen] = var.view(-1, self.channels)
        outputs: tuple[Tensor, ...] = y.split(self.channels, dim=1)
        return outputs


class MixedCell(nn.Module):
    """A cell whose edges mix all operations, on all channels or on 1/K of them."""

    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        if channels % config.partial_channels:
            raise SpaceError(
                f"partial channels K={config.partial_channels} must divide every width of the supernet; "
                f"it does not divide {channels}"
            )
        self.mixed = channels // config.partial_channels
        self.groups = config.partial_channels
        running = config.batch_norm == "running"
        self.conv1 = nn.ModuleList(FusedConv(self.mixed, len(edges), 1, running) for edges in OUTGOING)
        self.conv3 = nn.ModuleList(FusedConv(self.mixed, len(edges), 3, running) for edges in OUTGOING)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        weights, factor, bias = mixture.weights, mixture.edge_weights, mixture.edge_bias
        if factor is not None:
            weights = weights * factor[:, None]
            bias = bias * factor if bias is not None else None
        terms: list[list[Tensor]] = [[x], [], [], []]
        for node in range(NODES - 1):
            value = sum_or_zeros(terms[node], like=x)
            searched = value if self.groups == 1 else value[:, : self.mixed]
            for edge, outputs in self._outgoing(node, searched, weights, mixture.selected).items():
                target = EDGES[edge][1]
                if bias is not None:
                    outputs.append(bias[edge].expand_as(searched))
                if self.groups == 1:
                    terms[target].extend(outputs)
                else:
                    bypass = value[:, self.mixed :]
                    bypass = bypass if factor is None else bypass * factor[edge]
                    mixed = sum_or_zeros(outputs, like=searched)
                    terms[target].append(shuffle(torch.cat([mixed, bypass], 1), self.groups))
        return sum_or_zeros(terms[-1], like=x)

    def _outgoing(
        self, node: int, x: Tensor, weights: Tensor, selected: tuple[int, ...] | None
    ) -> dict[int, list[Tensor]]:
        """The weighted operation outputs of every edge that leaves ``node``, whose (searched) value is ``x``."""
        edges = OUTGOING[node]
        outputs: dict[int, list[Tensor]] = {edge: [] for edge in edges}

        def users(operation: int) -> list[int]:
            return [i for i, edge in enumerate(edges) if selected is None or selected[edge] == operation]

        rectified: Tensor | None = None
        for operation, convolution in ((CONV1, self.conv1[node]), (CONV3, self.conv3[node])):
            if chosen := users(operation):
                rectified = F.relu(x) if rectified is None else rectified
                scale = weights[[edges[i] for i in chosen], operation]
                for i, y in zip(chosen, convolution(rectified, scale, chosen), strict=True):
                    outputs[edges[i]].append(y)
        for i in users(SKIP):
            outputs[edges[i]].append(weights[edges[i], SKIP] * x)
        if chosen := users(POOL):
            pooled = AveragePool.apply(x)  # type: ignore[no-untyped-call]
            for i in chosen:
                outputs[edges[i]].append(weights[edges[i], POOL] * pooled)
        return outputs


class NASBench201Supernet(Supernet):
    """The skeleton of NAS-Bench-201 around mixed cells."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.network = Skeleton(config, lambda channels: MixedCell(channels, config))

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        mixture = replace(mixture, weights=mixture.weights.to(images))  # Mixture.of knows no device or precision
        return self.network(images, mixture)  # type: ignore[no-any-return]


class AveragePool(torch.autograd.Function):
    """3×3 average pooling of stride 1 whose windows leave out the padding; about four times as fast on a CPU.

    The window sum S is separable and its own transpose, so that with the window sizes n, y = S(x) / n and
    dx = S(dy / n).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return window_sum(x).div_(window_sizes(x))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return window_sum(gradient / window_sizes(gradient))


def window_sum(x: Tensor) -> Tensor:
    """The sum over each 3×3 neighbourhood, rows first, then columns; (batch, channels, h, w)."""
    for axis in (2, 3):
        length = x.shape[axis]
        total = x.clone()
        total.narrow(axis, 1, length - 1).add_(x.narrow(axis, 0, length - 1))
        total.narrow(axis, 0, length - 1).add_(x.narrow(axis, 1, length - 1))
        x = total
    return x


def window_sizes(x: Tensor) -> Tensor:
    """How many pixels each 3×3 window holds: 9 inside, 6 at edges, 4 in corners; (h, w)."""
    return window_sum(x.new_ones(1, 1, *x.shape[2:]))[0, 0]


def sum_or_zeros(terms: list[Tensor], like: Tensor) -> Tensor:
    """The sum of ``terms``; zeros of the shape of ``like`` where there are none."""
    if not terms:
        return torch.zeros_like(like)
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle: x (batch, groups · c, h, w) with the channels of all groups interleaved (PC-DARTS)."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)  # type: ignore[no-any-return]
