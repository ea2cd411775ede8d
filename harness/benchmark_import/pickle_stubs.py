"""Stand-ins for the names in the pickles of benchmark files, so that nothing is ever imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.data.safe_pickle import Allowed


class Ignored:
    """Stands for tensors and their storages, which no table needs."""

    def __init__(self, *_: object) -> None:
        pass


class DType:
    """Stands for numpy's description of a scalar: its type and the order of its bytes."""

    SCALARS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})

    def __init__(self, code: str, *_: object) -> None:
        if code not in self.SCALARS:
            raise ValueError(f"a scalar of type {code!r}")
        self.code, self.order = code, "="

    def byte_order(self, state: tuple[object, ...]) -> None:
        """Take the order of the bytes from what pickle stores of a dtype."""
        self.order = {"<": "<", ">": ">"}.get(str(state[1]), "=")


def scalar(dtype: DType, raw: bytes) -> float:
    """The number that a numpy scalar holds."""
    value: float = np.frombuffer(raw, dtype.order + dtype.code, 1)[0].item()
    return value


def latin1(text: str, encoding: str) -> bytes:
    """The bytes that old pickles hold as text."""
    if encoding != "latin1":
        raise ValueError(encoding)
    return text.encode(encoding)


def plain_set(items: list[Any] | tuple[Any, ...] = ()) -> set[Any]:
    """A set, which protocols before 4 build by a call."""
    return set(plain(items))


def plain(keys: Any) -> Any:
    """``keys``, if all can be a dict's: hashing tuples nested a million deep would end the process."""
    if not set(map(type, keys)) <= ATOMS:
        for key in keys:
            if type(key) not in ATOMS and not (type(key) is tuple and set(map(type, key)) <= ATOMS):
                raise ValueError("a key that is no plain value")
    return keys


ATOMS = frozenset({str, int, float, bool, bytes, type(None)})

DATA: Allowed = {
    ("collections", "OrderedDict"): dict,
    ("__builtin__", "set"): plain_set,
    ("builtins", "set"): plain_set,
    ("_codecs", "encode"): latin1,
    ("numpy", "dtype"): DType,
    ("numpy.core.multiarray", "scalar"): scalar,
    ("numpy._core.multiarray", "scalar"): scalar,
    ("torch", "FloatStorage"): Ignored,
    ("torch", "LongStorage"): Ignored,
    ("torch._utils", "_rebuild_tensor_v2"): Ignored,
}
"""The names that benchmark files may use, and our stand-in for each."""
