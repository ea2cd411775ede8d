"""REINFORCE (Williams, 1992) with a categorical policy per edge, as NAS-Bench-201 runs it (Dong & Yang, ICLR 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from harness.methods.base import Evaluation, QueryMethod, gumbel
from harness.spaces.base import Architecture, SearchSpace


class REINFORCE(QueryMethod):
    """Sample a cell from softmax(θ), edge by edge; Adam descends -(reward - baseline) log p(cell).

    The sample is the space's rule on θ with Gumbel noise, which is the same where all edges stay; where a node keeps
    some of them, those it drops count as ``none``.

    The reward is the validation accuracy (%). As in the released code, the baseline takes in a reward before it is
    subtracted from it, which scales the gradient and leaves its direction, and the result is the best cell seen, not
    the most probable one. θ starts at zero, not at the released code's noise of 0.001, so that the history alone
    determines it.
    """

    name = "reinforce"
    paper = "Williams 1992, as run by Dong & Yang: NAS-Bench-201. ICLR 2020, arXiv:2001.00326"
    summary = "policy gradient: one categorical distribution per edge, rewarded with validation accuracy; no supernet"

    learning_rate: float = Field(
        0.01, gt=0, description="of Adam on θ (NATS-Bench's command: 0.01; NAS-Bench-201's: 0.5, soon at one cell only)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of the baseline, the moving average of the rewards")
    epochs_per_cell: int = Field(
        1, ge=1, description="epochs each proposed cell is trained before it is validated; a policy needs many cells"
    )

    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        theta = torch.from_numpy(self.policy(space, history))
        return space.discretize(theta + gumbel(theta.shape, rng))

    def policy(self, space: SearchSpace, history: Sequence[Evaluation]) -> npt.NDArray[np.float64]:
        """θ: (edges, operations), the logits after a step of Adam (β = (0.9, 0.999), ε = 1e-8) per evaluation."""
        theta, m, v = np.zeros((3, len(space.edges), len(space.operations)))
        one_hot = np.eye(len(space.operations))
        total = weight = 0.0
        for t, (cell, reward) in enumerate(history, start=1):
            total = self.momentum * total + (1 - self.momentum) * reward
            weight = self.momentum * weight + (1 - self.momentum)
            gradient = (reward - total / weight) * (softmax(theta) - one_hot[list(cell)])
            m = 0.9 * m + 0.1 * gradient
            v = 0.999 * v + 0.001 * gradient**2
            theta -= self.learning_rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return theta


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probabilities (edges, operations) that logits stand for."""
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))
