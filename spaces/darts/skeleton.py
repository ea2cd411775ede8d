"""The layers around the edges of DARTS cells, in the supernet and in a discrete network.

The macro-architecture is the authors': a stem of 3·C channels, 3·N + 2 cells of which the two at a third and two thirds
of the depth are reduction cells that double the width, and a classifier after global pooling. N = 2 is the network of
their search (8 cells), N = 6 the one they train from scratch (20 cells). There is no auxiliary head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from harness.spaces.base import NetworkConfig
from harness.spaces.darts.encoding import INPUTS, NODES
from harness.spaces.darts.operations import FactorizedReduce, Norm, relu_conv_bn

STEM_WIDENING = 3
CONCATENATED = NODES - INPUTS
"""Intermediate nodes, all of which the output of a cell concatenates."""


@dataclass(frozen=True)
class CellPosition:
    """The position of a cell in the network.

    Attributes:
        inputs: channels of the output of the cell before the previous one, and of the previous one.
        channels: width of the cell's nodes.
        reduction: whether the cell halves the resolution.
        after_reduction: whether the previous cell did, so that input 0 is twice as large as input 1.
    """

    inputs: tuple[int, int]
    channels: int
    reduction: bool
    after_reduction: bool

    def stride(self, source: int) -> int:
        """Stride of the edges that leave a node: 2 from the inputs of a reduction cell, else 1."""
        return 2 if self.reduction and source < INPUTS else 1


class Inputs(nn.Module):
    """Makes the outputs of the two cells before as wide as the cell, and as small."""

    def __init__(self, position: CellPosition, norm: Norm) -> None:
        super().__init__()
        before_previous, previous = position.inputs
        first = FactorizedReduce if position.after_reduction else relu_conv_bn
        self.first = first(before_previous, position.channels, norm)
        self.second = relu_conv_bn(previous, position.channels, norm)

    def forward(self, before_previous: Tensor, previous: Tensor) -> list[Tensor]:
        return [self.first(before_previous), self.second(previous)]


class Skeleton(nn.Module):
    """Stem, cells and classifier. The stem always has affine batch normalisation with running statistics.

    The classifier follows the pooling of the last cell's output, which is not normalised again:
    ``NetworkConfig.head_affine`` has no meaning here.

    Args:
        config: C, N and the number of classes.
        cell: makes the cell that stands at a position.
    """

    def __init__(self, config: NetworkConfig, cell: Callable[[CellPosition], nn.Module]) -> None:
        super().__init__()
        width, depth = config.channels, 3 * config.cells + 2
        inputs = (STEM_WIDENING * width, STEM_WIDENING * width)
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM_WIDENING * width, 3, padding=1, bias=False), nn.BatchNorm2d(STEM_WIDENING * width)
        )
        self.cells = nn.ModuleList()
        reduction = False
        for number in range(depth):
            after_reduction, reduction = reduction, number in (depth // 3, 2 * depth // 3)
            width *= 2 if reduction else 1
            self.cells.append(cell(CellPosition(inputs, width, reduction, after_reduction)))
            inputs = (inputs[1], CONCATENATED * width)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs[1], config.classes))

    def forward(self, images: Tensor, *cell_arguments: Any) -> Tensor:
        before_previous = previous = self.stem(images)
        for cell in self.cells:
            before_previous, previous = previous, cell(before_previous, previous, *cell_arguments)
        return self.head(previous)  # type: ignore[no-any-return]
