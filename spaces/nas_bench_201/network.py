"""The discrete network of one cell, as NAS-Bench-201 trains it from scratch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.spaces.base import Architecture, NetworkConfig
from harness.spaces.nas_bench_201.encoding import CONV1, CONV3, EDGES, NONE, POOL, SKIP
from harness.spaces.nas_bench_201.skeleton import Skeleton


def relu_conv_bn(channels: int, kernel: int) -> nn.Sequential:
    """ReLU, convolution that keeps width and resolution, batch normalisation."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels)
    )


class DiscreteCell(nn.Module):
    """A cell with one operation per edge; edges of ``none`` are absent."""

    def __init__(self, architecture: Architecture, channels: int) -> None:
        super().__init__()
        make: dict[int, Callable[[], nn.Module]] = {
            SKIP: nn.Identity,
            CONV1: lambda: relu_conv_bn(channels, 1),
            CONV3: lambda: relu_conv_bn(channels, 3),
            POOL: lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        }
        self.edges = nn.ModuleDict(
            {
                f"{target}<-{source}": make[operation]()
                for (source, target), operation in zip(EDGES, architecture, strict=True)
                if operation != NONE
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            terms = [
                self.edges[name](nodes[source])
                for source in range(target)
                if (name := f"{target}<-{source}") in self.edges
            ]
            nodes.append(sum(terms[1:], terms[0]) if terms else torch.zeros_like(x))
        return nodes[-1]


class DiscreteNetwork(Skeleton):
    """The network of one cell: affine batch normalisation with running statistics everywhere."""

    def __init__(self, architecture: Architecture, config: NetworkConfig) -> None:
        super().__init__(config, lambda channels: DiscreteCell(architecture, channels))
