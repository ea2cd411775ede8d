"""A listener that records the events of runs, for tests; imports nothing heavy."""

from __future__ import annotations

from typing import Any

from harness.runs.folder import RunFolder
from harness.runs.schema import Status


class Recorder:
    """Records starts, retries, refusals and endings."""

    def __init__(self) -> None:
        self.starts = 0
        self.retries: list[str] = []
        self.refusals: list[str] = []
        self.endings: list[tuple[Status, str]] = []

    def started(self, run: RunFolder) -> None:
        self.starts += 1

    def progress(self, run: RunFolder, done: float) -> None: ...
    def epoch(self, run: RunFolder, row: Any) -> None: ...
    def noted(self, run: RunFolder, text: str) -> None: ...

    def retried(self, run: RunFolder, reason: str) -> None:
        self.retries.append(reason)

    def refused(self, run: RunFolder, reason: str) -> None:
        self.refusals.append(reason)

    def ended(self, run: RunFolder, status: Status, reason: str) -> None:
        self.endings.append((status, reason))
