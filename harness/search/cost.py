"""The cost of a search: seconds in parts, and peak memory, which both survive a resumed run, without diagnostics."""

from __future__ import annotations

import ctypes
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import torch

CostPart = Literal["weight", "alpha", "derivation", "diagnostics"]


class Cost:
    """Seconds of a search's own work by part, and its peak memory above what the process held before."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[CostPart, float] = {"weight": 0.0, "alpha": 0.0, "derivation": 0.0, "diagnostics": 0.0}
        self._earlier_peak = 0.0
        self._memory = _Memory(device)

    @contextmanager
    def timing(self, part: CostPart) -> Iterator[None]:
        """Count the time of a block as ``part``; on a GPU with the kernels that the block started."""
        start = self._now()
        yield
        self.seconds[part] += self._now() - start

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Count the time of a block as ``diagnostics``, and its memory nowhere, not even what it leaves allocated."""
        self._earlier_peak = self.peak_memory_mib
        with self._memory.excluded(), self.timing("diagnostics"):
            yield

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @property
    def total(self) -> float:
        """Search cost in seconds."""
        return sum(seconds for part, seconds in self.seconds.items() if part != "diagnostics")

    @property
    def peak_memory_mib(self) -> float:
        """Peak memory so far, of this process and of the earlier ones of the same run."""
        return max(self._earlier_peak, self._memory.peak_mib())

    def state_dict(self) -> dict[str, Any]:
        """Costs so far."""
        return {"seconds": self.seconds.copy(), "peak_memory_mib": self.peak_memory_mib}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from :meth:`state_dict`."""
        self.seconds.update(state["seconds"])
        self._earlier_peak = state["peak_memory_mib"]


class _Memory:
    """Peak memory since creation: of the GPU, or the resident memory of the process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = self._restart()

    @contextmanager
    def excluded(self) -> Iterator[None]:
        before = self._restart()
        yield
        self._before += max(0.0, self._restart() - before)

    def _restart(self) -> float:
        """Reset the peak if the system can (a GPU, Linux). Return the bytes held now, elsewhere the old peak."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return float(torch.cuda.memory_allocated(self._device))
        _trim()
        return resident_peak(reset=True)

    def peak_mib(self) -> float:
        on_gpu = self._device.type == "cuda"
        peak = float(torch.cuda.max_memory_allocated(self._device)) if on_gpu else resident_peak()
        return max(0.0, peak - self._before) / 2**20


def _trim() -> None:
    """Give memory that the C library keeps free back to the system: its later use would not raise the peak."""
    with suppress(OSError, AttributeError):  # only glibc can
        ctypes.CDLL(None).malloc_trim(0)


def resident_peak(reset: bool = False) -> float:
    """Return this process's peak resident memory in bytes; with ``reset``, from now on if the system can (Linux).

    Written by hand, because psutil gives no peak on Linux and macOS, and ``ru_maxrss`` cannot be reset.
    """
    status = Path("/proc/self/status")
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
