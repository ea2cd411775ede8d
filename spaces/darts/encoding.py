"""DARTS genotypes as strings, operation indices and numbers.

A genotype is a normal and a reduction cell. A cell has two input nodes, 0 and 1, the outputs of the cell before the
previous one and of the previous one, and four intermediate nodes, 2 to 5. Every intermediate node can be reached from
all nodes before it, which makes 14 edges, and is entered by exactly two of them; the other edges hold ``none``.

The string lists, for each intermediate node, the operations of its two edges, in the spirit of NAS-Bench-201's:
``normal:|op~0|op~1|+|op~0|op~1|+|op~0|op~1|+|op~0|op~1|;reduce:|op~0|...|``, sources in ascending order.
"""

from __future__ import annotations

import itertools
import math

from harness.spaces.base import Architecture, SpaceError, misread

OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NONE = 0
CELLS = ("normal", "reduce")
INPUTS = 2
NODES = 6
"""Nodes of one cell, its two inputs included."""

CELL_EDGES = tuple((source, target) for target in range(INPUTS, NODES) for source in range(target))
"""(source, target) of the edges of one cell."""

EDGES = CELL_EDGES + tuple((NODES + source, NODES + target) for source, target in CELL_EDGES)
"""Edges of the normal cell, then of the reduction cell, whose nodes are numbered 6 to 11."""

ENTERING = [tuple(e for e, (_, end) in enumerate(EDGES) if end == target) for target in sorted({t for _, t in EDGES})]
"""The edges that enter each intermediate node, by node: those of the normal cell first."""

PAIRS = [tuple(itertools.combinations(edges, 2)) for edges in ENTERING]
"""The pairs of edges by which each intermediate node can be entered."""

REAL = len(OPERATIONS) - 1
"""Number of operations besides ``none``."""

CHOICES = [len(pairs) * REAL**2 for pairs in PAIRS]
"""In how many ways each intermediate node can be entered: 49, 147, 294 and 490, twice."""

SIZE = math.prod(CHOICES)


def kept(genotype: Architecture) -> tuple[int, ...]:
    """The edges that do not hold ``none``."""
    return tuple(edge for edge, operation in enumerate(genotype) if operation != NONE)


def index(genotype: Architecture) -> int:
    """The number of a genotype: a digit for each intermediate node, the first node's the most significant.

    A digit counts the pairs of sources in lexicographic order, then the first operation, then the second.
    """
    number = 0
    for edges, pairs, choices in zip(ENTERING, PAIRS, CHOICES, strict=True):
        first, second = (edge for edge in edges if genotype[edge] != NONE)
        digit = (pairs.index((first, second)) * REAL + genotype[first] - 1) * REAL + genotype[second] - 1
        number = number * choices + digit
    return number


def genotype_at(number: int) -> Architecture:
    """The genotype of a number. Raises :class:`SpaceError` outside 0 to ``SIZE - 1``."""
    if not 0 <= number < SIZE:
        raise SpaceError(f"there is no architecture {number}; darts has 0 to {SIZE - 1}")
    genotype = [NONE] * len(EDGES)
    for pairs, choices in zip(reversed(PAIRS), reversed(CHOICES), strict=True):
        number, digit = divmod(number, choices)
        pair, operations = divmod(digit, REAL**2)
        for edge, operation in zip(pairs[pair], divmod(operations, REAL), strict=True):
            genotype[edge] = operation + 1
    return tuple(genotype)


def to_string(genotype: Architecture) -> str:
    """The string of a genotype."""
    nodes = [
        "|" + "".join(f"{OPERATIONS[genotype[e]]}~{EDGES[e][0] % NODES}|" for e in edges if genotype[e] != NONE)
        for edges in ENTERING
    ]
    half = len(nodes) // 2
    return ";".join(f"{name}:{'+'.join(part)}" for name, part in zip(CELLS, (nodes[:half], nodes[half:]), strict=True))


def parse(text: str) -> Architecture:
    """The genotype that a string denotes.

    Raises:
        InvalidArchitecture: with the string, a caret under the first fault, and what was expected there.
    """
    genotype = [NONE] * len(EDGES)
    position = 0

    def expect(token: str, what: str) -> None:
        nonlocal position
        if not text.startswith(token, position):
            raise misread("darts", text, position, what)
        position += len(token)

    for number, edges in enumerate(ENTERING):
        cell, node = divmod(number, len(ENTERING) // len(CELLS))
        target = INPUTS + node
        if node == 0:
            opening = f"{CELLS[cell]}:" if cell == 0 else f";{CELLS[cell]}:"
            expect(opening, f"'{opening}'")
        else:
            expect("+", f"'+' before node {target}")
        expect("|", f"'|' to open node {target}")
        sources = {str(EDGES[edge][0] % NODES): edge for edge in edges}
        for last in (False, True):
            end = text.find("~", position)
            name = text[position : end if end >= 0 else len(text)]
            if name not in OPERATIONS[1:]:
                raise misread("darts", text, position, f"an operation ({', '.join(OPERATIONS[1:])})")
            position += len(name)
            expect("~", f"'~' and the number of a node before node {target}")
            allowed = list(sources)[: None if last else -1]  # a second source has to follow the first
            source = text[position : position + 1]
            if source not in allowed:
                raise misread("darts", text, position, f"a source of node {target} ({', '.join(allowed)})")
            position += 1
            genotype[sources[source]] = OPERATIONS.index(name)
            sources = {number: edge for number, edge in sources.items() if number > source}
            expect("|", f"'|' after source {source}")
    if position != len(text):
        raise misread("darts", text, position, "the end: the genotype is complete")
    return tuple(genotype)


def neighbours(genotype: Architecture) -> list[Architecture]:
    """The 264 genotypes that differ in one of the 16 inputs of nodes: its operation, its source or both."""
    genotypes = []
    for edges in ENTERING:
        free = [edge for edge in edges if genotype[edge] == NONE]
        for edge in edges:
            if genotype[edge] == NONE:
                continue
            for other in (edge, *free):
                for operation in range(1, len(OPERATIONS)):
                    if (other, operation) != (edge, genotype[edge]):
                        changed = list(genotype)
                        changed[edge] = NONE
                        changed[other] = operation
                        genotypes.append(tuple(changed))
    return genotypes
