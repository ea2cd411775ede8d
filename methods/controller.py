"""The recurrent controller that draws cells in ENAS and NASNet, and the average of rewards in policy gradients."""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.methods.base import gumbel
from harness.spaces.base import Architecture, SearchSpace

INITIAL = 0.1
"""Initial parameters are drawn from U(-0.1, 0.1), as in both papers."""


class Controller(nn.Module, abc.ABC):
    """Stacked LSTM layers that see each decision before they make the next one: one decision an edge.

    p(cell) = ∏_e p(o_e | o_1, …, o_(e-1)), each factor a softmax over the operations.
    """

    def __init__(self, edges: int, operations: int, hidden: int, layers: int) -> None:
        """Make the layers, without initial values: a derived class adds its own and calls :meth:`initialize`."""
        super().__init__()
        self.edges = edges
        self.embedding = nn.utils.skip_init(nn.Embedding, operations + 1, hidden)  # the last row begins a cell
        self.lstm = nn.ModuleList(nn.utils.skip_init(nn.LSTMCell, hidden, hidden) for _ in range(layers))

    def initialize(self, rng: torch.Generator) -> None:
        """Draw all parameters uniformly from ±:data:`INITIAL`."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL, INITIAL, generator=rng)

    @abc.abstractmethod
    def logits(self, edge: int, hidden: Tensor) -> Tensor:
        """The logits (cells, operations) of an edge, from the last layer's hidden state (cells, hidden)."""

    def forward(self, cells: Tensor) -> Tensor:
        """log p (cells, edges, operations) of each decision, given those before it in ``cells`` (cells, edges)."""
        return self.unroll(len(cells), lambda edge, log_p: cells[:, edge])

    def unroll(self, count: int, choose: Callable[[int, Tensor], Tensor]) -> Tensor:
        """log p (count, edges, operations) of each decision, given the choices before it.

        ``choose`` maps an edge and the log p (count, operations) of its operations to the chosen ones, (count,).
        """
        chosen = torch.full((count,), self.embedding.num_embeddings - 1)
        states: list[tuple[Tensor, Tensor] | None] = [None] * len(self.lstm)
        rows = []
        for edge in range(self.edges):
            x = self.embedding(chosen)
            for layer, lstm in enumerate(self.lstm):
                x, _ = states[layer] = lstm(x, states[layer])
            rows.append(self.logits(edge, x).log_softmax(dim=1))
            chosen = choose(edge, rows[-1])
        return torch.stack(rows, dim=1)

    @torch.no_grad()
    def draw(self, space: SearchSpace, rng: torch.Generator) -> Architecture:
        """A cell from p(cell): on each edge the operation with the largest log p + Gumbel noise.

        Where a node keeps some of its edges, the space's rule on these sums says which; the others become ``none``.
        """
        scores: list[Tensor] = []

        def choose(edge: int, log_p: Tensor) -> Tensor:
            scores.append(log_p + gumbel(log_p.shape, rng))
            return scores[-1].argmax(dim=1)

        self.unroll(1, choose)
        return space.discretize(torch.cat(scores))

    @torch.no_grad()
    def most_probable(self, space: SearchSpace) -> Architecture:
        """The cell by the most probable choice on one edge after the other."""
        return space.discretize(self.unroll(1, lambda edge, log_p: log_p.argmax(dim=1))[0])


class MovingAverage:
    """An exponential moving average, divided by the sum of its weights: the baseline of a policy gradient.

    ``add`` makes it total ← decay · total + (1 - decay) · value, and the same for the weights with 1 as value.
    """

    def __init__(self, decay: float) -> None:
        self.decay, self.total, self.weight = decay, 0.0, 0.0

    def add(self, value: float) -> None:
        """Take in a value."""
        self.total = self.decay * self.total + (1 - self.decay) * value
        self.weight = self.decay * self.weight + (1 - self.decay)

    def mean(self, otherwise: float) -> float:
        """The average so far; ``otherwise`` where there is no value yet."""
        return self.total / self.weight if self.weight else otherwise

    def state_dict(self) -> dict[str, float]:
        """Everything that changes."""
        return {"total": self.total, "weight": self.weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.total, self.weight = state["total"], state["weight"]
