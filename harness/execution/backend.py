"""The machines that work on runs: this one, or those of a cluster (see :mod:`harness.execution.dask`)."""

from __future__ import annotations

from typing import Any, Protocol

from harness.execution.local import Executor, LocalExecutor
from harness.runs import environment


class Backend(Protocol):
    """The machines that work for a command."""

    def allocate(self, jobs: int | None, runs: int) -> tuple[int, int]:
        """Divide the machines between runs.

        Args:
            jobs: number of runs at once that the user asked for; None: as many as the machines allow.
            runs: number of runs to do.

        Returns:
            Number of runs at once, and number of PyTorch's threads in each.
        """

    def check(self, device: str) -> None:
        """Raise :class:`HarnessError` where the machines are known not to have a device of this name."""

    def environment(self, device: str, jobs: int, threads: int) -> dict[str, Any]:
        """Facts that are recorded with every run; a run's own process adds those of its machine."""

    def executor(self, local: LocalExecutor) -> Executor:
        """An executor for these machines; each run is started there by ``local``."""


class LocalMachine:
    """The :class:`Backend` of the machine that the command is called on; runs divide its cores."""

    def allocate(self, jobs: int | None, runs: int) -> tuple[int, int]:
        at_once = max(1, min(jobs or environment.cores(), runs))
        return at_once, max(1, environment.cores() // at_once)

    def check(self, device: str) -> None:
        environment.check_device(device)

    def environment(self, device: str, jobs: int, threads: int) -> dict[str, Any]:
        return environment.environment(device, jobs, threads)

    def executor(self, local: LocalExecutor) -> Executor:
        return local
