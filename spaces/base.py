"""The base class of search spaces, and the mixture: the one language in which methods speak to supernets.

A space knows operations, edges, cells and networks. It knows nothing of search methods, data or tables.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

Architecture = tuple[int, ...]
"""A point of a space: the index of the chosen operation on each edge, in the space's edge order."""

BatchNormMode = Literal["batch", "running"]
"""Statistics by which the supernet's cells normalise in evaluation: of the batch, or running ones."""

ENUMERABLE = 10_000_000
"""Most architectures of a space that can be gone through one by one."""


class SpaceError(ValueError):
    """A space was asked for something it does not contain; the message says what and why."""


class InvalidArchitecture(SpaceError):
    """An architecture string or tuple that is no point of the space; the message points at the fault."""


def misread(space: str, text: str, position: int, expected: str) -> InvalidArchitecture:
    """The error for a string that is no architecture: what was expected where, and a caret under the fault."""
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text)  # one column each
    return InvalidArchitecture(
        f"not a {space} architecture: expected {expected} at character {position}\n  {shown}\n  {' ' * position}^"
    )


@dataclass(frozen=True)
class Mixture:
    """The weights by which the operations of every edge are mixed in one forward pass of a supernet.

    The output of edge e is ``edge_weights[e] * (sum_o weights[e, o] * op_o(x) + edge_bias[e])``, where the sum runs
    over all operations, or over ``selected[e]`` alone. All cells of the supernet share one mixture.

    Attributes:
        weights: (edges, operations), differentiable with respect to α where a method wants a gradient.
        selected: the only operation computed on each edge, for one-hot mixtures; None computes all of them.
        edge_weights: (edges,), a factor on each edge's output (PC-DARTS's edge normalisation); None means 1.
        edge_bias: (edges,), a constant added to each edge's output; None means 0. Its value is normally zero: it
            exists to carry a gradient (see GDAS).
    """

    weights: Tensor
    selected: Architecture | None = None
    edge_weights: Tensor | None = None
    edge_bias: Tensor | None = None

    @classmethod
    def of(cls, architecture: Sequence[int], num_operations: int) -> Mixture:
        """The mixture that evaluates one discrete cell with a supernet's inherited weights."""
        index = torch.tensor(list(architecture))
        return cls(nn.functional.one_hot(index, num_operations).float(), selected=tuple(architecture))


@dataclass(frozen=True)
class NetworkConfig:
    """The macro-architecture around the cell.

    Attributes:
        channels: C, the width of the first stage (doubled at each of the two reductions).
        cells: N, the number of cells in each of the three stages, without cells that halve the resolution.
        classes: number of classes of the data.
        batch_norm: see :data:`BatchNormMode`. Training always normalises by the batch.
        partial_channels: K of PC-DARTS; only 1/K of each edge's channels pass through the mixed operation.
        head_affine: whether the last batch normalisation, before the classifier, has affine parameters.
    """

    channels: int
    cells: int
    classes: int
    batch_norm: BatchNormMode = "batch"
    partial_channels: int = 1
    head_affine: bool = True

    def searched_channels(self, channels: int) -> int:
        """1/K of the channels of an edge. Raises :class:`SpaceError` where K does not divide them."""
        if channels % self.partial_channels:
            raise SpaceError(
                f"partial channels K={self.partial_channels} must divide every width of the supernet; "
                f"it does not divide {channels}"
            )
        return channels // self.partial_channels


class Supernet(nn.Module, abc.ABC):
    """A network that contains every cell of a space; its parameters are the network weights w and never α."""

    @abc.abstractmethod
    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        """Logits (batch, classes) of ``images`` (batch, 3, height, width) when edges mix operations as told."""

    def initialize(self, generator_for: Callable[[str], torch.Generator]) -> None:
        """Initialise the network weights; see :func:`initialize`."""
        initialize(self, generator_for)


