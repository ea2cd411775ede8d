"""3×3 average pooling of stride 1 whose windows leave out the padding: PyTorch's, faster on a CPU.

The sum over windows S is its own transpose, so that with the window sizes n, y = S(x) / n and dx = S(dy / n). Of few
pixels both are one product with the matrix of the averages.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

FEW = 64
"""Images of up to so many pixels are multiplied by a matrix, (pixels, pixels)."""


class AveragePool(torch.autograd.Function):
    """:func:`average`, differentiable, as often as wanted."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return average(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return spread(gradient)


def average(x: Tensor) -> Tensor:
    """The average over each 3×3 neighbourhood; (batch, channels, h, w)."""
    if x.shape[2:].numel() <= FEW:
        return _mix_pixels(x, _averages(x.shape[2:], x.dtype, x.device))
    return _window_sum(x).mul_(_share(x))


def spread(gradient: Tensor, *, overwrite: bool = False) -> Tensor:
    """The gradient over the input of :func:`average`, given that over its output, which may be overwritten."""
    if gradient.shape[2:].numel() <= FEW:
        return _mix_pixels(gradient, _averages(gradient.shape[2:], gradient.dtype, gradient.device).t())
    share = _share(gradient)
    return _window_sum(gradient.mul_(share) if overwrite else gradient * share)


def _mix_pixels(x: Tensor, matrix: Tensor) -> Tensor:
    """Each image and channel of x, as a column of pixels, multiplied by the matrix."""
    if x.is_contiguous():
        return (x.flatten(2) @ matrix.t()).view_as(x)
    rows = x.permute(0, 2, 3, 1)
    mixed = torch.bmm(matrix.expand(len(x), -1, -1), rows.flatten(1, 2))
    return mixed.view_as(rows).permute(0, 3, 1, 2)


def _window_sum(x: Tensor) -> Tensor:
    """The sum over each 3×3 neighbourhood.

    A product with band matrices where images lie row by row in memory, a depthwise convolution where channels are last.
    """
    if x.is_contiguous():
        rows, columns = (x.new_ones(n, n).tril_(1).triu_(-1) for n in x.shape[2:])
        return rows @ (x @ columns)
    return torch.conv2d(x, _ones(x.shape[1], x.dtype, x.device), padding=1, groups=x.shape[1])


def _share(x: Tensor) -> Tensor:
    """1 / n of each pixel, in the shape (1, channels, h, w) and the memory order of x."""
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    return _shares(x.shape[1:], layout, x.dtype, x.device)


@lru_cache(maxsize=64)
def _shares(shape: torch.Size, layout: torch.memory_format, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.autocast(device.type, enabled=False):  # else the shares of single precision could be rounded
        sizes = _window_sum(torch.ones(1, 1, *shape[1:], device=device)).to(dtype)
    return (1 / sizes).expand(1, *shape).contiguous(memory_format=layout)


@lru_cache(maxsize=64)
def _averages(size: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(pixels, pixels): the averages in each row, for images of the size (h, w)."""
    pixels = torch.eye(size.numel(), dtype=torch.float64).view(-1, 1, *size)
    averages = _window_sum(pixels) / _window_sum(torch.ones_like(pixels))
    return averages.flatten(1).t().to(device, dtype).contiguous()


@lru_cache(maxsize=64)
def _ones(channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones(channels, 1, 3, 3, dtype=dtype, device=device)
