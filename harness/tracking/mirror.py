"""Mirroring into MLflow while a study runs, from a thread that nothing waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.tracking.delivery import Draw, deliver
from harness.tracking.metrics import Accuracy
from harness.tracking.store import TrackingError, connect

INTERVAL = 2.0
"""Seconds between looks at what was touched."""

PATIENCE = 30.0
"""Seconds between attempts while MLflow fails."""


class Mirror:
    """Delivers run folders in the background.

    Failures of MLflow never reach the caller: the first one is told through ``warn`` in one line, then delivery is
    tried again every half minute and once more at :meth:`close`.
    """

    def __init__(self, warn: Callable[[str], None], draw: Draw | None = None, accuracy: Accuracy | None = None) -> None:
        """Start the thread.

        Args:
            warn: takes one line for the user; called at most once, from the thread.
            draw: as for :func:`harness.tracking.deliver`.
            accuracy: as for :func:`harness.tracking.deliver`.
        """
        self._warn, self._draw, self._accuracy = warn, draw, accuracy
        self._warned = False
        self._retry_at = 0.0
        self._guard = threading.Lock()
        self._touched: set[Path] = set()
        self._undelivered: set[Path] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="mlflow mirror", daemon=True)
        self._thread.start()

    def touch(self, folder: Path) -> None:
        """Note that a run folder has changed and its search goes on. Returns at once."""
        with self._guard:
            self._touched.add(folder)

    def close(self, timeout: float = 15.0) -> list[Path]:
        """Deliver what is left; the folders not fully delivered after at most ``timeout`` seconds.

        The searches must have ended: a touched run without a result is now marked as interrupted.
        """
        self._closing.set()
        self._thread.join(timeout)
        with self._guard:
            return sorted(self._touched | self._undelivered)

    def _serve(self) -> None:
        seen: set[Path] = set()
        while not self._closing.wait(INTERVAL):
            seen |= self._take()
            if time.monotonic() >= self._retry_at:
                self._sweep(running=True)
        seen |= self._take()
        with self._guard:
            self._undelivered |= {folder for folder in seen if not (folder / "result.json").is_file()}
        self._sweep(running=False)

    def _take(self) -> set[Path]:
        with self._guard:
            taken, self._touched = self._touched, set()
            self._undelivered |= taken
            return taken

    def _sweep(self, running: bool) -> None:
        """Deliver every folder that is due; stop at once where the store no longer answers."""
        if not self._undelivered:
            return
        try:
            store = connect()
            for folder in sorted(self._undelivered):
                try:
                    deliver(folder, store, self._draw, self._accuracy, running)
                    with self._guard:
                        self._undelivered.discard(folder)
                except HarnessError as error:
                    self._failed(error)
                    connect()
        except TrackingError as error:
            self._failed(error)

    def _failed(self, error: HarnessError) -> None:
        self._retry_at = time.monotonic() + PATIENCE
        if not self._warned:
            self._warned = True
            self._warn(f"{error}; the search goes on and `harness sync` delivers it later")
