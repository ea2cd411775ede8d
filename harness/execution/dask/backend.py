"""A command's connection to a cluster whose machines have been checked."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from harness.errors import HarnessError
from harness.execution.dask.compatibility import Compatibility, problem, software
from harness.execution.dask.executor import DaskExecutor, of_worker
from harness.execution.local import GRACE, Executor, LocalExecutor
from harness.runs.folder import write_atomically
from harness.tracking.redact import censored, shown

if TYPE_CHECKING:
    from distributed import Client, Worker

PATIENCE = 10.0
"""Seconds a scheduler has to answer."""


@contextmanager
def connect(
    address: str, runs: Path, resources: Mapping[str, float], warn: Callable[[str], None]
) -> Iterator[DaskBackend]:
    """A cluster whose machines have been checked, until the block is left.

    Args:
        address: of the scheduler, ``tcp://host:port``.
        runs: folder of the studies, which all machines share.
        resources: what a run takes of those that Dask workers offer, by name.
        warn: told in a line what the runs may have to wait for.

    Raises :class:`HarnessError` where Dask is not installed or does not answer, and for the first worker that does not
    share the folder or the software.
    """
    try:
        from distributed import Client
    except ImportError:
        raise HarnessError(
            "--executor dask needs the package distributed; install it with: pip install 'nas-harness[dask]'"
        ) from None
    for name in ("distributed", "distributed.client", "distributed.core", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # one line says it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise _silence(address, error) from None
    folder = Path(os.path.abspath(runs)) / f".dask-{uuid.uuid4().hex[:12]}"
    try:
        write_atomically(folder / "token", folder.name.encode())
        with _locked(folder):
            try:
                cluster = DaskBackend(client, Compatibility(folder, software()), resources, warn)
            except OSError as error:  # it has died since
                raise _silence(address, error) from None
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(Exception):  # a scheduler that is gone
            client.close(timeout=GRACE)


def _silence(address: str, error: BaseException) -> HarnessError:
    """The error for a scheduler that does not answer."""
    reason = " ".join(censored(str(error), address).split()) or type(error).__name__
    return HarnessError(f"no Dask scheduler answers at {shown(address)} ({reason}); start one with: dask scheduler")


def _locked(folder: Path) -> AbstractContextManager[object]:
    """A lock that other machines are tested against. Raises :class:`HarnessError` where there are no locks."""
    try:
        return FileLock(folder / "lock").acquire()
    except OSError as error:
        raise HarnessError(f"no locks in {folder.parent} ({error.strerror}); choose another --runs folder") from None


class DaskBackend:
    """The :class:`harness.execution.backend.Backend` of a Dask cluster, opened by :func:`connect`.

    Attributes:
        threads: of PyTorch in a run, so that runs on all threads of Dask workers share the cores of each machine.
    """

    def __init__(
        self, client: Client, compatibility: Compatibility, resources: Mapping[str, float], warn: Callable[[str], None]
    ) -> None:
        self.client, self.compatibility, self.resources = client, compatibility, resources
        looks = client.run(_look, compatibility, on_error="return")
        for address, look in looks.items():
            if isinstance(look, BaseException):
                raise HarnessError(f"Dask worker {address} cannot look at the runs folder: {of_worker(look)}")
            if look["problem"]:
                raise HarnessError(f"Dask worker {address} {look['problem']}")
        needed = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
        if not any(
            all(look["offers"].get(name, 0) >= resources[name] for name in resources) for look in looks.values()
        ):
            warn(f"no Dask worker {f'offers {needed}' if looks and needed else 'is there'} yet; runs wait for one")
        self.threads = threads(looks.values())

    def allocate(self, jobs: int | None, runs: int) -> tuple[int, int]:
        """As many runs at once as ``jobs``, or as Dask has workers for."""
        return max(1, min(jobs or runs, runs)), self.threads

    def check(self, device: str) -> None:
        """Nothing here: each run's process checks its own machine."""

    def environment(self, device: str, jobs: int, threads: int) -> dict[str, Any]:
        return {"jobs": jobs, "threads": threads}

    def executor(self, local: LocalExecutor) -> Executor:
        return DaskExecutor(self.client, self.compatibility, self.resources, local)


def _look(compatibility: Compatibility, dask_worker: Worker) -> dict[str, Any]:
    """Look at a Dask worker from inside: its fault, if it cannot work, its cores, threads and resources."""
    from dask.system import CPU_COUNT

    return {
        "problem": problem(compatibility),
        "host": platform.node(),
        "cores": CPU_COUNT,
        "slots": dask_worker.state.nthreads,
        "offers": dict(dask_worker.state.total_resources),
    }


def threads(looks: Iterable[Mapping[str, Any]]) -> int:
    """Cores for each run on the machine where they are fewest; 1 where there is no machine yet."""
    machines: dict[str, tuple[int, int]] = {}
    for look in looks:
        machines[look["host"]] = look["cores"], look["slots"] + machines.get(look["host"], (0, 0))[1]
    return max(1, min((there // slots for there, slots in machines.values()), default=1))
