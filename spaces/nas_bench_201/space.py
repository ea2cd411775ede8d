"""The NAS-Bench-201 search space (Dong & Yang, ICLR 2020, arXiv:2001.00326)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.spaces.base import Architecture, NetworkConfig, SearchSpace, Supernet
from harness.spaces.nas_bench_201 import encoding
from harness.spaces.nas_bench_201.network import DiscreteNetwork
from harness.spaces.nas_bench_201.reference import ReferenceSupernet
from harness.spaces.nas_bench_201.supernet import NASBench201Supernet


class NASBench201(SearchSpace):
    """15,625 cells of four nodes and six edges, each edge one of five operations."""

    name = "nas-bench-201"
    summary = "cells of 4 nodes, 6 edges and 5 operations; 15,625 architectures (Dong & Yang, ICLR 2020)"
    operations = encoding.OPERATIONS
    edges = encoding.EDGES
    size = encoding.SIZE

    @property
    def equal_edges(self) -> tuple[int, ...]:
        return (0,) * len(self.edges)

    def parse(self, text: str) -> Architecture:
        return encoding.parse(text)

    def format(self, architecture: Sequence[int]) -> str:
        return encoding.to_string(self.validate(architecture))

    def index(self, architecture: Sequence[int]) -> int:
        return encoding.index(self.validate(architecture))

    def architecture(self, index: int) -> Architecture:
        return encoding.cell_at(index)

    def canonical(self, architecture: Sequence[int]) -> str:
        return encoding.canonical(self.validate(architecture))

    def neighbours(self, architecture: Sequence[int]) -> list[Architecture]:
        return encoding.neighbours(self.validate(architecture))

    def sample(self, generator: torch.Generator) -> Architecture:
        return tuple(torch.randint(len(self.operations), (len(self.edges),), generator=generator).tolist())

    def discretize(self, scores: Tensor, strengths: Tensor | None = None) -> Architecture:
        """The best operation of every edge, ``none`` included; all six edges stay."""
        return tuple(scores.argmax(dim=1).tolist())

    def supernet(self, config: NetworkConfig) -> Supernet:
        return NASBench201Supernet(config)

    def reference_supernet(self, config: NetworkConfig) -> Supernet:
        return ReferenceSupernet(config)

    def network(self, architecture: Sequence[int], config: NetworkConfig) -> nn.Module:
        return DiscreteNetwork(self.validate(architecture), config)

    def reference_cells(self) -> dict[str, Architecture]:
        return {
            "all nor_conv_3x3": (encoding.CONV3,) * len(self.edges),
            "all skip_connect": (encoding.SKIP,) * len(self.edges),
        }
