"""NAS-Bench-201 cells as strings, operation indices and official table rows.

Four nodes, six edges, five operations. The official string lists, for each node, the operations of its incoming edges:
``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.
"""

from __future__ import annotations

import itertools
import random
from functools import cache

from harness.spaces.base import Architecture, SpaceError, misread

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
SIZE = len(OPERATIONS) ** len(EDGES)


@cache
def _official_order() -> tuple[list[Architecture], dict[Architecture, int]]:
    """All cells in the benchmark's own order, and its inverse.

    The benchmark enumerates all combinations and shuffles them with Python's generator seeded by 88
    (``generate_meta_info`` in its ``exps/NAS-Bench-201/main.py``), which Python keeps stable across versions.
    """
    cells = list(itertools.product(range(len(OPERATIONS)), repeat=len(EDGES)))
    random.Random(88).shuffle(cells)
    return cells, {cell: row for row, cell in enumerate(cells)}


def index(cell: Architecture) -> int:
    """The official index of a cell: its row in every NAS-Bench-201 table."""
    return _official_order()[1][cell]


def cell_at(row: int) -> Architecture:
    """The cell at an official index. Raises :class:`SpaceError` outside the table."""
    if not 0 <= row < SIZE:
        raise SpaceError(f"there is no architecture {row}; NAS-Bench-201 has 0 to {SIZE - 1}")
    return _official_order()[0][row]


def to_string(cell: Architecture) -> str:
    """The official string of a cell."""
    nodes: dict[int, str] = {}
    for (source, target), operation in zip(EDGES, cell, strict=True):
        nodes[target] = nodes.get(target, "|") + f"{OPERATIONS[operation]}~{source}|"
    return "+".join(nodes.values())


def parse(text: str) -> Architecture:
    """The cell that an official string denotes.

    Raises:
        InvalidArchitecture: with the string, a caret under the first fault, and what was expected there.
    """
    cell = []
    position = 0

    def expect(token: str, what: str) -> None:
        nonlocal position
        if not text.startswith(token, position):
            raise misread("NAS-Bench-201", text, position, what)
        position += len(token)

    for edge, (source, target) in enumerate(EDGES):
        if source == 0:
            if edge:
                expect("+", f"'+' before node {target}")
            expect("|", f"'|' to open node {target}")
        start = position
        end = text.find("~", start)
        name = text[start : end if end >= 0 else len(text)]
        if name not in OPERATIONS:
            raise misread("NAS-Bench-201", text, start, f"an operation ({', '.join(OPERATIONS)})")
        cell.append(OPERATIONS.index(name))
        position = start + len(name)
        expect(f"~{source}|", f"'~{source}|' (edge {source} to {target})")
    if position != len(text):
        raise misread("NAS-Bench-201", text, position, "the end: the cell is complete")
    return tuple(cell)


def neighbours(cell: Architecture) -> list[Architecture]:
    """The 24 cells that differ in exactly one edge's operation."""
    return [
        (*cell[:edge], operation, *cell[edge + 1 :])
        for edge in range(len(EDGES))
        for operation in range(len(OPERATIONS))
        if operation != cell[edge]
    ]


def canonical(cell: Architecture) -> str:
    """The benchmark's own canonical form: an expression for the output node in which isomorphic cells agree.

    A skip stands for its input, ``none`` and whatever follows a lone ``none`` for ``#``, and the terms of a sum are
    sorted. 6,466 forms remain of 15,625 strings (``to_unique_str`` of the benchmark's code, zero considered).
    """
    nodes = ["0"]
    for target in range(1, 4):
        terms = []
        for (source, end), operation in zip(EDGES, cell, strict=True):
            if end != target:
                continue
            if operation == NONE or nodes[source] == "#":
                terms.append("#")
            elif operation == SKIP:
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{OPERATIONS[operation]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]
