"""Networks of one architecture and several training seeds, computed as one: what is small alone wastes a processor.

The channels of the networks stand side by side, and every convolution works on each network's channels as a group of
its own, so that no network sees another. A convolution of few channels is mostly overhead; S at once share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn


def side_by_side(networks: Sequence[nn.Module]) -> nn.Module:
    """One network that computes S networks of the same architecture, each with its own weights.

    Its input is (batch, S·channels, h, w), each network's images in turn, and its output (batch, S·classes). It learns
    what the networks would learn alone: the gradient of a sum of their losses does not mix them.

    Raises TypeError for layers with parameters other than convolutions, 2-d batch normalisation and linear layers.
    """
    return _joined([deepcopy(network) for network in networks])


def _joined(parts: list[nn.Module]) -> nn.Module:
    first = parts[0]
    if isinstance(first, nn.Conv2d):
        first.groups *= len(parts)
        first.in_channels *= len(parts)
        first.out_channels *= len(parts)
        _stack(parts, "weight", "bias")
    elif isinstance(first, nn.BatchNorm2d):
        first.num_features *= len(parts)
        _stack(parts, "weight", "bias", "running_mean", "running_var")
    elif isinstance(first, nn.Linear):
        return _Linear([part for part in parts if isinstance(part, nn.Linear)])
    elif next(first.parameters(recurse=False), None) is not None:
        raise TypeError(f"networks with a layer of type {type(first).__name__} cannot be set side by side")
    for name, _ in list(first.named_children()):
        setattr(first, name, _joined([getattr(part, name) for part in parts]))
    return first


def _stack(parts: list[nn.Module], *names: str) -> None:
    for name in names:
        values = [getattr(part, name) for part in parts]
        if values[0] is not None:
            joined = torch.cat([value.detach() for value in values])
            setattr(parts[0], name, nn.Parameter(joined) if isinstance(values[0], nn.Parameter) else joined)


class _Linear(nn.Module):
    """S linear layers on (batch, S·features)."""

    def __init__(self, layers: list[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        features = x.unflatten(1, (len(self.weight), -1))
        return (torch.einsum("bsi,soi->bso", features, self.weight) + self.bias).flatten(1)
