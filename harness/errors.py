"""The errors a user can cause or must know of; anything else that escapes is a bug and keeps its traceback."""

from __future__ import annotations


class HarnessError(Exception):
    """What went wrong and what to do about it, in one line a user can act on.

    The command line prints the message alone and exits with code 2.
    """


class Diverged(Exception):
    """A search produced a loss or an architecture parameter that is not a finite number.

    Recorded as the run's status ``diverged``; the other runs of the study go on.
    """
