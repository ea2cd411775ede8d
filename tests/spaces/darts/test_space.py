"""DARTS genotypes: strings, numbers, neighbours, and the rule by which a search derives one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.random_streams import stream
from harness.retraining.trainings import representative
from harness.spaces.base import InvalidArchitecture, SpaceError, isomorphic_groups
from harness.spaces.darts.encoding import ENTERING
from harness.spaces.darts.space import PUBLISHED, DARTSSpace

SPACE = DARTSSpace()
V2 = SPACE.parse(PUBLISHED)
numbers = st.integers(0, SPACE.size - 1)


def edge(source: int, target: int, cell: int = 0) -> int:
    return SPACE.edges.index((6 * cell + source, 6 * cell + target))


def test_there_are_as_many_genotypes_as_the_paper_counts() -> None:
    one_cell = 1
    for k in range(1, 5):
        one_cell *= (k + 1) * k // 2 * 7**2  # section 3.1
    assert SPACE.size == one_cell**2
    assert len(SPACE.edges) == 28
    assert [len(edges) for edges in ENTERING] == [2, 3, 4, 5] * 2


@settings(deadline=None, max_examples=50)
@given(numbers)
def test_numbers_and_strings_denote_one_genotype(number: int) -> None:
    genotype = SPACE.architecture(number)
    assert SPACE.index(genotype) == number
    assert SPACE.parse(SPACE.format(genotype)) == genotype == SPACE.validate(genotype)
    assert SPACE.canonical(genotype) == SPACE.format(genotype)
    assert len(SPACE.kept(genotype)) == 16


def test_numbers_count_sources_then_operations_from_the_last_node_on() -> None:
    first = "|max_pool_3x3~0|max_pool_3x3~1|"
    cell = "+".join([first] * 4)
    assert SPACE.format(SPACE.architecture(0)) == f"normal:{cell};reduce:{cell}"
    assert SPACE.format(SPACE.architecture(1)).endswith("+|max_pool_3x3~0|avg_pool_3x3~1|")
    assert SPACE.format(SPACE.architecture(7)).endswith("+|avg_pool_3x3~0|max_pool_3x3~1|")
    assert SPACE.format(SPACE.architecture(49)).endswith("+|max_pool_3x3~0|max_pool_3x3~2|")
    assert SPACE.format(SPACE.architecture(SPACE.size - 1)).endswith("+|dil_conv_5x5~3|dil_conv_5x5~4|")
    for number in (-1, SPACE.size):
        with pytest.raises(SpaceError, match="there is no architecture"):
            SPACE.architecture(number)


@settings(deadline=None, max_examples=50)
@given(numbers, st.data())
def test_a_damaged_string_is_refused_in_words(number: int, data: st.DataObject) -> None:
    text = SPACE.format(SPACE.architecture(number))
    position = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:position] + data.draw(st.sampled_from(["", "?", "~", "|", "9"])) + text[position + 1 :]
    if damaged != text:
        with pytest.raises(InvalidArchitecture, match="not a darts architecture: expected"):
            SPACE.parse(damaged)


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("normal", "reduce", "'normal:'"),
        ("skip_connect~0|dil", "none~0|dil", "an operation"),
        ("~0|dil_conv_3x3~2", "~2|dil_conv_3x3~2", "a source of node 5 (3, 4)"),
        ("~0|dil_conv_3x3~2", "~4|dil_conv_3x3~2", "a source of node 5 (0, 1, 2, 3)"),
        (";reduce", "+reduce", "';reduce:'"),
    ],
)
def test_the_first_fault_is_named(wrong: str, right: str, expected: str) -> None:
    with pytest.raises(InvalidArchitecture) as error:
        SPACE.parse(PUBLISHED.replace(wrong, right, 1))
    assert f"expected {expected}" in str(error.value)


def test_a_node_has_exactly_two_inputs() -> None:
    more, fewer = list(V2), list(V2)
    more[edge(0, 5, 1)] = 4
    fewer[edge(1, 2)] = 0
    with pytest.raises(InvalidArchitecture, match="3 operations that enter node 5 of the reduce cell"):
        SPACE.index(more)
    with pytest.raises(InvalidArchitecture, match="1 operations that enter node 2 of the normal cell"):
        SPACE.format(fewer)


def test_neighbours_differ_in_one_input_of_a_node() -> None:
    neighbours = SPACE.neighbours(V2)
    assert len(neighbours) == len(set(neighbours)) == 2 * sum(2 * (6 + 7 * (k - 2)) for k in (2, 3, 4, 5))

    def inputs(genotype: tuple[int, ...]) -> Counter[tuple[int, int]]:
        return Counter((edge, genotype[edge]) for edge in SPACE.kept(genotype))

    for genotype in neighbours:
        assert SPACE.validate(genotype) == genotype
        assert (inputs(genotype) - inputs(V2)).total() == 1
        assert V2 in SPACE.neighbours(genotype)


def test_genotypes_are_drawn_uniformly() -> None:
    generator = stream(0, "cells")
    drawn = [SPACE.sample(generator) for _ in range(2000)]
    pairs = Counter(tuple(edge for edge in ENTERING[3] if genotype[edge]) for genotype in drawn)
    assert set(pairs) == set(combinations(ENTERING[3], 2))
    assert all(abs(count - 200) < 5 * 13.4 for count in pairs.values())  # the sd is sqrt(2000 · 0.1 · 0.9)
    operations = Counter(operation for genotype in drawn for operation in genotype if operation)
    assert len(operations) == 7
    assert all(abs(count - 32000 / 7) < 5 * 62.6 for count in operations.values())


def scores() -> torch.Tensor:
    return torch.zeros(28, 8, dtype=torch.float64)


def test_a_node_keeps_its_two_strongest_edges() -> None:
    alpha = scores()
    alpha[edge(1, 5), 4] = 2.0
    alpha[edge(3, 5), 7] = 1.0
    alpha[edge(4, 5), 0] = 9.0  # none, which is never derived
    alpha[edge(4, 5), 3] = 4.0  # strongest in its α, not in its softmax
    derived = SPACE.discretize(alpha)
    assert {e: derived[e] for e in ENTERING[3] if derived[e]} == {edge(1, 5): 4, edge(3, 5): 7}
    assert {e: derived[e] for e in ENTERING[7] if derived[e]} == {edge(0, 5, 1): 1, edge(1, 5, 1): 1}  # all alike
    by_value = SPACE.discretize(alpha, alpha)
    assert {e: by_value[e] for e in ENTERING[3] if by_value[e]} == {edge(1, 5): 4, edge(4, 5): 3}


@settings(deadline=None, max_examples=50)
@given(numbers)
def test_scores_of_a_genotype_derive_it(number: int) -> None:
    genotype = SPACE.architecture(number)
    assert SPACE.discretize(torch.nn.functional.one_hot(torch.tensor(genotype), 8).double()) == genotype


def test_a_space_too_large_for_a_table_says_so() -> None:
    assert not SPACE.enumerable
    with pytest.raises(SpaceError, match=r"darts has 1,076,746,950,455,072,400 architectures, too many"):
        isomorphic_groups(SPACE)
    assert representative(SPACE, V2) == V2


def test_both_cells_end_in_nodes_of_their_own() -> None:
    assert {name: len(edges) for name, edges in SPACE.cells.items()} == {"normal": 14, "reduce": 14}
    assert (SPACE.edge_names[0], SPACE.edge_names[-1]) == ("normal 0→2", "reduce 4→5")
    assert SPACE.outputs == (2, 3, 4, 5, 8, 9, 10, 11)
