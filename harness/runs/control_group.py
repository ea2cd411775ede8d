"""Limits of the control groups that this process is in: the part of the machine that a container or a job may use.

psutil reports the cores and the memory of the machine, whatever these limits are, so the kernel's files are read here.
Only version 2 of control groups is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def processors() -> float:
    """Processors whose time may be used, with fraction; infinite where nothing limits it."""
    return min((_processors(group) for group in _groups()), default=float("inf"))


def free_memory() -> float:
    """Bytes that may still be taken; infinite where nothing limits it. Memory of cached files counts as free."""
    return min((_free_memory(group) for group in _groups()), default=float("inf"))


def _groups() -> Iterator[Path]:
    """The folder of this process's group and of those above it; in a container they may be the mount alone."""
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:
        lines = []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    for group in (MOUNT / own, *(MOUNT / own).parents):
        if group.is_relative_to(MOUNT):
            yield group


def _processors(group: Path) -> float:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return float(quota.replace("max", "inf")) / float(period)
    except (OSError, ValueError):
        return float("inf")


def _free_memory(group: Path) -> float:
    try:
        limit = float((group / "memory.max").read_text().replace("max", "inf"))
        used = float((group / "memory.current").read_text())
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0.0, limit - used + float(statistics["inactive_file"]))
    except (OSError, ValueError, KeyError):
        return float("inf")
