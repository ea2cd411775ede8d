"""Opening the backend that the options of a command name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.errors import HarnessError
from harness.execution.backend import Backend, LocalMachine
from harness.runs.results import check_folder

logger = logging.getLogger("harness")


@contextmanager
def open_backend(executor: str, scheduler: str | None, resources: Mapping[str, float], runs: Path) -> Iterator[Backend]:
    """This machine (``local``), or the Dask cluster at ``scheduler`` (``dask``), which is left when the block ends.

    Raises:
        HarnessError: the options contradict each other, or no scheduler answers.
    """
    if executor == "local":
        if scheduler or resources:
            raise HarnessError("--scheduler and --worker-resources are for a cluster; add --executor dask")
        yield LocalMachine()
        return
    if not scheduler:
        raise HarnessError("--executor dask needs the address of a scheduler; add --scheduler tcp://HOST:PORT")
    from harness.execution.dask.backend import connect

    with connect(scheduler, check_folder(runs), dict(resources), logger.warning) as cluster:
        yield cluster
