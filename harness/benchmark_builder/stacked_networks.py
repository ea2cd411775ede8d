"""Several networks computed as one: what is small alone wastes a processor.

The channels of S networks stand side by side, (batch, S·channels, h, w), and no network sees another's. Whatever a step
costs besides arithmetic is then shared by all. There are two ways of it:

* PyTorch's own layers, where each network's channels are a group of a convolution, channels last in memory;
* for small networks, the layers of :mod:`harness.benchmark_builder.stacked_layers`. Networks need not be quite the same
  then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from harness.benchmark_builder.stacked_layers import BatchNorm, Convolution, Halve, SkipOrPool, images_of, rows_of

Join = Callable[[list[Any]], nn.Module]
"""Makes one layer of the S networks' layers."""


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
    return images_of(rows_of(images)) if small else images.contiguous(memory_format=torch.channels_last)


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
        return SkipOrPool(skips, pools)
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


def _convolution(parts: list[Any]) -> nn.Module:
    _check(parts)
    return Convolution(_stacked(parts, "weight"), parts[0].stride[0], parts[0].padding[0])


def _pool(parts: list[Any]) -> nn.Module:
    """A pooling of this memory order where there is one; PyTorch's own is right in any, but slow."""
    if _keeps_size(parts[0]):
        return SkipOrPool([False] * len(parts), [True] * len(parts))
    halves = (parts[0].kernel_size, parts[0].stride, parts[0].padding) == (2, 2, 0)
    return Halve() if halves else parts[0]


_LARGE: dict[type[nn.Module], Join] = {nn.Conv2d: _grouped, nn.BatchNorm2d: _wider, nn.Linear: _Linear}

_SMALL: dict[type[nn.Module], Join] = {
    nn.ModuleDict: _edges,
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: partial(_wider, kind=BatchNorm),
    nn.AvgPool2d: _pool,
    nn.Linear: _Linear,
}