class SearchSpace(abc.ABC):
    """A finite set of cells and the networks built from them.

    Attributes:
        name: the name users type.
        summary: one line for ``harness list spaces``.
        operations: operation names in index order.
        edges: (source node, target node) of each edge; the first axis of α follows this order. Edges with the same
            target are the ones PC-DARTS normalises together.
        size: number of architectures.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    operations: ClassVar[tuple[str, ...]]
    edges: ClassVar[tuple[tuple[int, int], ...]]
    size: ClassVar[int]

    @property
    def cells(self) -> dict[str, range]:
        """The edges of each kind of cell, by its name. Default: one kind, which has all edges."""
        return {"cell": range(len(self.edges))}

    @property
    def edge_names(self) -> list[str]:
        """``0→1`` for each edge; where there are several kinds of cells, numbered from 0 in each and with its name."""
        names = []
        for cell, edges in self.cells.items():
            first = min(self.edges[edge][0] for edge in edges)
            for source, target in (self.edges[edge] for edge in edges):
                names.append(f"{cell} " * (len(self.cells) > 1) + f"{source - first}→{target - first}")
        return names

    @property
    def outputs(self) -> tuple[int, ...]:
        """The nodes that the output of a cell is made of. Default: the last one."""
        return (max(target for _, target in self.edges),)

    @property
    def equal_edges(self) -> tuple[int, ...]:
        """For each edge the first one on which every operation has as many parameters and FLOPs. Default: itself."""
        return tuple(range(len(self.edges)))

    @property
    def enumerable(self) -> bool:
        """True if there are few enough architectures to go through all of them, as a table does."""
        return self.size <= ENUMERABLE

    @abc.abstractmethod
    def parse(self, text: str) -> Architecture:
        """The architecture that a string denotes. Raises :class:`InvalidArchitecture`, pointing at the fault."""

    @abc.abstractmethod
    def format(self, architecture: Sequence[int]) -> str:
        """The official string of an architecture. Raises :class:`InvalidArchitecture`."""

    @abc.abstractmethod
    def index(self, architecture: Sequence[int]) -> int:
        """The official index of an architecture, 0 to ``size - 1``: the row of every table of this space."""

    @abc.abstractmethod
    def architecture(self, index: int) -> Architecture:
        """The architecture at an official index. Raises :class:`SpaceError` outside 0 to ``size - 1``."""

    @abc.abstractmethod
    def canonical(self, architecture: Sequence[int]) -> str:
        """A string that isomorphic cells share: cells that compute the same function whatever their weights."""

    @abc.abstractmethod
    def neighbours(self, architecture: Sequence[int]) -> list[Architecture]:
        """All architectures one step away: another operation on one edge, where all edges stay."""

    @abc.abstractmethod
    def sample(self, generator: torch.Generator) -> Architecture:
        """An architecture drawn uniformly from all ``size`` of them."""

    @abc.abstractmethod
    def discretize(self, scores: Tensor, strengths: Tensor | None = None) -> Architecture:
        """The cell that scores prefer, by the space's own published rule.

        With Gumbel noise on ``log p`` for scores it is a cell drawn from p: edge by edge where all edges stay.

        Args:
            scores: (edges, operations); the best operation of an edge is the one with the highest score.
            strengths: (edges, operations), by which the best operations of different edges are compared where a node
                keeps some of its edges; None: the softmax of each edge's scores.
        """

    @abc.abstractmethod
    def supernet(self, config: NetworkConfig) -> Supernet:
        """A supernet of this space. Raises :class:`SpaceError` where the configuration is impossible."""

    def reference_supernet(self, config: NetworkConfig) -> Supernet:
        """The same supernet in plain code, to be read and checked against. Default: there is none.

        Raises :class:`SpaceError` where the configuration is impossible, and where there is none.
        """
        raise SpaceError(f"space {self.name} has no reference supernet; leave supernet.implementation=fused")

    @abc.abstractmethod
    def network(self, architecture: Sequence[int], config: NetworkConfig) -> nn.Module:
        """The discrete network of a derived cell, as trained from scratch for a benchmark."""

    @abc.abstractmethod
    def reference_cells(self) -> dict[str, Architecture]:
        """Named cells that every comparison shows beside the methods, such as the all-skip cell."""

    def kept(self, architecture: Sequence[int]) -> tuple[int, ...]:
        """The edges that a cell has. Default: all, of ``none`` too.

        Where nodes keep some of their incoming edges, the others hold ``none`` and are no edges of the cell.
        """
        return tuple(range(len(self.validate(architecture))))

    def find(self, text: str) -> Architecture:
        """The architecture that an official index or a string denotes. Raises :class:`SpaceError`."""
        try:
            index = int(text)
        except ValueError:
            return self.parse(text)
        return self.architecture(index)

    def validate(self, architecture: Sequence[int]) -> Architecture:
        """``architecture`` as a tuple, if it is a point of this space. Raises :class:`InvalidArchitecture`."""
        choice = tuple(architecture)
        if len(choice) != len(self.edges):
            raise InvalidArchitecture(
                f"{choice} chooses {len(choice)} operations; {self.name} has {len(self.edges)} edges"
            )
        for edge, operation in enumerate(choice):
            if operation not in range(len(self.operations)):
                raise InvalidArchitecture(
                    f"edge {edge} of {choice} has operation {operation}, not one of 0 to {len(self.operations) - 1}"
                )
        return choice


@cache
def isomorphic_groups(space: SearchSpace) -> dict[str, list[int]]:
    """The official indices, ascending, of the cells that share a canonical form, by form; not to be changed.

    Raises :class:`SpaceError` where there are too many architectures to go through.
    """
    if not space.enumerable:
        raise SpaceError(f"{space.name} has {space.size:,} architectures, too many to go through one by one")
    groups: dict[str, list[int]] = {}
    for index in range(space.size):
        groups.setdefault(space.canonical(space.architecture(index)), []).append(index)
    return groups


def initialize(module: nn.Module, generator_for: Callable[[str], torch.Generator]) -> None:
    """Initialise every convolution, linear and batch-norm layer, each parameter from a random stream of its own name.

    A parameter's initial value then depends on its name and shape alone, so that two supernets that share a layer
    start with the same values in it, whatever else they contain. The distributions are PyTorch's defaults: uniform
    within ±1/sqrt(fan_in) for weights (Kaiming with a = sqrt 5) and biases; batch-norm scale 1 and shift 0.
    """
    with torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = 1 / math.sqrt(layer.weight[0].numel())
                weight = torch.empty(layer.weight.shape)  # filled in its order whatever that of the layer in memory
                layer.weight.copy_(weight.uniform_(-bound, bound, generator=generator_for(f"{name}.weight")))
                if layer.bias is not None:
                    layer.bias.uniform_(-bound, bound, generator=generator_for(f"{name}.bias"))
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
