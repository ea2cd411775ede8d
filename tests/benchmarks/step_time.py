"""Step time and memory of every gradient method against the reference supernet, in one process: ``tox -e bench``.

On one thread, by the CPU time of this process: the shortest of several interleaved repeats. ``weights`` is a weight
step alone, ``step`` an α step (where the method has one) and a weight step; the columns beside them say how many times
as long the reference supernet takes for DARTS. ``kept`` is what one forward pass keeps for its backward pass. The line
below each table is a weight step whose backward pass computes the gradient over α too, as in DARTS's own code.

The process has the environment variables of the workers that searches run in.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from harness import registry
from harness.execution.local import worker_environment
from harness.methods.base import Batch, SearchState, WeightSharingMethod
from harness.methods.darts import DARTS
from harness.runs.environment import compute_reproducibly
from harness.spaces.base import Mixture, NetworkConfig
from harness.spaces.nas_bench_201.reference import ReferenceSupernet
from tests.support.toy import build_search, gradient_methods


class Size(NamedTuple):
    channels: int
    cells: int
    pixels: int
    batch: int
    repeats: int


SIZES = [Size(8, 1, 16, 64, 10), Size(16, 1, 32, 64, 4), Size(16, 5, 32, 16, 3)]


def build(method: WeightSharingMethod, config: NetworkConfig) -> SearchState:
    """A search in its last epoch, when no method is still warming up."""
    return build_search(method, config=config, epochs=10, epoch=9)


def build_reference(config: NetworkConfig) -> SearchState:
    """A search of DARTS with the reference supernet."""
    supernet = ReferenceSupernet(config)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return replace(build(DARTS(), config), supernet=supernet, weight_optimizer=optimizer)


def timed(method: WeightSharingMethod, state: SearchState, data: Batch) -> tuple[float, float]:
    """CPU seconds of a weight step, and of a whole step, after a step that leaves the caches as a search does."""
    method.weight_step(state, data)
    start = time.process_time()
    method.weight_step(state, data)
    between = time.process_time()
    if method.bilevel:
        method.alpha_step(state, data, data)
    return between - start, time.process_time() - start


def timed_jointly(state: SearchState, data: Batch) -> float:
    """CPU seconds of a weight step of DARTS that computes the gradient over α too, after one that is not timed."""

    def step() -> None:
        loss = state.forward(data, Mixture(state.alpha.softmax(dim=1))).loss
        state.step_weights(state.gradients(loss, [*state.weights, state.alpha])[:-1])

    step()
    start = time.process_time()
    step()
    return time.process_time() - start


def kept_bytes(method: WeightSharingMethod, state: SearchState, images: Batch) -> int:
    """Bytes that the forward pass of a weight step keeps for the backward pass, without the weights themselves."""
    weights = {parameter.data_ptr() for parameter in state.supernet.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.no_grad():
        mixture = method.mixture(state)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        state.forward(images, mixture)
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)


def measure(size: Size) -> None:
    """Print the rows of one size."""
    config = NetworkConfig(size.channels, size.cells, 10)
    methods: dict[str, WeightSharingMethod] = {"reference": DARTS()}
    methods |= {name: registry.get_method(name)() for name in gradient_methods()}  # type: ignore[misc]
    searches = {name: build(method, config) for name, method in methods.items()}
    searches["reference"] = build_reference(config)
    images = torch.randn(size.batch, 3, size.pixels, size.pixels)
    data = Batch(images, torch.randint(10, (size.batch,)))
    rounds = [
        {name: timed(method, searches[name], data) for name, method in methods.items()} for _ in range(size.repeats + 1)
    ][1:]
    shortest = {name: [min(times) for times in zip(*(r[name] for r in rounds), strict=True)] for name in methods}
    print(f"C={size.channels}, N={size.cells}, {size.pixels}×{size.pixels} pixels, batches of {size.batch}")
    for name, (weights, step) in shortest.items():
        ratios = [theirs / ours for theirs, ours in zip(shortest["reference"], (weights, step), strict=True)]
        kept = kept_bytes(methods[name], searches[name], data) / 2**20
        times = f"{1000 * weights:6.0f} ms {ratios[0]:5.2f} {1000 * step:8.0f} ms {ratios[1]:5.2f}"
        print(f"  {name:14} {times} {kept:7.0f} MiB", flush=True)
    pairs = [[timed_jointly(searches[name], data) for name in ("reference", "darts")] for _ in rounds]
    reference, ours = (1000 * min(times) for times in zip(*pairs, strict=True))
    print(f"  {'with α':14} {ours:6.0f} ms {reference / ours:5.2f}   (reference {reference:.0f} ms)", flush=True)


def main() -> None:
    compute_reproducibly(1)
    torch.manual_seed(0)
    print(f"  {'':14} {'weights':>9} {'ratio':>5} {'step':>11} {'ratio':>5} {'kept':>11}")
    for size in SIZES:
        measure(size)


if __name__ == "__main__":
    if "GLIBC_TUNABLES" not in os.environ:  # read when a process starts
        os.execve(sys.executable, sys.orig_argv, worker_environment())
    main()
