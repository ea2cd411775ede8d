"""The reader of the pickles of benchmarks: plain data comes through, all else is an error of one line."""

from __future__ import annotations

import contextlib
import io
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.benchmark_import.pickle_stream import PickleReader
from harness.errors import HarnessError

ATOMS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20)
PLAIN = st.recursive(
    ATOMS
    | st.binary(min_size=1, max_size=8)
    | st.dictionaries(st.text(max_size=17) | st.integers(0, 300), st.floats(allow_nan=False)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.tuples(ATOMS, ATOMS), inner, max_size=4)
    ),
    max_leaves=20,
)


def read(content: bytes) -> Any:
    return PickleReader(io.BytesIO(content).read, "the file x").load()


@settings(deadline=None)
@given(PLAIN, st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_through(value: Any, protocol: int) -> None:
    assert read(pickle.dumps([value, value], protocol)) == [value, value]


def test_long_curves_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"{name}@{epoch}" for name in ("x-valid", "ori-test") for epoch in range(200)]
    curves = [{key: index / 7 + number for index, key in enumerate(keys)} for number in range(3)]
    value = [curves, [dict(enumerate(curve.values())) for curve in curves], np.float64(1.5), np.float32(0.25), {1, "a"}]
    for protocol in (2, 3, 4):
        for window in (2**22, 1000, 7):
            monkeypatch.setattr("harness.benchmark_import.pickle_stream.WINDOW", window)
            assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_truncated_pickle_is_called_damaged(protocol: int) -> None:
    content = pickle.dumps([{"x-valid@3": 3.5, "b": 1.0}, {1: 2.0, 3: 4.0}, (1, "four"), np.float64(2)], protocol)
    for length in range(len(content)):
        with pytest.raises(HarnessError, match=r"^the file x is damaged or of another format \([^\n]+\)$"):
            read(content[:length])


@settings(deadline=None)
@given(st.data())
def test_changed_bytes_give_a_value_or_one_line(data: st.DataObject) -> None:
    content = bytearray(
        pickle.dumps([{"x-valid@3": 3.5, "b": [1.0]}, {1: 2.0}, np.float64(2), {"s"}], data.draw(st.integers(2, 5)))
    )
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HarnessError):
        read(bytes(content))


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}" + b")" + b"\x85" * 10**5 + b"Ns.",
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
        b"\x80\x02X\x01\x00\x00\x00a)R.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        b"\x80\x02ccollections\nOrderedDict\n}b.",
        b"(ios\nsystem\n.",
        b"\x80\x02c" + b"a" * 2000,
        b"\x80\x02}e.",
        b"\x80\x02]K\x01K\x02s.",
    ],
)
def test_pickles_made_to_break_a_reader(content: bytes) -> None:
    with pytest.raises(HarnessError, match=r"^the file x is damaged or of another format"):
        read(content)


def test_large_dicts_are_let_go_and_small_ones_kept() -> None:
    records = [{"curve": dict.fromkeys(range(20), 1.0), "small": {"a": 1.0}, "sum": number} for number in range(99)]

    def summarize_record(record: dict[Any, Any]) -> None:
        del record["curve"]

    def load(value: Any) -> Any:
        reader = PickleReader(
            io.BytesIO(pickle.dumps(value, 2)).read, "the file x", frozenset({"curve", "sum"}), summarize_record
        )
        return reader.load()

    assert load([*records, records[0]["small"]])[-1] == {"a": 1.0}
    assert load(records)[98] == {"small": {"a": 1.0}, "sum": 98}
    assert load([*records, records[90]["curve"]])[-1] == records[90]["curve"]
    with pytest.raises(HarnessError, match="refers back to a record read long before"):
        load([*records, records[0]["curve"]])
