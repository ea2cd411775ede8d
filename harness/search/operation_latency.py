"""The latency of each operation on each edge on this device: measured once and kept.

No two measurements agree, but a search with a latency penalty needs the same numbers when it is resumed, and for the
next seed. They are kept in the user's cache folder, and each run with such a penalty has them in its configuration.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import nn

from harness.errors import HarnessError
from harness.runs.environment import check_device, device_name
from harness.runs.folder import write_atomically
from harness.search.operation_costs import cells_to_compare
from harness.spaces.base import NetworkConfig, SearchSpace
from harness.spaces.network_size import LATENCY_BATCH

ROUNDS = 15
"""Timed forward passes of each network. The fastest counts, since whatever else runs can only slow a pass."""

Latencies = list[list[float]]
"""Seconds that an operation (inner) on an edge (outer) adds to a forward pass of :data:`LATENCY_BATCH` images."""


def latencies(space: SearchSpace, config: NetworkConfig, image_size: int, device: str, threads: int) -> Latencies:
    """Measure what each operation on each edge adds to the time of a cell's network, above the fastest on that edge.

    Args:
        space: whose operations they are.
        config: of the network around the cells.
        image_size: pixels of its images.
        device: PyTorch's name.
        threads: of PyTorch, on a CPU.

    Measured in evaluation mode, on the cells of :func:`harness.search.operation_costs.cells_to_compare`, unless this
    was done before with the same PyTorch on a device of the same name. Raises :class:`HarnessError` where this machine
    has no such device (a cluster's workers may), and where they cannot be kept.
    """
    check_device(device)
    what = {
        "device": device_name(device),
        "threads": threads if device == "cpu" else None,
        "torch": str(torch.__version__),
        "space": space.name,
        "network": asdict(config),
        "image_size": image_size,
        "batch": LATENCY_BATCH,
    }
    path = cache_directory() / f"{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]}.json"
    if (known := _read(path, what)) is not None:
        return known
    measured = _measure(space, config, image_size, torch.device(device), threads)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"measured": what, "latencies": measured}, indent=1).encode())
    except OSError as error:
        raise HarnessError(
            f"cannot keep the measured latencies as {path} ({error.strerror or error}); make room, or set "
            "XDG_CACHE_HOME to a folder that can be written"
        ) from None
    return measured


def cache_directory() -> Path:
    """Return the folder of the measurements."""
    return Path(platformdirs.user_cache_dir("nas-harness", appauthor=False), "latencies")


def _read(path: Path, what: dict[str, Any]) -> Latencies | None:
    """Read an earlier measurement; None if there is none, or its file is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(path.read_text())
        if content["measured"] == what:
            return [[float(value) for value in edge] for edge in content["latencies"]]
    return None


def _measure(
    space: SearchSpace, config: NetworkConfig, image_size: int, device: torch.device, threads: int
) -> Latencies:
    """Time all networks in turn, round after round, so that what slows the machine for a while slows all of them."""
    cells = cells_to_compare(space)
    networks = {cell: space.network(cell, config).to(device).eval() for edge in cells for cell in edge}
    images = torch.zeros(LATENCY_BATCH, 3, image_size, image_size, device=device)
    times: dict[tuple[int, ...], list[float]] = {cell: [] for cell in networks}
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with torch.no_grad():
            for turn in range(1 + ROUNDS):  # the first warms up
                for cell, network in networks.items():
                    seconds = _timed(network, images)
                    if turn:
                        times[cell].append(seconds)
    finally:
        torch.set_num_threads(before)
    fastest = [[min(times[cell]) for cell in edge] for edge in cells]
    return [[seconds - min(edge) for seconds in edge] for edge in fastest]


def _timed(network: nn.Module, images: torch.Tensor) -> float:
    """Time one forward pass, in seconds.

    ``torch.utils.benchmark.Timer`` would run two untimed passes before each: two and a half times as long in all, and
    40 % less per pass, since the caches then hold the network already, which they do not in a search.
    """
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    begun = time.perf_counter()
    network(images)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - begun
