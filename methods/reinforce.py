"""REINFORCE (Williams, 1992) with a categorical policy per edge, as NAS-Bench-201 runs it (Dong & Yang, ICLR 2020)."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn

from harness.methods.base import QueryMethod, QueryState, gumbel
from harness.methods.controller import MovingAverage
from harness.spaces.base import Architecture, SearchSpace


class REINFORCE(QueryMethod):
    """Sample a cell from softmax(θ), edge by edge; Adam descends -(reward - baseline) log p(cell).

    A sample is the space's rule on θ with Gumbel noise. Where a node keeps some of its edges, those it drops count as
    ``none``.

    The reward is the validation accuracy (%). As in the released code, the baseline takes in a reward before it is
    subtracted from it, which scales the gradient and leaves its direction, and the result is the best cell seen, not
    the most probable one. θ starts at zero, not at the released code's noise of 0.001.
    """

    name = "reinforce"
    paper = "Williams 1992, as run by Dong & Yang: NAS-Bench-201. ICLR 2020, arXiv:2001.00326"
    summary = "policy gradient: one categorical distribution per edge, rewarded with validation accuracy; no supernet"

    learning_rate: float = Field(
        0.01,
        gt=0,
        description="learning rate of Adam on θ (NATS-Bench's command: 0.01; NAS-Bench-201's: 0.5, which soon asks for "
        "one cell only)",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="decay of the baseline, the moving average of the rewards")
    epochs_per_cell: int = Field(
        1,
        ge=1,
        description="training epochs of each proposed cell before it is validated; few, since a policy needs many "
        "cells",
    )

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        theta = nn.Parameter(torch.zeros(len(space.edges), len(space.operations), dtype=torch.float64))
        adam = torch.optim.Adam([theta], lr=self.learning_rate)
        return {"theta": theta, "optimizer": adam, "baseline": MovingAverage(self.momentum)}

    def ask(self, state: QueryState) -> Architecture:
        theta = state.memory["theta"].detach()
        return state.space.discretize(theta + gumbel(theta.shape, state.rng))

    def tell(self, state: QueryState) -> None:
        cell, reward = state.history[-1]
        theta, optimizer, baseline = state.memory["theta"], state.memory["optimizer"], state.memory["baseline"]
        baseline.add(reward)
        log_p = theta.log_softmax(dim=1)[range(len(cell)), list(cell)].sum()
        optimizer.zero_grad()
        (-(reward - baseline.mean(otherwise=reward)) * log_p).backward()
        optimizer.step()
