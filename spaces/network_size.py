"""The size of a network: parameters and multiply-accumulate operations (FLOPs)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from harness.spaces.base import Architecture, NetworkConfig, SearchSpace

BENCHMARK = NetworkConfig(channels=16, cells=5, classes=10)
"""The network by which the sizes of cells are compared: that of NAS-Bench-201 on CIFAR-10."""

BENCHMARK_IMAGE_SIZE = 32
"""Height and width of its images (pixels)."""

LATENCY_BATCH = 64
"""Images in the batch whose forward pass is timed when latency is measured."""


class Size(NamedTuple):
    """Parameters of a network, and multiply-accumulate operations of one image."""

    parameters: int
    flops: int


def benchmark_size(space: SearchSpace, cell: Architecture) -> Size:
    """Return the size of a cell's :data:`BENCHMARK` network."""
    return size_of(space, cell, BENCHMARK, BENCHMARK_IMAGE_SIZE)


def size_of(space: SearchSpace, cell: Architecture, config: NetworkConfig, image_size: int) -> Size:
    """Return the size of a cell's network for square images of ``image_size`` pixels a side."""
    network = space.network(cell, config)
    return Size(parameters(network), flops(network, image_size))


def parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def flops(network: nn.Module, image_size: int) -> int:
    """Multiply-accumulate operations of one image's forward pass, counted as NAS-Bench-201 counts its "FLOPs".

    Convolutions count one per multiplication, the classifier one more for its bias; the rest counts nothing.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += layer.weight.numel() + layer.bias.numel()

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, image_size, image_size))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total
