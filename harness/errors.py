"""The errors a user can cause or must know of; anything else that escapes is a bug and keeps its traceback."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

LIBRARY = re.compile(r"^<|[\\/](site|dist)-packages[\\/](torch|pydantic|numpy)[\\/]")
"""Files in which a user does not look for a mistake."""


class HarnessError(Exception):
    """What went wrong and what to do about it, in one line a user can act on.

    The command line prints the message alone and exits with code 2.
    """


class Diverged(Exception):
    """A search produced a loss or an architecture parameter that is not a finite number.

    Recorded as the run's status ``diverged``; the other runs of the study go on.
    """


def failure(error: BaseException) -> str:
    """An exception in one line, with the place in the code where it was raised, or from where a library was called."""
    raised = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in raised if not LIBRARY.search(frame.filename)] or raised
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError):  # which says its own place
        place = ""
    text = " ".join(_message(error).split())
    return f"{type(error).__name__}: {text[:300]}{place}" if text else f"{type(error).__name__}{place}"


def _message(error: BaseException) -> str:
    """What an exception says; of pydantic's, what was wrong without the address of a page on it."""
    from pydantic import ValidationError

    from harness.protocol import explain

    if not isinstance(error, ValidationError):
        return re.sub(r"\s*For further information visit \S+$", "", str(error))
    frozen = any(fault["type"] == "frozen_instance" for fault in error.errors())
    return "keep what changes in search.memory; " * frozen + explain(error)
