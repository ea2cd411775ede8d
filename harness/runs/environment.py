"""The machine and software of a run: recorded with it, printed in reports, no part of its identity."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from harness._version import __version__
from harness.errors import HarnessError
from harness.runs import control_group


def environment(device: str, jobs: int, threads: int) -> dict[str, Any]:
    """Facts of machine and software, by name."""
    facts: dict[str, Any] = {
        "harness": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": metadata.version("numpy"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": cores(),
        "device": device,
        "jobs": jobs,
        "threads": threads,
    }
    if device.startswith("cuda"):
        facts["gpu"] = device_name(device)
    return facts


def device_name(device: str) -> str:
    """The maker's name of the processor that a device of PyTorch's is."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else _cpu()


def compute_reproducibly(threads: int) -> None:
    """Have PyTorch compute the same bits whenever this process computes the same, with a number of threads.

    PyTorch would also fill every tensor it allocates, so that a program that reads what it has not written does so
    reproducibly. Ours does not, and a step of DARTS at 16 pixels spends 5 % of its time on it.

    Numbers too small for full precision, below 1e-38, are zero: CPUs are slow with them, and a mixture at a low
    temperature can be full of them. At SNAS's lowest, steps on one random batch (C=16, 32×32 pixels) took 1.1 to 3.3 s
    with them and take 0.28 s.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # of this thread, and of those it starts from now on
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would import a compiler: two seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def check_device(device: str) -> None:
    """Raise :class:`HarnessError` where PyTorch cannot compute on a device of this name."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise HarnessError(
            f"--device {device} cannot be used ({reason}); on this machine: {', '.join(_devices())}"
        ) from None


def _devices() -> list[str]:
    return ["cpu", *[f"cuda:{number}" for number in range(torch.cuda.device_count())]]


def cores() -> int:
    """Cores this process may use, by its affinity and by the limits of its container."""
    process = psutil.Process()
    usable = process.cpu_affinity() if hasattr(process, "cpu_affinity") else range(psutil.cpu_count() or 1)  # macOS
    return max(1, int(min(len(usable), control_group.processors())))


def _cpu() -> str:
    """The maker's name of the CPU. psutil has none, and ``platform.processor`` is empty on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
