"""ENAS: efficient neural architecture search via parameter sharing (Pham, Guan, Zoph, Le & Dean, ICML 2018)."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.methods.controller import Controller, MovingAverage
from harness.spaces.base import Architecture, Mixture, SearchSpace

LAYERS = 2
"""LSTM layers of the controller."""


class ENAS(WeightSharingMethod):
    """An LSTM controller draws cells edge by edge and learns by REINFORCE; w learns on the cells it draws.

    There is no α: the controller's parameters θ descend -log p(cell) · (reward - baseline). The reward is the accuracy
    of a drawn cell on a validation batch, with the shared weights, plus the entropy of the draw; the baseline is the
    moving average of the accuracies before. One cell is drawn and one step of θ made for each validation batch, between
    the weight steps; the authors alternate whole epochs of both.

    The result is the best of ``candidates`` cells drawn from the controller by one-shot accuracy, all scored on the
    same whole search-validation half; the released NAS-Bench-201 code scores each on another mini-batch. Before the
    last epoch nothing is scored, and the cell is the controller's most probable choice on one edge after the other.

    Where a node keeps some of its edges, the space's rule on log p with the noise of the draw says which; the others
    count as ``none``.
    """

    name = "enas"
    paper = "Pham, Guan, Zoph, Le & Dean: ENAS. ICML 2018, arXiv:1802.03268"
    summary = "LSTM controller trained by REINFORCE on one-shot accuracy; the best of the cells it draws"
    group = "weight-sharing"

    hidden: int = Field(32, ge=1, description="units of each of the two LSTM layers")
    temperature: float = Field(5.0, gt=0, description="temperature that divides the logits")
    tanh_constant: float = Field(2.5, gt=0, description="bound of the logits, ± this, which tanh keeps them within")
    entropy_weight: float = Field(
        1e-4, ge=0, description="weight of the entropy (nats) in the reward, beside the accuracy (0 to 1)"
    )
    baseline_decay: float = Field(0.99, ge=0, lt=1, description="decay of the moving average of accuracies")
    eta: float = Field(1e-3, gt=0, description="learning rate of the controller (Adam without momentum)")
    candidates: int = Field(100, ge=1, description="cells drawn after the last epoch, of which the best is the result")

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        return {}

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        controller = ENASController(self, space, rng)
        adam = torch.optim.Adam(controller.parameters(), lr=self.eta, betas=(0.0, 0.999), eps=1e-3)
        return {"controller": controller, "optimizer": adam, "baseline": MovingAverage(self.baseline_decay)}

    def mixture(self, state: SearchState) -> Mixture:
        controller: Controller = state.memory["controller"]
        return Mixture.of(controller.draw(state.space, state.rng), len(state.space.operations))

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        mixture = self.mixture(state)
        assert mixture.selected is not None
        with torch.no_grad():
            forward = state.forward(valid, mixture)
        accuracy = float(forward.correct) / len(valid.labels)
        state.memory["optimizer"].zero_grad()
        self.reinforce_loss(state, mixture.selected, accuracy).backward()
        state.memory["optimizer"].step()
        state.memory["baseline"].add(accuracy)
        return forward

    def reinforce_loss(self, state: SearchState, cell: Architecture, accuracy: float) -> Tensor:
        """-log p(cell) · (reward - baseline); the baseline of the first cell is its own accuracy."""
        log_p: Tensor = state.memory["controller"](torch.tensor([cell]))[0]
        entropy = -(log_p.exp() * log_p).sum().detach()
        advantage = accuracy + self.entropy_weight * entropy - state.memory["baseline"].mean(otherwise=accuracy)
        loss: Tensor = -log_p[range(len(cell)), list(cell)].sum() * advantage
        return loss

    def derive(self, state: SearchState) -> Architecture:
        controller: Controller = state.memory["controller"]
        if not state.in_last_epoch:
            return controller.most_probable(state.space)
        rng = state.fork_rng()
        return state.best_by_validation([controller.draw(state.space, rng) for _ in range(self.candidates)])


class ENASController(Controller):
    """Two LSTM layers, and one linear layer without bias for all edges: c · tanh(logits / temperature)."""

    def __init__(self, method: ENAS, space: SearchSpace, rng: torch.Generator) -> None:
        operations = len(space.operations)
        super().__init__(len(space.edges), operations, method.hidden, LAYERS)
        self.output = nn.utils.skip_init(nn.Linear, method.hidden, operations, bias=False)
        self.temperature, self.tanh_constant = method.temperature, method.tanh_constant
        self.initialize(rng)

    def logits(self, edge: int, hidden: Tensor) -> Tensor:
        return self.tanh_constant * torch.tanh(self.output(hidden) / self.temperature)
