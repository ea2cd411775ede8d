"""The operations of the DARTS space, each as a module of a given width and stride.

Norm stands for what makes the batch normalisation of a width: without affine parameters in the supernet, with them in
a network that is trained from scratch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class FactorizedReduce(nn.Module):
    """Half the resolution by two 1×1 convolutions of stride 2, shifted by a pixel, each for half of the channels.

    Height and width must be even, ``out_channels`` too.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.even = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.norm = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))  # type: ignore[no-any-return]


def relu_conv_bn(in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    """ReLU, 1×1 convolution, batch normalisation: makes an input of a cell as wide as the cell."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False), norm(out_channels))


def separable(channels: int, kernel: int, stride: int, dilation: int, norm: Norm) -> nn.Sequential:
    """ReLU, depthwise and pointwise convolution, batch normalisation."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    )


def make(operation: str, channels: int, stride: int, norm: Norm) -> nn.Module:
    """An operation, not ``none``, that keeps the width and divides the resolution by ``stride``.

    As in the authors' code, separable convolutions are applied twice, dilated ones once with a dilation of 2, a skip
    connection of stride 2 is a factorized reduction, and average pooling leaves out the padding.
    """
    kind, _, kernel = operation.rpartition("_")
    match kind:
        case "max_pool":
            return nn.MaxPool2d(3, stride, padding=1)
        case "avg_pool":
            return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        case "skip":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm)
        case "sep_conv":
            size = int(kernel[0])
            return nn.Sequential(
                *separable(channels, size, stride, 1, norm),
                *separable(channels, size, 1, 1, norm),
            )
        case "dil_conv":
            return separable(channels, int(kernel[0]), stride, 2, norm)
    raise ValueError(f"no operation of the DARTS space: {operation}")
