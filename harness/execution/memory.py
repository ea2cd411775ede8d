"""Predict the memory of the runs of a command before they start, and how many of them fit at once.

A prediction takes two forward passes of two images per method, here, and no data. What a search holds at its peak goes
with what a forward pass keeps for the backward pass, which grows with the batch; the factors below were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import psutil
import torch
from torch import Tensor, nn

from harness.config.protocol import Protocol
from harness.data.batches import AT_ONCE, Images, SearchData
from harness.data.training_set import TrainingSet
from harness.methods.base import Method, SearchState, WeightSharingMethod
from harness.runs import control_group
from harness.search.epoch import network_config
from harness.search.weight_sharing import WeightSharingSearch
from harness.spaces.base import Mixture, SearchSpace

MIB = 2**20

CLASSES = 10
"""Their number makes no difference that counts."""

PROCESS = 360 * MIB
"""A process that has imported what a run needs and has not begun: measured with PyTorch 2.13 on Linux."""

STEP = 2.5
"""Bytes at the peak of a step for each that the forward pass under the method's mixture keeps."""

HESSIAN = 11.5
"""Bytes at the peak of a Hessian with respect to α for each that a forward pass of all operations keeps."""

ACCURACY = 0.55
"""Bytes at the peak of measuring an accuracy for each that a forward pass of all operations keeps in a cell a stage."""

SPARE = 0.1
"""The part of the free memory that is left alone."""


def bounded(
    jobs: int,
    methods: Sequence[Method],
    space: SearchSpace,
    protocol: Protocol,
    training: TrainingSet,
    device: str,
    by_table: bool,
) -> tuple[int, str]:
    """As many of ``jobs`` as fit into the memory that is free, one at least, and a line where these are fewer.

    Args:
        jobs: runs at once that the cores allow.
        methods: of each run that is to be done.
        space: that they search.
        protocol: of all of them.
        training: the data set that they search on.
        device: PyTorch's name.
        by_table: whether a table answers query-based methods, so that they train nothing.
    """
    if jobs == 1:
        return jobs, ""
    free = free_bytes(device)
    needs = {method: predicted(method, space, protocol, training, by_table) for method in set(methods)}
    fit = fitting([needs[method] for method in methods], (1 - SPARE) * free)
    if fit >= jobs:
        return jobs, ""
    largest = max(needs, key=lambda method: needs[method])
    return fit, (
        f"memory bounds the runs at once to {fit}, where the cores allow {jobs}: a run of {largest.label()} is "
        f"predicted to take {needs[largest] / MIB:,.0f} MiB, and {free / MIB:,.0f} MiB are free; --jobs sets another "
        "number"
    )


def fitting(needs: Sequence[float], free: float) -> int:
    """Number of runs with these needs that fit at once, whichever they are; one at least."""
    return max(1, sum(total <= free for total in accumulate(sorted(needs, reverse=True))))


def predicted(
    method: Method, space: SearchSpace, protocol: Protocol, training: TrainingSet, by_table: bool = False
) -> float:
    """Bytes of a run's process at its peak; of a method that fails here, without what its search takes.

    Such a method will fail in its run, where that is recorded.
    """
    if by_table and not isinstance(method, WeightSharingMethod):
        return PROCESS
    read = 2.0 * training.images.nbytes  # the data set and its parts, for a moment; then it is given up
    try:
        work = (
            _searching(method, space, protocol)
            if isinstance(method, WeightSharingMethod)
            else _training(space, protocol)
        )
    except Exception:
        return PROCESS + read
    used = 3.0 * protocol.data.image_size**2 * (protocol.data.images or len(training.labels))
    return PROCESS + max(read, used + work)


def _searching(method: WeightSharingMethod, space: SearchSpace, protocol: Protocol) -> float:
    """Bytes that a supernet takes: its weights, and the largest of what is done with it."""
    few = _images(protocol)
    (batch,) = few.in_order()
    search = WeightSharingSearch(method, space, SearchData(few, few, CLASSES), protocol, 0, torch.device("cpu")).state
    hessian = protocol.diagnostics.hessian or _asks_for_curvature(method, search)
    shape = (len(space.edges), len(space.operations))
    all_operations = Mixture(torch.full(shape, 1 / shape[1], requires_grad=True))
    own, every = (_kept(search.supernet, batch.images, mixture) for mixture in (method.mixture(search), all_operations))
    return _weights(search.supernet) + max(
        STEP * own * protocol.search.batch_size,
        HESSIAN * every * protocol.search.batch_size * hessian,
        ACCURACY * every / protocol.supernet.cells * AT_ONCE,
    )


def _asks_for_curvature(method: WeightSharingMethod, state: SearchState) -> bool:
    """True if the method itself computes a Hessian, as its second epoch begins."""
    calls = []

    def curvature() -> float:
        calls.append(state.epoch)
        return 0.0

    state = replace(state, epoch=1, curvature=curvature)
    method.begin_epoch(state)
    return bool(calls)


def _training(space: SearchSpace, protocol: Protocol) -> float:
    """Bytes that the largest of the space's reference cells takes while it is trained."""
    (batch,) = _images(protocol).in_order()
    config = network_config(protocol, CLASSES)
    networks = [space.network(cell, config) for cell in space.reference_cells().values()]
    return max(
        _weights(network) + STEP * _kept(network, batch.images) * protocol.search.batch_size for network in networks
    )


def _images(protocol: Protocol) -> Images:
    """Two black images, as the protocol shows them to a network."""
    images = torch.zeros(2, 3, protocol.data.image_size, protocol.data.image_size, dtype=torch.uint8)
    one = torch.ones(3, 1, 1)
    return Images(images, torch.zeros(2, dtype=torch.int64), one, one, protocol.data, 2)


def _weights(network: nn.Module) -> float:
    """Bytes of a network's weights, their gradient, their momentum and a copy."""
    return 4.0 * sum(parameter.nbytes for parameter in network.parameters())


def _kept(network: nn.Module, images: Tensor, *mixture: Mixture) -> float:
    """Bytes for each image that a forward pass keeps for the backward pass, the network's parameters left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images, *mixture)
    total = sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in own)
    return total / len(images)


def free_bytes(device: str) -> float:
    """Bytes that processes may still take: of the GPU, or of this machine or its container."""
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(device)[0])
    return min(float(psutil.virtual_memory().available), control_group.free_memory())
