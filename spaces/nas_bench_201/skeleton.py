"""The macro-architecture of NAS-Bench-201: what stands around the cells, in the supernet and in a discrete network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from harness.spaces.base import NetworkConfig


class ReductionBlock(nn.Module):
    """Residual block of stride 2 between stages: two ReLU-Conv-BN and a pooled, projected shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.body(x)  # type: ignore[no-any-return]


class Skeleton(nn.Module):
    """Stem, three stages of N cells with C, 2C and 4C channels, a reduction block between stages, and the head.

    The stem and the reduction blocks always have affine batch normalisation with running statistics, whatever the
    cells have.

    Args:
        config: C, N and the number of classes.
        cell: makes the cell of a given width.
    """

    def __init__(self, config: NetworkConfig, cell: Callable[[int], nn.Module]) -> None:
        super().__init__()
        widths = [config.channels, 2 * config.channels, 4 * config.channels]
        self.stem = nn.Sequential(
            nn.Conv2d(3, config.channels, 3, padding=1, bias=False), nn.BatchNorm2d(config.channels)
        )
        self.stages = nn.ModuleList(nn.ModuleList(cell(width) for _ in range(config.cells)) for width in widths)
        self.reductions = nn.ModuleList(ReductionBlock(before, after) for before, after in pairwise(widths))
        self.head = nn.Sequential(
            nn.BatchNorm2d(
                widths[-1],
                affine=config.head_affine,
                track_running_stats=config.head_affine or config.batch_norm == "running",
            ),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], config.classes),
        )

    def forward(self, images: Tensor, *cell_arguments: Any) -> Tensor:
        x = self.stem(images)
        for stage, cells in enumerate(self.stages):
            if stage > 0:
                x = self.reductions[stage - 1](x)
            for cell in cells:  # type: ignore[attr-defined]
                x = cell(x, *cell_arguments)
        return self.head(x)  # type: ignore[no-any-return]
