"""Delivering to MLflow what an outage held back: ``harness sync``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.api.studies import draw
from harness.errors import HarnessError
from harness.progress import Bar
from harness.runs.results import find_study, runs_directory
from harness.runs.schema import TRAININGS
from harness.tracking import TrackingError, connect, deliver

logger = logging.getLogger("harness")


@dataclass(frozen=True)
class Delivery:
    """A study's runs, or the trainings of cells, and what of them reached MLflow.

    Attributes:
        name: of the study.
        runs: number of its runs.
        delivered: runs of which MLflow lacked something.
        failed: runs that could not be delivered.
    """

    name: str
    runs: int
    delivered: int
    failed: int


def sync(study: str | Path | None = None, runs: str | Path | None = None) -> list[Delivery]:
    """Deliver to MLflow what it does not have, of one study or of all and of the trainings of cells.

    Raises:
        HarnessError: there is no such study, or MLflow does not answer.
    """
    try:
        return list(each_delivery(study, runs))
    except TrackingError as error:
        raise HarnessError(f"{error}; check it or MLFLOW_TRACKING_URI, then repeat: harness sync") from None


def each_delivery(study: str | Path | None, runs: str | Path | None) -> Iterator[Delivery]:
    """:func:`sync`, one study after the other. Raises :class:`TrackingError` where MLflow does not answer."""
    root = runs_directory(runs)
    studies = sorted(file.parent for file in root.glob("*/study.json"))
    studies += [root / TRAININGS] if (root / TRAININGS).is_dir() else []
    if study is not None or not studies:
        studies = [find_study(study, runs)]
    store = connect()
    for path in studies:
        delivered = failed = 0
        folders = sorted(file.parent for file in path.glob("*/*/config.json"))
        with Bar(path.name, len(folders), unit="runs", lines=0, transient=True) as bar:
            for folder in folders:
                try:
                    delivered += deliver(folder, store, draw)
                except HarnessError as error:
                    failed += 1
                    logger.warning("%s", error)
                    connect()
                bar.update(1)
        yield Delivery(path.name, len(folders), delivered, failed)
