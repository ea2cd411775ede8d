"""The DARTS search space (Liu, Simonyan & Yang, ICLR 2019, arXiv:1806.09055)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.spaces.base import Architecture, InvalidArchitecture, NetworkConfig, SearchSpace, Supernet
from harness.spaces.darts import encoding
from harness.spaces.darts.network import DiscreteNetwork
from harness.spaces.darts.supernet import DARTSSupernet


class DARTSSpace(SearchSpace):
    """Genotypes of a normal and a reduction cell, each of four nodes that two operations enter.

    An architecture has one operation for each of the 14 edges of the normal cell, then of the reduction cell. Exactly
    two of the edges that enter a node hold an operation, the others ``none``. The index numbers these genotypes and no
    other strings; two genotypes that compute the same function count as two, so that the canonical form is the string.
    There are about 10^18 (the paper's own count): too many for a table.
    """

    name = "darts"
    summary = "normal and reduction cells of 14 edges and 8 operations; 1.1e18 architectures (Liu et al., ICLR 2019)"
    operations = encoding.OPERATIONS
    edges = encoding.EDGES
    size = encoding.SIZE

    @property
    def cells(self) -> dict[str, range]:
        edges = len(encoding.CELL_EDGES)
        return {name: range(edges * number, edges * (number + 1)) for number, name in enumerate(encoding.CELLS)}

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(sorted({target for _, target in self.edges}))

    @property
    def equal_edges(self) -> tuple[int, ...]:
        """The first edge of the same kind of cell, and of the same stride: 2 from the inputs of the reduction cell."""
        nodes, inputs = encoding.NODES, encoding.INPUTS
        kinds = [(source >= nodes, nodes <= source < nodes + inputs) for source, _ in self.edges]
        return tuple(kinds.index(kind) for kind in kinds)

    def kept(self, architecture: Sequence[int]) -> tuple[int, ...]:
        return encoding.kept(self.validate(architecture))

    def parse(self, text: str) -> Architecture:
        return encoding.parse(text)

    def format(self, architecture: Sequence[int]) -> str:
        return encoding.to_string(self.validate(architecture))

    def index(self, architecture: Sequence[int]) -> int:
        return encoding.index(self.validate(architecture))

    def architecture(self, index: int) -> Architecture:
        return encoding.genotype_at(index)

    def canonical(self, architecture: Sequence[int]) -> str:
        return self.format(architecture)

    def neighbours(self, architecture: Sequence[int]) -> list[Architecture]:
        return encoding.neighbours(self.validate(architecture))

    def sample(self, generator: torch.Generator) -> Architecture:
        return encoding.genotype_at(int(torch.randint(self.size, (), generator=generator)))

    def discretize(self, scores: Tensor, strengths: Tensor | None = None) -> Architecture:
        """The best operation of every edge but ``none``, and of every node the two edges where it is strongest.

        The strength of an operation is its share in the softmax of the edge's scores, ``none`` included (section 2.4),
        unless ``strengths`` says otherwise. Of equals the first is taken.
        """
        best = 1 + scores[:, 1:].argmax(dim=1)
        strongest = scores.double().softmax(dim=1) if strengths is None else strengths
        strength = strongest.gather(1, best[:, None]).flatten().tolist()
        genotype = [encoding.NONE] * len(self.edges)
        for edges in encoding.ENTERING:
            for edge in sorted(edges, key=lambda edge: -strength[edge])[:2]:
                genotype[edge] = int(best[edge])
        return tuple(genotype)

    def supernet(self, config: NetworkConfig) -> Supernet:
        return DARTSSupernet(config)

    def network(self, architecture: Sequence[int], config: NetworkConfig) -> nn.Module:
        return DiscreteNetwork(self.validate(architecture), config)

    def reference_cells(self) -> dict[str, Architecture]:
        """The genotype that the paper reports of its second-order search on CIFAR-10 (``DARTS_V2`` of its code)."""
        return {"DARTS (second order), as published": self.parse(PUBLISHED)}

    def validate(self, architecture: Sequence[int]) -> Architecture:
        genotype = super().validate(architecture)
        for edges in encoding.ENTERING:
            if (chosen := sum(genotype[edge] != encoding.NONE for edge in edges)) != 2:
                cell, target = divmod(self.edges[edges[0]][1], encoding.NODES)
                raise InvalidArchitecture(
                    f"{genotype} has {chosen} operations that enter node {target} of the {encoding.CELLS[cell]} cell; "
                    "a genotype has two, and none on the other edges"
                )
        return genotype


PUBLISHED = (
    "normal:|sep_conv_3x3~0|sep_conv_3x3~1|+|sep_conv_3x3~0|sep_conv_3x3~1|"
    "+|skip_connect~0|sep_conv_3x3~1|+|skip_connect~0|dil_conv_3x3~2|;"
    "reduce:|max_pool_3x3~0|max_pool_3x3~1|+|max_pool_3x3~1|skip_connect~2|"
    "+|max_pool_3x3~0|skip_connect~2|+|max_pool_3x3~1|skip_connect~2|"
)
