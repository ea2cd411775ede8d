"""How much memory the runs of a command will take, predicted before they start, and how many of them fit at once.

A prediction takes one forward pass of two images per method, here, and no data. What a search holds at its peak is
mostly what the forward pass keeps for the backward pass, which grows with the batch; the factors below were measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.batches import Images, SearchData
from harness.data import TrainingSet
from harness.protocol import Protocol
from harness.search import GradientSearch, network_config
from methods.base import GradientMethod, Method
from spaces.base import SearchSpace

MIB = 2**20

PROCESS = 360 * MIB
"""A process that has imported what a run needs and has not begun: measured with PyTorch 2.13 on Linux."""

STEP, HESSIAN = 2.5, 7.0
"""Bytes at the peak of a step, and of a Hessian with respect to α, for each that the forward pass keeps: measured."""

SPARE = 0.1
"""The part of the free memory that is left alone."""

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def bounded(
    jobs: int,
    methods: Sequence[Method],
    seeds: int,
    space: SearchSpace,
    protocol: Protocol,
    training: TrainingSet,
    device: str,
    by_table: bool,
) -> tuple[int, str]:
    """As many of ``jobs`` as fit into the memory that is free, one at least, and a line where these are fewer.

    ``by_table``: a table answers query-based methods, so that they train nothing.
    """
    free = free_bytes(device)
    if jobs == 1 or free is None:
        return jobs, ""
    needs = {method.label(): predicted(method, space, protocol, training, by_table) for method in methods}
    fit = fitting([need for need in needs.values() for _ in range(seeds)], (1 - SPARE) * free)
    if fit >= jobs:
        return jobs, ""
    largest = max(needs, key=lambda label: needs[label])
    return fit, (
        f"memory bounds the runs at once to {fit}, where the cores allow {jobs}: a run of {largest} is predicted to "
        f"take {needs[largest] / MIB:,.0f} MiB, and {free / MIB:,.0f} MiB are free; --jobs sets another number"
    )


def fitting(needs: Sequence[float], free: float) -> int:
    """How many of the runs with these needs fit at once, whichever they are; one at least."""
    return max(1, sum(total <= free for total in accumulate(sorted(needs, reverse=True))))


def predicted(
    method: Method, space: SearchSpace, protocol: Protocol, training: TrainingSet, by_table: bool = False
) -> float:
    """Bytes of a run's process at its peak; of a method that fails here, without what its search takes.

    Such a method will fail in its run, where that is recorded.
    """
    if by_table and not isinstance(method, GradientMethod):
        return PROCESS
    read = 2.0 * training.images.nbytes  # the data set and its parts, for a moment; then it is given up
    try:
        weights, kept = _trained(method, space, protocol, training.classes)
    except Exception:
        return PROCESS + read
    used = 3 * protocol.data.image_size**2 * (protocol.data.images or len(training.labels))
    factor = HESSIAN if protocol.diagnostics.hessian and isinstance(method, GradientMethod) else STEP
    searched = used + 4 * weights + factor * kept * protocol.search.batch_size  # w, its gradient, momentum, a copy
    return PROCESS + max(read, searched)


def _trained(method: Method, space: SearchSpace, protocol: Protocol, classes: int) -> tuple[float, float]:
    """Bytes of the weights that a search trains, and bytes that a forward pass keeps for each image."""
    count, size, one = 2, protocol.data.image_size, torch.ones(3, 1, 1)
    images = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    few = Images(images, torch.zeros(count, dtype=torch.int64), one, one, protocol.data, count)
    (batch,) = few.in_order()
    if isinstance(method, GradientMethod):
        search = GradientSearch(method, space, SearchData(few, few, classes), protocol, 0, torch.device("cpu")).search
        kept = _kept(search.supernet, lambda: search.forward(batch, method.mixture(search)).loss)
        return _bytes_of(search.supernet), kept / count
    config = network_config(protocol, classes)
    networks = [space.network(cell, config) for cell in space.reference_cells().values()]
    most = max(_kept(network, lambda network=network: network(batch.images)) for network in networks)
    return max(map(_bytes_of, networks)), most / count


def _bytes_of(network: nn.Module) -> float:
    return float(sum(parameter.nbytes for parameter in network.parameters()))


def _kept(network: nn.Module, forward: Callable[[], Tensor]) -> float:
    """Bytes of what a forward pass keeps for the backward pass, the network's parameters left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return float(sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own))


def free_bytes(device: str) -> float | None:
    """Bytes that processes may still take: of the GPU, or of this machine or its container; None where not known."""
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = MEMINFO.read_text().splitlines()
        free = next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        try:
            free = float(
                os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            )  # all there is, where no more is known
        except (AttributeError, OSError, ValueError):
            return None
    return min(free, _free_in_container())


def _free_in_container() -> float:
    """What the limit of a control group (version 2) leaves; infinite where there is none. Cached files do not count."""
    try:
        limit = float((CGROUP / "memory.max").read_text().replace("max", "inf"))
        used = float((CGROUP / "memory.current").read_text())
        facts = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return max(0.0, limit - used + float(facts["inactive_file"]))
    except (OSError, ValueError, KeyError):
        return float("inf")
