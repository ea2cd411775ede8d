"""NAS-Bench-201 cells as strings, tuples and official rows."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.random_streams import stream
from harness.spaces.base import InvalidArchitecture, SpaceError
from harness.spaces.nas_bench_201.encoding import OPERATIONS
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support.paths import DATA

SPACE = NASBench201()
CONV3_EVERYWHERE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"

cells = st.tuples(*[st.integers(0, 4)] * 6)
tokens = st.sampled_from([*OPERATIONS, "|", "+", "~", "0", "1", "2", "3", " ", "\n", "none~0|", "|none~0|+", "CONV"])
mutations = st.tuples(st.integers(0, 100), st.integers(0, 3), st.text(max_size=3))


@st.composite
def nearly_valid(draw: st.DrawFn) -> str:
    """The string of a cell with a few characters cut out and others put in."""
    text = SPACE.format(draw(cells))
    for position, length, inserted in draw(st.lists(mutations, min_size=1, max_size=2)):
        text = text[:position] + inserted + text[position + length :]
    return text


def test_string_tuple_and_index_agree_for_every_cell() -> None:
    seen = set()
    for row in range(SPACE.size):
        cell = SPACE.architecture(row)
        assert SPACE.index(cell) == row
        assert SPACE.parse(SPACE.format(cell)) == cell
        seen.add(cell)
    assert len(seen) == SPACE.size == 15625


@pytest.mark.parametrize(
    ("row", "text"),
    [
        # arch_str of three records of NATS-Bench
        (0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"),
        (11, "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"),
        (284, "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"),
        # the best cell on CIFAR-100, which DrNAS finds
        (9930, "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"),
        # rows of a published table of test accuracies
        (1462, CONV3_EVERYWHERE),
        (1835, CONV3_EVERYWHERE.replace("nor_conv_3x3", "skip_connect")),
        (1651, CONV3_EVERYWHERE.replace("nor_conv_3x3", "none")),
    ],
)
def test_official_rows(row: int, text: str) -> None:
    assert SPACE.format(SPACE.architecture(row)) == text
    assert SPACE.index(SPACE.parse(text)) == row


def test_every_row_of_a_published_table() -> None:
    table = DATA / "nas-bench-201" / "test_accuracy_200ep.csv"
    if not table.is_file():
        pytest.skip(f"no {table}; name the folder that holds it in HARNESS_DATA_DIR")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SPACE.size
    for index, row in enumerate(rows):
        cell = SPACE.architecture(index)
        assert (SPACE.format(cell), SPACE.canonical(cell)) == (row["architecture"], row["canonical"])


def test_edge_order_is_the_order_of_the_string() -> None:
    assert SPACE.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|") == (
        (0, 1, 2, 3, 4, 0)
    )
    assert SPACE.edges == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def test_there_are_6466_canonical_forms() -> None:
    assert len({SPACE.canonical(SPACE.architecture(row)) for row in range(SPACE.size)}) == 6466


def test_cells_that_compute_the_same_share_their_canonical_form() -> None:
    straight = (0, 0, 0, 3, 0, 0)
    through_a_skip = (3, 0, 0, 0, 1, 0)
    beside_a_dead_end = (0, 4, 0, 3, 0, 0)
    assert SPACE.canonical(straight) == SPACE.canonical(through_a_skip) == SPACE.canonical(beside_a_dead_end)
    assert SPACE.canonical(straight) != SPACE.canonical((0, 0, 0, 2, 0, 0))


def test_neighbours_differ_in_one_edge_and_are_mutual() -> None:
    for row in range(0, SPACE.size, 97):
        cell = SPACE.architecture(row)
        neighbours = SPACE.neighbours(cell)
        assert len(set(neighbours)) == len(neighbours) == 24
        for other in neighbours:
            assert sum(a != b for a, b in zip(cell, other, strict=True)) == 1
            assert cell in SPACE.neighbours(other)


def test_sampling_is_uniform_and_reproducible() -> None:
    drawn = [SPACE.sample(generator) for generator in [stream(0, "sample")] for _ in range(20_000)]
    again = stream(0, "sample")
    assert drawn[:50] == [SPACE.sample(again) for _ in range(50)]
    for edge in range(6):
        counts = Counter(cell[edge] for cell in drawn)
        assert set(counts) == set(range(5))
        assert all(abs(count - 4000) < 5 * 57 for count in counts.values())  # five standard deviations
    # as many different cells as uniform draws with replacement give: n (1 - exp(-20000 / n)), sd about 60
    assert abs(len(set(drawn)) - 11279) < 300


def test_sampling_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    SPACE.sample(stream(0, "sample"))
    assert torch.equal(torch.get_rng_state(), before)


def test_discretise_takes_the_best_operation_of_every_edge_none_included() -> None:
    scores = torch.zeros(6, 5)
    cell = (0, 4, 0, 3, 1, 2)
    scores[range(6), cell] = 0.1
    assert SPACE.discretize(scores) == cell


def position_of_caret(error: InvalidArchitecture, text: str) -> int:
    """Where the message's caret stands in the text it shows."""
    lines = str(error).split("\n")
    assert len(lines) == 3
    assert len(lines[1]) == len(text) + 2
    caret = lines[2].index("^") - 2
    assert f"at character {caret}" in lines[0]
    return caret


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(tokens, max_size=30).map("".join), nearly_valid(), cells.map(SPACE.format)))
def test_any_text_parses_to_what_formats_back_or_is_refused_at_a_position(text: str) -> None:
    try:
        cell = SPACE.parse(text)
    except InvalidArchitecture as error:
        caret = position_of_caret(error, text)
        assert 0 <= caret <= len(text)
        # all before the caret is the beginning of some cell's string, so the fault is not earlier
        assert is_beginning(text[:caret])
    else:
        assert SPACE.format(cell) == text


