"""NASNet's search: a recurrent controller trained by proximal policy optimisation (Zoph et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.methods.base import Evaluation, QueryMethod, QueryState
from harness.methods.controller import Controller, MovingAverage
from harness.spaces.base import Architecture, SearchSpace


class NASNet(QueryMethod):
    """An LSTM draws a cell edge by edge; PPO raises the probability of the edges' choices in cells above the baseline.

    The paper's controller makes the decisions of NASNet's cells; here there is one decision per edge, each with a
    softmax of its own. The reward is the validation accuracy (0 to 1); the baseline is the moving average of the
    rewards before. After every ``batch`` cells follow ``updates`` steps of Adam on PPO's clipped objective (Schulman et
    al., 2017, equation 7), in which each decision has the whole reward; the paper gives neither these two numbers nor
    the range of clipping. The result is the best cell seen. Where a node keeps some of its edges, the space's rule on
    log p with the noise of the draw says which; the others count as ``none``.

    With the published learning rate the controller needs thousands of cells (the paper's search evaluated some 20,000)
    and is little but random search over a few hundred; 0.01 suits such budgets.
    """

    name = "nasnet"
    paper = "Zoph, Vasudevan, Shlens & Le: Learning transferable architectures. CVPR 2018, arXiv:1707.07012"
    summary = "LSTM controller trained by PPO on the validation accuracy of the cells it draws; no supernet"

    learning_rate: float = Field(0.00035, gt=0, description="learning rate of Adam on the controller")
    hidden: int = Field(100, ge=1, description="units of the controller's LSTM layer and of its embeddings")
    entropy_weight: float = Field(1e-5, ge=0, description="weight of the entropy (nats a decision) in the objective")
    baseline_decay: float = Field(0.95, ge=0, lt=1, description="decay of the moving average of rewards")
    clip: float = Field(
        0.2, gt=0, lt=1, description="ε of PPO: ratios of probabilities beyond 1 ± ε change the objective no further"
    )
    batch: int = Field(20, ge=1, description="cells drawn from one controller before it is updated")
    updates: int = Field(10, ge=1, description="steps of Adam on each batch of cells")
    epochs_per_cell: int = Field(
        1,
        ge=1,
        description="training epochs of each proposed cell before it is validated; few, since a controller needs many "
        "cells",
    )

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        controller = NASNetController(len(space.edges), len(space.operations), self.hidden, rng)
        adam = torch.optim.Adam(controller.parameters(), lr=self.learning_rate)
        return {"controller": controller, "optimizer": adam, "baseline": MovingAverage(self.baseline_decay)}

    def ask(self, state: QueryState) -> Architecture:
        controller: Controller = state.memory["controller"]
        with one_thread():
            return controller.draw(state.space, state.rng)

    def tell(self, state: QueryState) -> None:
        if len(state.history) % self.batch == 0:
            with one_thread():
                self.learn(state.memory, state.history[-self.batch :])

    def learn(self, memory: dict[str, Any], evaluations: Sequence[Evaluation]) -> None:
        """Make the updates for one batch of cells, which were drawn from the controller as it is."""
        controller, optimizer, baseline = memory["controller"], memory["optimizer"], memory["baseline"]
        advantages = []
        for evaluation in evaluations:
            reward = evaluation.valid_accuracy / 100
            advantages.append(reward - baseline.mean(otherwise=reward))
            baseline.add(reward)
        chosen, advantage = torch.tensor([cell for cell, _ in evaluations]), torch.tensor(advantages)
        with torch.no_grad():
            before = controller(chosen).gather(2, chosen[:, :, None])[:, :, 0]
        for _ in range(self.updates):
            optimizer.zero_grad()
            (-self.objective(controller(chosen), before, chosen, advantage)).backward()
            optimizer.step()

    def objective(self, log_p: Tensor, before: Tensor, chosen: Tensor, advantage: Tensor) -> Tensor:
        """PPO's clipped objective and the entropy, means over cells and decisions.

        Args:
            log_p: (cells, decisions, operations), of the controller that learns.
            before: (cells, decisions), log p of the choices when they were made.
            chosen: (cells, decisions), operations.
            advantage: (cells,), reward less baseline.
        """
        ratio = (log_p.gather(2, chosen[:, :, None])[:, :, 0] - before).exp()
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        surrogate = torch.minimum(ratio * advantage[:, None], clipped * advantage[:, None])
        entropy = -(log_p.exp() * log_p).sum(dim=2)
        return surrogate.mean() + self.entropy_weight * entropy.mean()


class NASNetController(Controller):
    """One LSTM layer, and one linear layer for each edge."""

    def __init__(self, edges: int, operations: int, hidden: int, rng: torch.Generator) -> None:
        super().__init__(edges, operations, hidden, layers=1)
        self.heads = nn.ModuleList(nn.utils.skip_init(nn.Linear, hidden, operations) for _ in range(edges))
        self.initialize(rng)

    def logits(self, edge: int, hidden: Tensor) -> Tensor:
        logits: Tensor = self.heads[edge](hidden)
        return logits


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block, PyTorch computes on one thread: on small matrices more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
