"""Parts that every search loop shares: the network around the cells, the mean loss of an epoch and its trace row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from harness.config.protocol import Protocol
from harness.methods.base import Forward, Passes, WeightSharingMethod
from harness.runs.schema import TraceRow
from harness.search.cost import Cost
from harness.spaces.base import Architecture, NetworkConfig, SearchSpace, Supernet

Returned = TypeVar("Returned")


Tick = Callable[[float], None]
"""Called with the fraction of the epoch that is done."""


def network_config(protocol: Protocol, classes: int, **options: Any) -> NetworkConfig:
    """Make the macro-architecture of a protocol; ``options`` are the fields that a method needs to be different."""
    settings = protocol.supernet
    config = {
        "channels": settings.channels,
        "cells": settings.cells,
        "classes": classes,
        "batch_norm": settings.batch_norm,
        "head_affine": settings.head_affine,
    }
    return NetworkConfig(**(config | options))


def make_supernet(method: WeightSharingMethod, space: SearchSpace, protocol: Protocol, classes: int) -> Supernet:
    """The supernet that a method searches with under a protocol, not yet initialised.

    Raises :class:`harness.spaces.base.SpaceError` where the space has none of such a configuration.
    """
    options = check_returned(method.supernet_options(), "supernet_options")
    config = network_config(protocol, classes, **options)
    reference = protocol.supernet.implementation == "reference"
    return space.reference_supernet(config) if reference else space.supernet(config)


def check_returned(value: Returned | None, hook: str) -> Returned:
    """Return ``value``, which a hook of a method returned. Raises TypeError that names the hook if it is None."""
    if value is None:
        raise TypeError(f"{hook} lacks a return: it returned None")
    return value


class Mean:
    """Mean loss and accuracy over the images of an epoch, summed where they are computed."""

    def __init__(self) -> None:
        self._loss: Tensor | float = 0.0
        self._correct: Tensor | float = 0.0
        self._images = 0

    def add(self, forward: Forward | None, images: int) -> None:
        """Add a batch; None adds nothing."""
        if forward is not None:
            self._loss = self._loss + images * forward.loss.detach().double()
            self._correct = self._correct + forward.correct
            self._images += images

    @property
    def loss(self) -> float | None:
        """Mean cross-entropy an image; None where there was none."""
        return float(self._loss) / self._images if self._images else None

    @property
    def accuracy(self) -> float | None:
        """% of images classified rightly; None where there was none."""
        return 100 * float(self._correct) / self._images if self._images else None


def trace_row(
    epoch: int,
    space: SearchSpace,
    cell: Architecture,
    cost: Cost,
    passes: Passes,
    *,
    trained: Mean,
    valid: tuple[float | None, float | None],
    alpha: Tensor | None,
) -> TraceRow:
    """The state after an epoch.

    Args:
        epoch: from 0.
        space: the search space.
        cell: derived after the epoch.
        cost: so far.
        passes: so far.
        trained: loss and accuracy on training batches.
        valid: loss and accuracy (%) on validation batches.
        alpha: (edges, operations), if there is any.
    """
    probabilities = None if alpha is None else alpha.detach().double().softmax(dim=1)
    best = None if probabilities is None else probabilities.topk(2, dim=1).values
    return TraceRow(
        epoch=epoch + 1,
        architecture=space.format(cell),
        index=space.index(cell),
        operations={name: cell.count(operation) for operation, name in enumerate(space.operations)},
        train_loss=trained.loss,
        train_accuracy=trained.accuracy,
        valid_loss=valid[0],
        valid_accuracy=valid[1],
        alpha_entropy=None if probabilities is None else float(torch.special.entr(probabilities).sum(dim=1).mean()),
        alpha_margin=None if best is None else float((best[:, 0] - best[:, 1]).mean()),
        weight_seconds=cost.seconds["weight"],
        alpha_seconds=cost.seconds["alpha"],
        derivation_seconds=cost.seconds["derivation"],
        examples=passes.examples,
        forward_passes=passes.forward,
        backward_passes=passes.backward,
        peak_memory_mib=cost.peak_memory_mib,
    )
