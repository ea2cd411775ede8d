"""Several networks computed as one, by PyTorch's own layers: a small network alone wastes a processor.

The channels of S networks are stacked, (batch, S·channels, h, w), with channels last in memory. Each network is a group
of every convolution, so that no network sees another's images. The cost of a step besides arithmetic is then shared.

``torch.func.stack_module_state`` with ``vmap`` does the same for networks of one architecture, without the layers
below; it takes 1.6 to 2 times as long (``docs/decisions/011-stacked-networks.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def stack_networks(networks: Sequence[nn.Module]) -> nn.Module:
    """Make one network that computes S networks, each with its own weights.

    The networks have the same layers, except in an ``nn.ModuleDict``: there one network may have an identity, a 3×3
    average pooling of the same size or nothing where another has another of these three. Nothing adds zeros to a sum.

    The input is (batch, S·channels, h, w), the images of each network in turn, best with channels last in memory; the
    output is (batch, S·classes). The networks learn what they would learn alone from the sum of their losses.

    Raises TypeError for layers with parameters other than square convolutions without bias, 2-d batch normalisation and
    linear layers, and for networks that differ in more than is said above.
    """
    stacked = _stack([deepcopy(network) for network in networks])
    return stacked.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _stack(layers: list[Any]) -> nn.Module:
    first = layers[0]
    if len({type(layer) for layer in layers}) > 1:
        raise TypeError(f"a {_name(first)} and a {_name(layers[-1])} cannot be stacked")
    for kind, stack in _STACKS.items():
        if isinstance(first, kind):
            return stack(layers)
    if next(first.parameters(recurse=False), None) is not None:
        raise TypeError(f"networks with a layer of type {_name(first)} cannot be stacked")
    if len({tuple(dict(layer.named_children())) for layer in layers}) > 1:
        raise TypeError(f"two {_name(first)} of other layers cannot be stacked")
    for name, _ in list(first.named_children()):
        setattr(first, name, _stack([getattr(layer, name) for layer in layers]))
    return first  # type: ignore[no-any-return]


def _name(layer: nn.Module) -> str:
    return type(layer).__name__


def _parameters(layers: Sequence[nn.Module], name: str) -> Tensor:
    """The parameters, or the buffers, of this name: (S, …)."""
    return torch.stack([getattr(layer, name).detach() for layer in layers])


def _stack_edges(edges: list[nn.ModuleDict]) -> nn.Module:
    """Children by name; some networks may lack one."""
    keys = dict.fromkeys(key for each in edges for key in each)
    return nn.ModuleDict({key: _stack_edge([dict(each.items()).get(key) for each in edges]) for key in keys})


def _stack_edge(layers: list[Any]) -> nn.Module:
    skips = [isinstance(layer, nn.Identity) for layer in layers]
    pools = [isinstance(layer, nn.AvgPool2d) and _keeps_size(layer) for layer in layers]
    if all(skips) or all(pools):
        return layers[0]  # type: ignore[no-any-return]
    if all(skip or pool or layer is None for skip, pool, layer in zip(skips, pools, layers, strict=True)):
        return SkipOrPool(skips, pools)
    if None in layers:
        raise TypeError("networks of which one lacks a layer with parameters cannot be stacked")
    return _stack(layers)


def _keeps_size(pool: nn.AvgPool2d) -> bool:
    return (pool.kernel_size, pool.stride, pool.padding, pool.count_include_pad) == (3, 1, 1, False)


class SkipOrPool(nn.Module):
    """For each of S networks, its image, the average over each 3×3 neighbourhood of it, or zeros."""

    def __init__(self, skips: list[bool], pools: list[bool]) -> None:
        super().__init__()
        self.skips: Tensor
        self.pools: Tensor
        self.register_buffer("skips", torch.tensor(skips))
        self.register_buffer("pools", torch.tensor(pools))
        self._any_pool = any(pools)

    def forward(self, x: Tensor) -> Tensor:
        y = self._of_each(self.skips, x) * x
        if self._any_pool:
            y = y + self._of_each(self.pools, x) * F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return y

    @staticmethod
    def _of_each(chosen: Tensor, x: Tensor) -> Tensor:
        """1 for the channels of the chosen networks, 0 for the others: (S·channels, 1, 1)."""
        return chosen.to(x.dtype).repeat_interleave(x.shape[1] // len(chosen))[:, None, None]


def _stack_convolutions(convolutions: list[Any]) -> nn.Module:
    first = convolutions[0]
    square = all(len(set(pair)) == 1 for pair in (first.kernel_size, first.stride, first.padding))
    if first.groups != 1 or first.dilation != (1, 1) or not square or first.bias is not None:
        raise TypeError(f"{first} cannot be stacked: only square convolutions without bias or groups can")
    if len({convolution.weight.shape for convolution in convolutions}) > 1:
        raise TypeError("convolutions of different shapes cannot be stacked")
    first.groups, first.in_channels, first.out_channels = (
        len(convolutions) * count for count in (1, first.in_channels, first.out_channels)
    )
    first.weight = nn.Parameter(_parameters(convolutions, "weight").flatten(0, 1))
    return first  # type: ignore[no-any-return]


def _stack_norms(norms: list[Any]) -> nn.Module:
    first = norms[0]
    stacked = nn.BatchNorm2d(len(norms) * first.num_features, first.eps, first.momentum).to(first.weight.dtype)
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(stacked, name).copy_(_parameters(norms, name).flatten())
    return stacked


class StackedLinear(nn.Module):
    """S linear layers on (batch, S·features)."""

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(_parameters(layers, name)) for name in ("weight", "bias"))

    def forward(self, x: Tensor) -> Tensor:
        features = x.unflatten(1, (len(self.weight), -1))
        return (torch.einsum("bsi,soi->bso", features, self.weight) + self.bias).flatten(1)


_STACKS: dict[type[nn.Module], Callable[[list[Any]], nn.Module]] = {
    nn.ModuleDict: _stack_edges,
    nn.Conv2d: _stack_convolutions,
    nn.BatchNorm2d: _stack_norms,
    nn.Linear: StackedLinear,
}
