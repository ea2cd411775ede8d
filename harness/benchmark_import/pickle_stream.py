"""Read very large pickles as data, opcode by opcode. Nothing in one can run, and most of it is dropped at once.

Python's own unpickler keeps every object until the end: users report 28 GB for NAS-Bench-201's file (issue 78 of
D-X-Y/AutoDL-Projects). This one calls ``summarize`` on each dict that looks like a training's record, as soon as it is
complete, and drops the rest. It knows the opcodes of data and no others. A name in a pickle is
looked up in ``DATA`` and never imported.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.benchmark_import.pickle_stubs import DATA, DType, Ignored, plain
from harness.data.safe_pickle import refusal
from harness.errors import HarnessError

WINDOW = 4 * 2**20
"""Bytes read at a time."""

RUN = 2**16
"""Bytes that are at hand, if the file has them, before a run of dict items is looked for."""

LARGE = 8
"""Entries above which a dict is forgotten once its record, and the ``LAG`` after it, have been summarised."""

LAG = 32
"""Records within which the file may refer back to a large dict."""

LONGEST_KEY = 16
"""Bytes of the longest key that is read in runs."""

CURVES = 100
"""Runs of keys that are remembered."""

INTERNED = 128
"""Bytes of the longest text of which one copy is kept, however often the file repeats it."""


class Gone:
    """Stands for what has been forgotten."""


class _Fault(Exception):
    """The fault of the pickle, in words."""


@dataclass(frozen=True)
class _Named:
    """A name in a pickle; the pickle can call nothing else."""

    stub: Callable[..., Any]


_STOP = ord(".")


class PickleReader:
    """Reads the pickles of a stream one after the other.

    Args:
        read: ``read(n)`` returns up to n more bytes of the stream; none at its end.
        what: the stream's name, with which messages begin.
        marks: keys that a record's dict holds when it is complete.
        summarize: shortens such a dict in place.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        what: str,
        marks: frozenset[str] = frozenset(),
        summarize: Callable[[dict[Any, Any]], None] | None = None,
    ) -> None:
        self._read, self._what = read, what
        self._marks, self._summarize = marks, summarize
        self._data, self._at = b"", 0
        self._texts: dict[bytes, str] = {}
        self._keys: dict[tuple[int, bytes], list[str]] = {}

    def load(self) -> Any:
        """The next pickle's content.

        Raises:
            HarnessError: it is damaged or cut short, or names what is not in ``DATA``; nothing has then been run.
        """
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: list[Any] = []
        self._ends: deque[int] = deque()
        self._swept = 0
        opcodes = self.OPCODES
        try:
            while True:
                if self._at >= len(self._data):
                    self._require(1)
                code = self._data[self._at]
                self._at += 1
                if code == _STOP:
                    if len(self._stack) != 1 or self._outer:
                        raise _Fault("it ends in the middle of a value")
                    return self._stack.pop()
                if code not in opcodes:
                    raise _Fault(f"opcode {code:#04x} is none that data needs")
                opcodes[code](self)
        except _Fault as fault:
            raise HarnessError(f"{self._what} is damaged or of another format ({fault})") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise HarnessError(
                f"{self._what} is damaged or of another format ({type(error).__name__} while it was read)"
            ) from None

    # Bytes

    def _more(self, count: int) -> int:
        """Have ``count`` bytes at hand, or as many as there are; returns how many."""
        parts, have = [self._data[self._at :]], len(self._data) - self._at
        while have < count and (part := self._read(WINDOW)):
            parts.append(part)
            have += len(part)
        self._data, self._at = b"".join(parts), 0
        return have

    def _require(self, count: int) -> None:
        if self._more(count) < count:
            raise _Fault("it ends too early: the file is cut short")

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            self._require(count)
            end = self._at + count
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        while (end := self._data.find(b"\n", self._at, self._at + 1000)) < 0:
            if len(self._data) - self._at >= 1000:
                raise _Fault("a name of more than 1,000 bytes")
            self._require(len(self._data) - self._at + 1)
        return self._take(end - self._at + 1)[:-1].decode("ascii", "replace")

    # Values

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _text(self, size: int) -> None:
        self._push(self._interned(self._take(size)))

    def _interned(self, raw: bytes) -> str:
        if len(raw) > INTERNED:
            return raw.decode("utf-8", "surrogatepass")
        known = self._texts.get(raw)
        if known is None:
            known = self._texts[raw] = raw.decode("utf-8", "surrogatepass")
        return known

    def _float(self) -> None:
        self._push(struct.unpack(">d", self._take(8))[0])

    def _long(self, size: int) -> None:
        self._push(int.from_bytes(self._take(size), "little", signed=True))

    def _mark(self) -> None:
        self._outer.append(self._stack)
        self._stack = []
        self._runs()

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._outer.pop()
        return items

    def _tuple(self, size: int) -> None:
        if len(self._stack) < size:
            raise _Fault("a tuple of values that are not there")
        self._stack[-size:] = [tuple(self._stack[-size:])]

    def _append(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise _Fault("items for what is no list")
        self._stack[-1].extend(items)

    def _add(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], set):
            raise _Fault("items for what is no set")
        self._stack[-1].update(plain(items))

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise _Fault("items for what is no dict")
        target.update(zip(plain(items[::2]), items[1::2], strict=True))
        if self._summarize and target.keys() >= self._marks:
            self._summarize(target)
            self._forget()

    # Memory of earlier values

    def _put(self, position: int) -> None:
        if position < len(self._memo):
            self._memo[position] = self._stack[-1]
        elif position == len(self._memo):
            self._memo.append(self._stack[-1])
        else:
            raise _Fault("values are numbered with gaps")

    def _get(self, position: int) -> None:
        value = self._memo[position]
        if value is Gone:
            raise _Fault("it refers back to a record read long before")
        self._push(value)

    def _forget(self) -> None:
        """Let the large dicts go that were read ``LAG`` records ago."""
        self._ends.append(len(self._memo))
        if len(self._ends) > LAG:
            end = self._ends.popleft()
            for position in range(self._swept, end):
                value = self._memo[position]
                if type(value) is dict and len(value) > LARGE:
                    self._memo[position] = Gone
            self._swept = end

    # Names and calls

    def _global(self, module: str, name: str) -> None:
        try:
            self._push(_Named(DATA[module, name]))
        except KeyError:
            raise refusal(self._what, f"{module}.{name}") from None

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._global(str(module), str(name))

    def _call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Named):
            raise _Fault("a call of what is no function")
        self._push(function.stub(*arguments))

    def _build(self) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], DType):
            raise _Fault("a state for what has none")
        self._stack[-1].byte_order(state)

    def _persistent(self) -> None:
        self._stack[-1] = Ignored()

    # Runs of items of a dict whose values are floats: nearly all of a benchmark file

    def _runs(self) -> None:
        """Read as many such items at once as come now, in the place of four opcodes for each of them."""
        if len(self._data) - self._at < RUN:
            self._more(RUN)
        while (read := _BY_OPCODE.get(self._data[self._at : self._at + 2])) or (
            read := _BY_OPCODE.get(self._data[self._at : self._at + 1])
        ):
            pattern, layout, keys = read
            run = pattern.match(self._data, self._at)
            if run is None:
                return
            items = np.frombuffer(self._data, layout, (run.end() - self._at) // layout.itemsize, self._at)
            both: list[Any] = [None] * (2 * len(items))
            both[::2] = keys(self, items)
            both[1::2] = items["value"].tolist()
            self._stack += both
            self._at = run.end()

    def _integers(self, items: Any) -> list[int]:
        numbers: list[int] = items["key"].tolist()
        return numbers

    def _remembered(self, items: Any) -> list[Any]:
        keys = [self._memo[position] for position in items["key"].tolist()]
        if Gone in keys:
            raise _Fault("it refers back to a record read long before")
        return keys

    def _new_texts(self, items: Any) -> list[str]:
        raw = items["key"].tobytes()
        size = items["key"].dtype.itemsize
        texts = self._keys.get((size, raw))  # the same few hundred keys come again and again
        if texts is None:
            texts = [self._interned(raw[start : start + size]) for start in range(0, len(raw), size)]
            if len(self._keys) < CURVES and len(raw) < RUN:
                self._keys[size, raw] = texts
        if "place" in items.dtype.names:
            start = len(self._memo)
            if not np.array_equal(items["place"], np.arange(start, start + len(items))):
                raise _Fault("values are not numbered one by one")
        self._memo += texts
        return texts

    OPCODES: ClassVar[dict[int, Callable[[PickleReader], None]]] = {
        ord(code): action
        for code, action in {
            "\x80": lambda self: self._take(1),  # PROTO
            "\x95": lambda self: self._take(8),  # FRAME
            "N": lambda self: self._push(None),
            "\x88": lambda self: self._push(True),
            "\x89": lambda self: self._push(False),
            "K": lambda self: self._push(self._number(1)),
            "M": lambda self: self._push(self._number(2)),
            "J": lambda self: self._long(4),
            "\x8a": lambda self: self._long(self._number(1)),
            "G": _float,
            "X": lambda self: self._text(self._number(4)),
            "\x8c": lambda self: self._text(self._number(1)),
            "C": lambda self: self._push(self._take(self._number(1))),
            "B": lambda self: self._push(self._take(self._number(4))),
            "(": _mark,
            ")": lambda self: self._push(()),
            "t": lambda self: self._push(tuple(self._since_mark())),
            "\x85": lambda self: self._tuple(1),
            "\x86": lambda self: self._tuple(2),
            "\x87": lambda self: self._tuple(3),
            "]": lambda self: self._push([]),
            "a": lambda self: self._append([self._stack.pop()]),
            "e": lambda self: self._append(self._since_mark()),
            "}": lambda self: self._push({}),
            "s": lambda self: self._set([self._stack.pop(-2), self._stack.pop()]),
            "u": lambda self: self._set(self._since_mark()),
            "\x8f": lambda self: self._push(set()),
            "\x90": lambda self: self._add(self._since_mark()),
            "q": lambda self: self._put(self._number(1)),
            "r": lambda self: self._put(self._number(4)),
            "\x94": lambda self: self._memo.append(self._stack[-1]),
            "h": lambda self: self._get(self._number(1)),
            "j": lambda self: self._get(self._number(4)),
            "c": lambda self: self._global(self._line(), self._line()),
            "\x93": _stack_global,
            "R": _call,
            "b": _build,
            "Q": _persistent,
        }.items()
    }


def _run(head: bytes, *fields: tuple[str, str], keys: Callable[[PickleReader, Any], list[Any]]) -> Any:
    """The pattern, layout and keys of items whose opcodes and arguments begin with ``head``.

    A field is a name and the numpy type of its bytes; a name of one character is an opcode and stands for itself.
    """
    layout = np.dtype([("head", f"V{len(head)}"), *fields, ("G", "u1"), ("value", ">f8")])
    item = re.escape(head) + b"".join(
        re.escape(name.encode("latin1")) if len(name) == 1 else b".{%d}" % np.dtype(kind).itemsize
        for name, kind in [*fields, ("G", "u1"), ("value", ">f8")]
    )
    return re.compile(b"(?:%b)+" % item, re.DOTALL), layout, keys


_BY_OPCODE: dict[bytes, Any] = {
    b"K": _run(b"K", ("key", "u1"), keys=PickleReader._integers),
    b"h": _run(b"h", ("key", "u1"), keys=PickleReader._remembered),
    b"j": _run(b"j", ("key", "<u4"), keys=PickleReader._remembered),
}
for _size in range(1, LONGEST_KEY + 1):
    _head = bytes([_size])
    _text = ("key", f"V{_size}")
    _BY_OPCODE[b"X" + _head] = _run(
        b"X" + _head + bytes(3), _text, ("r", "u1"), ("place", "<u4"), keys=PickleReader._new_texts
    )
    _BY_OPCODE[b"\x8c" + _head] = _run(b"\x8c" + _head, _text, ("\x94", "u1"), keys=PickleReader._new_texts)
