"""Several networks computed as one: what is small alone wastes a processor.

The channels of S networks stand side by side, (batch, S·channels, h, w), and no network sees another's. Whatever a step
costs besides arithmetic is then shared by all. There are two ways of it:

* PyTorch's own layers, where each network's channels are a group of a convolution, channels last in memory;
* for small networks, layers that have the batch innermost in memory, so that a convolution of few channels is one
  matrix product a network, of its weights with long rows of pixels. Networks need not be quite the same then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

PATCH_BYTES = 2**20
"""Small layers gather what a kernel sees, for as many networks at a time as fit into a processor's cache."""

Join = Callable[[list[Any]], nn.Module]
"""Makes one layer of the S networks' layers."""


def are_small(channels: int, image_size: int, batch_size: int) -> bool:
    """Whether networks are small: what a 3x3 kernel sees of one of them, in single precision, fits into the cache."""
    return 4 * 9 * channels * image_size**2 * batch_size <= PATCH_BYTES


def side_by_side(networks: Sequence[nn.Module], *, small: bool) -> nn.Module:
    """One network that computes S networks, each with its own weights.

    The networks have the same layers. Small ones may differ in identities and 3x3 average poolings in an
    ``nn.ModuleDict``: there one network may have either where another has the other, or nothing, which then adds
    nothing to a sum.

    The input is (batch, S·channels, h, w), each network's images in turn, best as :func:`arranged` gives them, and the
    output (batch, S·classes). It learns what the networks would learn alone: the gradient of a sum of their losses does
    not mix them.

    Raises TypeError for layers with parameters other than square convolutions, 2-d batch normalisation and linear
    layers, and for networks that differ in more than is said above.
    """
    joined = _joined([deepcopy(network) for network in networks], _SMALL if small else _LARGE)
    return joined if small else joined.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def arranged(images: Tensor, *, small: bool) -> Tensor:
    """The same (batch, channels, h, w) in the memory order of the networks that it is meant for."""
    return _images(_rows(images)) if small else images.contiguous(memory_format=torch.channels_last)


def _joined(parts: list[Any], joins: Mapping[type[nn.Module], Join]) -> nn.Module:
    if len({type(part) for part in parts}) > 1:
        raise TypeError(f"a {_name(parts[0])} and a {_name(parts[-1])} cannot be set side by side")
    for kind, join in joins.items():
        if isinstance(parts[0], kind):
            return join(parts)
    if next(parts[0].parameters(recurse=False), None) is not None:
        raise TypeError(f"networks with a layer of type {_name(parts[0])} cannot be set side by side")
    if len({tuple(dict(part.named_children())) for part in parts}) > 1:
        raise TypeError(f"two {_name(parts[0])} of other layers cannot be set side by side")
    for name, _ in list(parts[0].named_children()):
        setattr(parts[0], name, _joined([getattr(part, name) for part in parts], joins))
    return parts[0]  # type: ignore[no-any-return]


def _edges(parts: list[nn.ModuleDict]) -> nn.Module:
    """Children by name, where they may be identities, poolings or absent in some of the networks."""
    keys = dict.fromkeys(key for part in parts for key in part)
    return nn.ModuleDict({key: _edge([dict(part.items()).get(key) for part in parts]) for key in keys})


def _edge(parts: list[Any]) -> nn.Module:
    skips = [isinstance(part, nn.Identity) for part in parts]
    pools = [isinstance(part, nn.AvgPool2d) and _keeps_size(part) for part in parts]
    if all(skip or pool or part is None for skip, pool, part in zip(skips, pools, parts, strict=True)):
        return _SkipOrPool(skips, pools)
    if None in parts:
        raise TypeError("networks of which one lacks a layer with parameters cannot be set side by side")
    return _joined(parts, _SMALL)


def _keeps_size(pool: nn.AvgPool2d) -> bool:
    return (pool.kernel_size, pool.stride, pool.padding, pool.count_include_pad) == (3, 1, 1, False)


def _name(layer: nn.Module) -> str:
    return type(layer).__name__


def _stacked(parts: Sequence[nn.Module], name: str) -> Tensor:
    """(S, …): what the networks have under a name."""
    return torch.stack([getattr(part, name).detach() for part in parts])


def _rows(x: Tensor) -> Tensor:
    """(S·channels, h, w, batch) of (batch, S·channels, h, w): contiguous, and a view where it can be one."""
    return x.permute(1, 2, 3, 0).contiguous()


