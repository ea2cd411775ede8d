"""ENAS: efficient neural architecture search via parameter sharing (Pham, Guan, Zoph, Le & Dean, ICML 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod, gumbel
from harness.spaces.base import Architecture, Mixture, SearchSpace

LAYERS = 2
"""LSTM layers of the controller."""


class ENAS(WeightSharingMethod):
    """A controller, an LSTM that draws a cell edge by edge, learns by REINFORCE; w learns on the cells it draws.

    The parameters of the controller stand in the place of α, in the paper θ. Its reward is the accuracy of a drawn cell
    on a validation batch, with the shared weights, plus the entropy of the draw. One cell is drawn and one step made
    for each validation batch, between the weight steps; the authors alternate whole epochs of both.

    The result is, of ``candidates`` cells drawn from the controller, the best by one-shot accuracy, all scored on the
    same whole search-validation half; the released NAS-Bench-201 code scores each on another mini-batch. Before the
    last epoch nothing is scored, and the cell is the controller's most probable choice on one edge after the other.

    Where a node keeps some of its edges, the space's rule on log p with the noise of the draw says which; the others
    then count as ``none``.
    """

    name = "enas"
    paper = "Pham, Guan, Zoph, Le & Dean: ENAS. ICML 2018, arXiv:1802.03268"
    summary = "LSTM controller trained by REINFORCE on one-shot accuracy; the best of the cells it draws"
    group = "weight-sharing"

    hidden: int = Field(32, ge=1, description="units of each of the two LSTM layers")
    temperature: float = Field(5.0, gt=0, description="the logits are divided by it")
    tanh_constant: float = Field(2.5, gt=0, description="the logits are then kept within ± this, by tanh")
    entropy_weight: float = Field(
        1e-4, ge=0, description="weight of the entropy (nats) in the reward; accuracy: 0 to 1"
    )
    baseline_decay: float = Field(0.99, ge=0, lt=1, description="of the moving average of accuracies")
    eta: float = Field(1e-3, gt=0, description="learning rate of the controller (Adam without momentum)")
    candidates: int = Field(100, ge=1, description="cells drawn after the last epoch, of which the best is the result")

    def initial_alphas(self, space: SearchSpace, generator: torch.Generator) -> dict[str, Tensor]:
        """θ ~ U(-0.1, 0.1) as in the paper, and the moving average: (weighted sum of accuracies, sum of weights)."""
        h, operations = self.hidden, len(space.operations)
        shapes = {"start": (h,), "embedding": (operations, h), "output": (operations, h)}
        for layer in range(LAYERS):
            shapes |= {f"lstm_{layer}": (4 * h, 2 * h), f"bias_{layer}": (4 * h,)}
        theta = {name: 0.2 * torch.rand(shape, generator=generator) - 0.1 for name, shape in shapes.items()}
        return {**theta, "baseline": torch.zeros(2)}

    def alpha_optimizer(self, alphas: list[nn.Parameter], default: torch.optim.Optimizer) -> torch.optim.Optimizer:
        return torch.optim.Adam(alphas, lr=self.eta, betas=(0.0, 0.999), eps=1e-3)

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture.of(self.draw(state, state.rng), len(state.space.operations))

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        mixture = self.mixture(state)
        assert mixture.selected is not None
        with torch.no_grad():
            forward = state.forward(valid, mixture)
        accuracy = float(forward.correct) / len(valid.labels)
        state.update_alpha(self.reinforce_loss(state, mixture.selected, accuracy))
        with torch.no_grad():
            average = state.alphas["baseline"]
            average.lerp_(average.new_tensor([accuracy, 1.0]), 1 - self.baseline_decay)
        return forward

    def reinforce_loss(self, state: SearchState, cell: Architecture, accuracy: float) -> Tensor:
        """-log p(cell) · (reward - baseline); the baseline of the first cell is its own accuracy."""
        _, log_p = self.unroll(state, lambda edge, _: cell[edge])
        entropy = -(log_p.exp() * log_p).sum().detach()
        total, weight = state.alphas["baseline"].tolist()
        advantage = accuracy + self.entropy_weight * entropy - (total / weight if weight else accuracy)
        return -log_p[range(len(cell)), list(cell)].sum() * advantage

    def unroll(self, state: SearchState, choose: Callable[[int, Tensor], int]) -> tuple[Architecture, Tensor]:
        """One run of the controller: the cell, and log p (edges, operations) of each edge given the edges before it.

        ``choose`` is told an edge and the log p of its operations, and says which one is taken.
        """
        theta = state.alphas
        layers = [(torch.zeros_like(theta["start"]), torch.zeros_like(theta["start"])) for _ in range(LAYERS)]
        x: Tensor = theta["start"]
        cell, rows = [], []
        for edge in range(len(state.space.edges)):
            for layer in range(LAYERS):
                layers[layer] = lstm_step(x, *layers[layer], theta[f"lstm_{layer}"], theta[f"bias_{layer}"])
                x = layers[layer][0]
            logits = self.tanh_constant * torch.tanh(theta["output"] @ x / self.temperature)
            rows.append(logits.log_softmax(dim=0))
            cell.append(choose(edge, rows[-1]))
            x = theta["embedding"][cell[-1]]
        return tuple(cell), torch.stack(rows)

    @torch.no_grad()
    def draw(self, state: SearchState, rng: torch.Generator) -> Architecture:
        """A cell, each operation with its probability: the largest log p with Gumbel noise is taken."""
        scores: list[Tensor] = []

        def choose(_: int, log_p: Tensor) -> int:
            scores.append(log_p + gumbel(log_p.shape, rng).to(log_p))
            return int(scores[-1].argmax())

        self.unroll(state, choose)
        return state.space.discretize(torch.stack(scores))

    @torch.no_grad()
    def derive(self, state: SearchState) -> Architecture:
        if not state.in_last_epoch:
            return state.space.discretize(self.unroll(state, lambda _, log_p: int(log_p.argmax()))[1])
        rng = state.fork_rng()
        return state.best_by_validation([self.draw(state, rng) for _ in range(self.candidates)])


def lstm_step(x: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The next hidden state and cell state (units,) of an LSTM layer without peepholes.

    Args:
        x: input, (units,).
        h: hidden state, (units,).
        c: cell state, (units,).
        weight: (4 · units, 2 · units) of (x, h): input gate, forget gate, candidate, output gate.
        bias: (4 · units,).
    """
    i, f, g, o = (weight @ torch.cat([x, h]) + bias).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
