"""Layers of small networks that are computed as one, with the batch innermost in memory.

Images are (batch, S·channels, h, w) as everywhere, in the memory order of rows, (S·channels, h, w, batch). A
convolution of few channels is then one matrix product a network, of its weights with long rows of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

PATCH_BYTES = 2**20
"""Small layers gather what a kernel sees, for as many networks at a time as fit into a processor's cache."""


def are_small(channels: int, image_size: int, batch_size: int) -> bool:
    """Whether networks are small: what a 3x3 kernel sees of one of them, in single precision, fits into the cache."""
    return 4 * 9 * channels * image_size**2 * batch_size <= PATCH_BYTES


def rows_of(x: Tensor) -> Tensor:
    """(S·channels, h, w, batch) of (batch, S·channels, h, w): contiguous, and a view where it can be one."""
    return x.permute(1, 2, 3, 0).contiguous()


def images_of(rows: Tensor) -> Tensor:
    """(batch, S·channels, h, w) of (S·channels, h, w, batch), a view."""
    return rows.permute(3, 0, 1, 2)


class Convolution(nn.Module):
    """S square convolutions without bias, of weights (S, out, in, k, k)."""

    def __init__(self, weight: Tensor, stride: int, padding: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        rows = rows_of(x).unflatten(0, (len(self.weight), -1))
        result: Tensor = _Convolve.apply(rows, self.weight, self.stride, self.padding)  # type: ignore[no-untyped-call]
        return images_of(result.flatten(0, 1))


class _Convolve(torch.autograd.Function):
    """S convolutions: rows (S, in, h, w, batch), weight (S, out, in, k, k), result (S, out, h', w', batch)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.stride, ctx.padding = stride, padding
        return _convolve(rows, weight.flatten(2), weight.shape[-1], stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        rows, weight = ctx.saved_tensors
        kernel, stride, padding = weight.shape[-1], ctx.stride, ctx.padding
        gradient = gradient.contiguous()
        flat = gradient.flatten(2)  # (S, out, pixels·batch)
        to_weight = torch.empty_like(weight).flatten(2)
        for part, patches in _patches(rows, kernel, stride, padding):
            torch.bmm(flat[part], patches.transpose(1, 2), out=to_weight[part])
        to_weight = to_weight.view_as(weight)
        if not ctx.needs_input_grad[0]:
            return None, to_weight, None, None
        if stride == 1:  # the convolution of the gradient with the kernel turned
            turned = weight.flip(3, 4).transpose(1, 2).flatten(2)
            return _convolve(gradient, turned, kernel, 1, kernel - 1 - padding), to_weight, None, None
        return _spread(gradient, weight, rows.shape, stride, padding), to_weight, None, None


def _convolve(rows: Tensor, weight: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """The convolution itself; weight (S, out, in·k·k)."""
    networks, _, height, width, batch = rows.shape
    high, wide = ((pixels + 2 * padding - kernel) // stride + 1 for pixels in (height, width))
    result = rows.new_empty(networks, weight.shape[1], high * wide * batch)
    for part, patches in _patches(rows, kernel, stride, padding):
        torch.bmm(weight[part], patches, out=result[part])
    return result.view(networks, -1, high, wide, batch)


def _patches(rows: Tensor, kernel: int, stride: int, padding: int) -> Iterator[tuple[slice, Tensor]]:
    """What a kernel sees, (some, in·k·k, h'·w'·batch), of a few networks at a time, and which they are."""
    share = len(rows) if kernel == 1 else max(1, PATCH_BYTES // (rows[0].numel() * rows.element_size() * kernel**2))
    for start in range(0, len(rows), share):
        part = slice(start, start + share)
        padded = nn.functional.pad(rows[part], (0, 0, *(4 * [padding]))) if padding else rows[part]
        seen = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)  # (some, in, h', w', batch, k, k)
        yield part, seen.permute(0, 1, 5, 6, 2, 3, 4).flatten(1, 3).flatten(2)


def _spread(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """The gradient of a convolution's input, of a shape, for any stride."""
    networks, channels, height, width, batch = shape
    kernel = weight.shape[-1]
    patches = torch.bmm(weight.flatten(2).transpose(1, 2), gradient.flatten(2))
    patches = patches.view(networks, channels, kernel, kernel, *gradient.shape[2:])
    padded = gradient.new_zeros(networks, channels, height + 2 * padding, width + 2 * padding, batch)
    high, wide = (1 + stride * (pixels - 1) for pixels in gradient.shape[2:4])
    for i in range(kernel):
        for j in range(kernel):
            padded[:, :, i : i + high : stride, j : j + wide : stride] += patches[:, :, i, j]
    return padded[:, :, padding : padding + height, padding : padding + width]


class BatchNorm(nn.BatchNorm2d):
    """The batch normalisation of all channels of S networks."""

    def forward(self, x: Tensor) -> Tensor:
        rows = rows_of(x)
        return images_of(super().forward(rows.flatten(1)[None, :, :, None]).view_as(rows))


class SkipOrPool(nn.Module):
    """For each network x, the average of 3x3 pixels of x, or nothing."""

    def __init__(self, skips: list[bool], pools: list[bool]) -> None:
        super().__init__()
        self.skip: Tensor
        self.pool: Tensor
        self.register_buffer("skip", torch.tensor(skips))
        self.register_buffer("pool", torch.tensor(pools))
        self._only = "skip" if all(skips) else "pool" if all(pools) else None
        self._pooled = any(pools)

    def forward(self, x: Tensor) -> Tensor:
        if self._only == "skip":
            return x
        rows = rows_of(x)
        pooled: Tensor = _Average.apply(rows) if self._pooled else rows  # type: ignore[no-untyped-call]
        if self._only == "pool":
            return images_of(pooled)
        channels = len(rows) // len(self.skip)
        skip, pool = (
            which.repeat_interleave(channels).to(rows.dtype).view(-1, 1, 1, 1) for which in (self.skip, self.pool)
        )
        return images_of(skip * rows + pool * pooled if self._pooled else skip * rows)


class _Average(torch.autograd.Function):
    """The average of 3x3 pixels, those outside not counted, of (channels, h, w, batch).

    y = sums(x) / n, and sums is its own transpose: dx = sums(dy / n).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.share = 1 / _sums(x.new_ones(1, *x.shape[1:3], 1))
        return _sums(x).mul_(ctx.share)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sums(gradient * ctx.share)


def _sums(x: Tensor) -> Tensor:
    """The sum of a pixel and its neighbours."""
    rows = x.clone()
    rows[:, 1:] += x[:, :-1]
    rows[:, :-1] += x[:, 1:]
    both = rows.clone()
    both[:, :, 1:] += rows[:, :, :-1]
    both[:, :, :-1] += rows[:, :, 1:]
    return both


class Halve(nn.Module):
    """The average of 2x2 pixels, of an even width and height."""

    def forward(self, x: Tensor) -> Tensor:
        return images_of(rows_of(x).unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).mean(dim=(2, 4)))