def _images(rows: Tensor) -> Tensor:
    """(batch, S·channels, h, w) of (S·channels, h, w, batch), a view."""
    return rows.permute(3, 0, 1, 2)


def _check(convolutions: list[Any]) -> None:
    """Raise TypeError for convolutions that are not square, plain and of the same shape."""
    first = convolutions[0]
    square = all(len(set(pair)) == 1 for pair in (first.kernel_size, first.stride, first.padding))
    if first.groups != 1 or first.dilation != (1, 1) or not square or first.bias is not None:
        raise TypeError(f"{first} cannot be set side by side: only square convolutions without bias or groups can")
    if len({part.weight.shape for part in convolutions}) > 1:
        raise TypeError("convolutions of different shapes cannot be set side by side")


# PyTorch's own layers


def _grouped(parts: list[Any]) -> nn.Module:
    _check(parts)
    first = parts[0]
    first.groups, first.in_channels, first.out_channels = (
        len(parts) * count for count in (1, first.in_channels, first.out_channels)
    )
    first.weight = nn.Parameter(_stacked(parts, "weight").flatten(0, 1))
    return first  # type: ignore[no-any-return]


def _wider(parts: list[Any], kind: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.BatchNorm2d:
    joined = kind(len(parts) * parts[0].num_features, parts[0].eps, parts[0].momentum).to(parts[0].weight.dtype)
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(joined, name).copy_(_stacked(parts, name).flatten())
    return joined


class _Linear(nn.Module):
    """S linear layers on (batch, S·features)."""

    def __init__(self, parts: list[Any]) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(_stacked(parts, name)) for name in ("weight", "bias"))

    def forward(self, x: Tensor) -> Tensor:
        features = x.unflatten(1, (len(self.weight), -1))
        return (torch.einsum("bsi,soi->bso", features, self.weight) + self.bias).flatten(1)


# Layers with the batch innermost


class _Convolution(nn.Module):
    def __init__(self, parts: list[Any]) -> None:
        super().__init__()
        _check(parts)
        self.weight = nn.Parameter(_stacked(parts, "weight"))  # (S, out, in, k, k)
        self.stride, self.padding = parts[0].stride[0], parts[0].padding[0]

    def forward(self, x: Tensor) -> Tensor:
        rows = _rows(x).unflatten(0, (len(self.weight), -1))
        result: Tensor = _Convolve.apply(rows, self.weight, self.stride, self.padding)  # type: ignore[no-untyped-call]
        return _images(result.flatten(0, 1))


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


class _BatchNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        rows = _rows(x)
        return _images(super().forward(rows.flatten(1)[None, :, :, None]).view_as(rows))


class _SkipOrPool(nn.Module):
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
        rows = _rows(x)
        pooled: Tensor = _Average.apply(rows) if self._pooled else rows  # type: ignore[no-untyped-call]
        if self._only == "pool":
            return _images(pooled)
        channels = len(rows) // len(self.skip)
        skip, pool = (
            which.repeat_interleave(channels).to(rows.dtype).view(-1, 1, 1, 1) for which in (self.skip, self.pool)
        )
        return _images(skip * rows + pool * pooled if self._pooled else skip * rows)


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


class _Halve(nn.Module):
    """The average of 2x2 pixels, of an even width and height."""

    def forward(self, x: Tensor) -> Tensor:
        return _images(_rows(x).unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).mean(dim=(2, 4)))


def _pool(parts: list[Any]) -> nn.Module:
    """A pooling of this memory order where there is one; PyTorch's own is right in any, but slow."""
    if _keeps_size(parts[0]):
        return _SkipOrPool([False] * len(parts), [True] * len(parts))
    halves = (parts[0].kernel_size, parts[0].stride, parts[0].padding) == (2, 2, 0)
    return _Halve() if halves else parts[0]


_LARGE: dict[type[nn.Module], Join] = {nn.Conv2d: _grouped, nn.BatchNorm2d: _wider, nn.Linear: _Linear}

_SMALL: dict[type[nn.Module], Join] = {
    nn.ModuleDict: _edges,
    nn.Conv2d: _Convolution,
    nn.BatchNorm2d: partial(_wider, kind=_BatchNorm),
    nn.AvgPool2d: _pool,
    nn.Linear: _Linear,
}
