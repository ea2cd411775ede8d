"""The size of a network: parameters and multiply-accumulate operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
