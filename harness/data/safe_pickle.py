"""Reading pickles as data: a pickle is a program, and nothing in an untrusted one may run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import IO, Any

from harness.errors import HarnessError

Allowed = Mapping[tuple[str, str], Any]
"""The names that a pickle may use, as (module, name), and our stand-in for each. All others are refused."""


class Record:
    """Stands for an object of a class that must not be imported: a bag of its attributes."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def load_pickle(file: IO[bytes], allowed: Allowed, what: str, encoding: str = "ASCII") -> Any:
    """The content of a pickle that names nothing but what is ``allowed``.

    Raises :class:`HarnessError` that begins with ``what`` where the pickle is damaged, or names anything else: it is
    then refused before anything of it has run.
    """
    try:
        return _Restricted(file, allowed, encoding).load()
    except _Refused as refused:
        raise refusal(what, str(refused)) from None
    except Exception as error:
        raise HarnessError(f"{what} is damaged or of another format ({type(error).__name__}: {error})") from None


def refusal(what: str, name: str) -> HarnessError:
    """The error that says that ``what`` is a pickle that asks for ``name``, which is not allowed."""
    return HarnessError(
        f"{what} was refused: it is a pickle that wants to run {name!r}, which data has no need of; nothing was run"
    )


class _Refused(Exception):
    """Holds the name of what a pickle asked for."""


class _Restricted(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Allowed, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None
