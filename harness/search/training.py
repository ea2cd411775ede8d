"""Training by SGD: the parts that all training loops share, of searches, retrainings and built tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from harness.config.protocol import Weights
from harness.config.recipe import Optimization
from harness.data.batches import Images
from harness.methods.base import Passes
from harness.methods.search_state import classify
from harness.random_streams import Streams
from harness.search.cost import Cost
from harness.search.epoch import Mean, Tick

SGDSettings = Weights | Optimization
"""The settings of SGD: those of a protocol, or of a recipe."""


def make_sgd(parameters: Iterable[nn.Parameter], settings: SGDSettings, **implementation: bool) -> torch.optim.SGD:
    """SGD with the momentum and the weight decay of the settings.

    ``implementation`` may be ``foreach`` or ``fused``, which PyTorch explains; without it PyTorch chooses.
    """
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        **implementation,
    )


def cosine(start: float, end: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch: half a cosine from ``start``, which would reach ``end`` at ``epochs``."""
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: SGDSettings, epoch: int, epochs: int) -> None:
    """Give the optimizer the learning rate of an epoch, from 0, of so many; see :func:`cosine`."""
    for group in optimizer.param_groups:
        group["lr"] = cosine(settings.learning_rate, settings.learning_rate_min, epoch, epochs)


def uses_mixed_precision(device: torch.device, precision: str) -> bool:
    """Tell whether forward passes compute in bfloat16: only on a GPU, whatever the settings say."""
    return device.type == "cuda" and precision == "bfloat16"


def descend(loss: Tensor, optimizer: torch.optim.SGD, clip_norm: float | None = None) -> None:
    """Take one step down the gradient of ``loss``, clipped to a norm of at most ``clip_norm``."""
    optimizer.zero_grad()
    loss.backward()
    if clip_norm is not None:
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip_norm)
    optimizer.step()


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.SGD,
    images: Images,
    streams: Streams,
    *,
    trained: Mean,
    cost: Cost,
    passes: Passes,
    tick: Tick,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    mixed_precision: bool = False,
) -> None:
    """Train a network on all images once.

    Args:
        network: in training mode.
        optimizer: of its parameters.
        images: what it is trained on, in batches that are shuffled and augmented.
        streams: ``train-order`` and ``train-augmentation`` are drawn from.
        trained: the loss and the accuracy of each batch are added here.
        cost: the steps are timed as ``weight``; making the batches is not.
        passes: counts every pass.
        tick: called after each step.
        label_smoothing: see :func:`classify`.
        clip_norm: largest norm of the gradient; None: no clipping.
        mixed_precision: see :func:`classify`.
    """
    batches = images.shuffled(streams["train-order"], streams["train-augmentation"])
    for step, batch in enumerate(batches):
        with cost.timing("weight"):
            forward = classify(network, batch, passes, label_smoothing=label_smoothing, mixed_precision=mixed_precision)
            passes.backward += 1
            descend(forward.loss, optimizer, clip_norm)
        trained.add(forward, len(batch.labels))
        tick((step + 1) / images.batches)
