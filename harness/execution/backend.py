"""Where runs are worked on: this machine, or those of a cluster (see :mod:`harness.execution.dask`)."""

from __future__ import annotations

from typing import Any, Protocol

from harness.execution.local import Executor, Workers
from harness.runs import environment


class Place(Protocol):
    """What a command has to know of the machines that work for it."""

    def share(self, jobs: int | None, runs: int) -> tuple[int, int]:
        """How many of so many runs go at once, and PyTorch's threads in each; ``jobs`` as the user gave it."""

    def check(self, device: str) -> None:
        """Raise :class:`HarnessError` where it is known by now that PyTorch has no device of this name there."""

    def facts(self, device: str, at_once: int, threads: int) -> dict[str, Any]:
        """Recorded with every run; a run's own process adds those of its machine."""

    def executor(self, workers: Workers) -> Executor:
        """What works on runs there, started as ``workers`` says."""


class LocalMachine:
    """Runs share the cores of the machine that the command is called on."""

    def share(self, jobs: int | None, runs: int) -> tuple[int, int]:
        at_once = max(1, min(jobs or environment.cores(), runs))
        return at_once, max(1, environment.cores() // at_once)

    def check(self, device: str) -> None:
        environment.check_device(device)

    def facts(self, device: str, at_once: int, threads: int) -> dict[str, Any]:
        return environment.environment(device, at_once, threads)

    def executor(self, workers: Workers) -> Executor:
        return workers
