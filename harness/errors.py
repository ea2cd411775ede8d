"""The errors a user can cause or must know of; anything else that escapes is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

LIBRARY = re.compile(r"^<|[\\/](site|dist)-packages[\\/](torch|pydantic|numpy)[\\/]")
"""Files in which a user does not look for a mistake."""


class HarnessError(Exception):
    """The user can act on it: one line says what went wrong and what to do.

    The command line prints the message alone and exits with code 2.
    """


class Diverged(Exception):
    """A search produced a loss or an architecture parameter that is not a finite number.

    Recorded as the run's status ``diverged``; the other runs of the study go on.
    """


def failure(error: BaseException) -> str:
    """An exception in one line, with the where in the code where it was raised, or from where a library was called."""
    raised = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in raised if not LIBRARY.search(frame.filename)] or raised
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError):  # which says its own where
        where = ""
    text = " ".join(_message(error).split())
    return f"{type(error).__name__}: {text[:300]}{where}" if text else f"{type(error).__name__}{where}"


def _message(error: BaseException) -> str:
    """The message of an exception; of pydantic's, the faulty fields without the address of a help page."""
    from pydantic import ValidationError

    from harness.errors import explain

    if not isinstance(error, ValidationError):
        return re.sub(r"\s*For further information visit \S+$", "", str(error))
    frozen = any(fault["type"] == "frozen_instance" for fault in error.errors())
    return "keep what changes in state.memory; " * frozen + explain(error)


def explain(error: ValidationError) -> str:
    """A pydantic error in one line: each faulty field, its value and what it must be."""
    parts = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"])
        given = f" (got {fault['input']!r})" if fault["type"] not in {"missing", "extra_forbidden"} else ""
        parts.append(f"{field}: {fault['msg'][0].lower()}{fault['msg'][1:]}{given}")
    return "; ".join(parts)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that does not exist: what was meant, perhaps, and what there is."""
    valid = sorted(known)
    near = difflib.get_close_matches(name, valid, n=1)
    return f"unknown {kind} {name!r}{f', did you mean {near[0]!r}?' if near else '.'} There are: {', '.join(valid)}"
