"""Seeds as users name them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.seeds import LARGEST_COUNT, read_seeds
from harness.errors import HarnessError


@given(st.lists(st.tuples(st.integers(0, 10**17), st.integers(0, 20)), min_size=2, max_size=6))
def test_lists_and_ranges_name_their_seeds_once_in_order(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in ranges)
    named = [seed for first, more in ranges for seed in range(first, first + more + 1)]
    assert read_seeds(text) == read_seeds(named) == list(dict.fromkeys(named))


@given(st.integers(1, LARGEST_COUNT))
def test_a_small_number_is_a_count(count: int) -> None:
    assert read_seeds(str(count)) == read_seeds(count) == list(range(count))


@given(st.integers(LARGEST_COUNT + 1, 10**17))
def test_a_large_number_is_asked_about_and_both_answers_are_read(number: int) -> None:
    for value in (number, str(number)):
        with pytest.raises(HarnessError, match=f"write '0-{number - 1}' for seeds 0 to {number - 1}, or '{number},'"):
            read_seeds(value)
    assert read_seeds(f"{number},") == [number]


@given(st.text(alphabet="0123456789,-_+ .x²٣", max_size=12))
def test_anything_else_is_refused(text: str) -> None:
    try:
        seeds = read_seeds(text)
    except HarnessError:
        return
    assert seeds
    assert min(seeds) >= 0
    assert re.fullmatch("[0-9, -]+", text)


@pytest.mark.parametrize("value", [[], [-1], ["x"], None, True, 0, "", "5-3", "0-99999999"])
def test_values_that_name_no_seeds_are_refused(value: object) -> None:
    with pytest.raises(HarnessError, match="seeds"):
        read_seeds(value)  # type: ignore[arg-type]