def is_beginning(text: str) -> bool:
    """Whether some cell's string begins with ``text``."""
    complete = ""
    for source, target in sorted(SPACE.edges, key=lambda edge: edge[1]):
        opening = ("|" if target == 1 else "+|") if source == 0 else ""
        candidates = [f"{complete}{opening}{name}~{source}|" for name in OPERATIONS]
        if any(candidate.startswith(text) for candidate in candidates):
            return True
        complete = next((candidate for candidate in candidates if text.startswith(candidate)), "?")
    return False


@pytest.mark.parametrize(
    ("text", "caret", "expected"),
    [
        ("", 0, "'|' to open node 1"),
        ("|conv~0|", 1, "an operation (none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3)"),
        ("|none~1|", 5, "'~0|' (edge 0 to 1)"),
        ("|none~0|none~0|", 8, "'+' before node 2"),
        (CONV3_EVERYWHERE[:-1], len(CONV3_EVERYWHERE) - 3, "'~2|' (edge 2 to 3)"),
        (CONV3_EVERYWHERE + "+", len(CONV3_EVERYWHERE), "the end"),
    ],
)
def test_the_caret_stands_under_the_first_fault(text: str, caret: int, expected: str) -> None:
    with pytest.raises(InvalidArchitecture) as info:
        SPACE.parse(text)
    assert position_of_caret(info.value, text) == caret
    assert f"expected {expected}" in str(info.value)


def test_text_that_breaks_lines_cannot_misplace_the_caret() -> None:
    with pytest.raises(InvalidArchitecture) as info:
        SPACE.parse("|none~0|+\n|none~0|")
    assert position_of_caret(info.value, "|none~0|+\n|none~0|") == 9


@pytest.mark.parametrize("cell", [(), (3,) * 5, (3,) * 7, (3, 3, 3, 3, 3, 5), (-1, 0, 0, 0, 0, 0), (0.5,) * 6])
@pytest.mark.parametrize("use", [SPACE.format, SPACE.index, SPACE.canonical, SPACE.neighbours])
def test_tuples_that_are_no_cell_are_refused(use: Callable[..., object], cell: Sequence[Any]) -> None:
    with pytest.raises(InvalidArchitecture, match=r"6 edges|not one of 0 to 4"):
        use(cell)


@pytest.mark.parametrize("row", [-1, 15625])
def test_rows_outside_the_table_are_refused(row: int) -> None:
    with pytest.raises(SpaceError, match="0 to 15624"):
        SPACE.architecture(row)


def test_cells_may_be_lists_or_arrays_of_integers() -> None:
    assert SPACE.index([3] * 6) == SPACE.index(list(np.full(6, 3))) == 1462
