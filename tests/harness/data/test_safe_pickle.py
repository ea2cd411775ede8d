"""Pickles are read as data: what is plain comes through, and nothing else runs."""

import builtins
import os
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.safe_pickle import Record, load_pickle
from harness.errors import HarnessError

CELL = b"\x80\x02cforeign.module\nCell\n)\x81}X\x05\x00\x00\x00valueK\x07sb."
"""An object of class Cell of a module that does not exist, with the attribute ``value`` 7."""

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.tuples(st.integers()), inner, max_size=4)
    ),
    max_leaves=20,
)


def load(content: bytes, allowed: Any = None) -> Any:
    return load_pickle(BytesIO(content), allowed or {}, "the file x")


class Call:
    """Pickles as a call, made when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def by_instance(file: Path) -> bytes:
    """A call in the oldest way, by the opcode INST."""
    return f"(S'touch {file}'\nios\nsystem\n.".encode()


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    **{f"os.system, protocol {n}": lambda f, n=n: pickle.dumps(Call(os.system, f"touch {f}"), n) for n in range(6)},
    "open": lambda file: pickle.dumps(Call(open, str(file), "w")),
    "exec": lambda file: pickle.dumps(Call(builtins.exec, f"open({str(file)!r}, 'w')")),
    "deep inside": lambda file: pickle.dumps({"a": [1.0, (2, {"b": Call(os.system, f"touch {file}")})]}),
    "by INST": by_instance,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_pickle_that_runs_something_is_refused_before_it_does(make: Callable[[Path], bytes], tmp_path: Path) -> None:
    file = tmp_path / "created"
    content = make(file)
    pickle.loads(content)
    assert file.exists()  # a plain load runs it
    file.unlink()
    with pytest.raises(HarnessError, match=r"^the file x was refused: .*wants to run '\S+'.* nothing was run$"):
        load(content, {("foreign.module", "Cell"): Record})
    assert not file.exists()


def test_a_class_that_is_not_allowed_is_named() -> None:
    with pytest.raises(HarnessError, match=r"'foreign\.module\.Cell'"):
        load(CELL, {("foreign.module", "Other"): Record, ("other.module", "Cell"): Record})


def test_allowing_a_class_allows_nothing_inside_it() -> None:
    inside = b"\x80\x04\x8c\x0eforeign.module\x8c\x0dCell.__init__\x93."
    with pytest.raises(HarnessError, match=r"'foreign\.module\.Cell\.__init__'"):
        load(inside, {("foreign.module", "Cell"): Record})


def test_a_name_cannot_write_to_the_terminal() -> None:
    with pytest.raises(HarnessError) as caught:
        load(b"\x80\x04\x8c\x02os\x8c\x0d\x1b[2J\nharness: .\x93.")
    assert str(caught.value).isprintable()


def test_an_allowed_class_becomes_a_record_of_its_attributes() -> None:
    found = load(CELL, {("foreign.module", "Cell"): Record})
    assert isinstance(found, Record)
    assert vars(found) == {"value": 7}


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_through(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_truncated_pickle_is_called_damaged(protocol: int) -> None:
    content = pickle.dumps({(1, 2): [3.5, "four"], "five": None}, protocol)
    for length in range(len(content)):
        with pytest.raises(HarnessError, match=r"^the file x is damaged or of another format") as caught:
            load(content[:length])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"cifar10_test,architecture\n", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\x80\x09."])
def test_what_is_no_pickle_is_called_damaged(content: bytes) -> None:
    with pytest.raises(HarnessError, match=r"^the file x is damaged or of another format"):
        load(content)
