"""FairDARTS: eliminating unfair advantages in differentiable architecture search (Chu, Zhou, Zhang & Li, ECCV 2020)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.spaces.base import Architecture, Mixture, SearchSpace


class FairDARTS(WeightSharingMethod):
    """Every operation has an independent weight σ(α), which the zero-one loss drives towards 0 or 1.

    As in the authors' search, ``none`` takes no part where the space has it: its weight is 0 and it is never derived.
    The paper keeps, for each node, at most two of the operations above a threshold; here the cell has the operation
    with the largest weight on every edge, or on the two edges of a node that the space keeps, without a threshold.
    """

    name = "fair-darts"
    paper = "Chu, Zhou, Zhang & Li: Fair DARTS. ECCV 2020, arXiv:1911.12126"
    summary = "a sigmoid for each operation instead of the softmax, with the zero-one loss"

    w01: float = Field(10.0, ge=0, description="weight of the zero-one loss in the loss of α")
    zero_one_loss: Literal["l2", "l1"] = Field(
        "l2",
        description="zero-one loss. l2: -mean (σ(α) - 0.5)²; l1: -mean |σ(α) - 0.5|; over all operations but none",
    )

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(self.operation_weights(state))

    def operation_weights(self, state: SearchState) -> Tensor:
        return state.alpha.sigmoid() * eligible(state.space).to(state.alpha)

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        forward = state.forward(valid, self.mixture(state))
        distance = state.alpha.sigmoid()[:, eligible(state.space).to(state.alpha.device)] - 0.5
        decided = (distance**2 if self.zero_one_loss == "l2" else distance.abs()).mean()
        state.update_alpha(forward.loss - self.w01 * decided)
        return forward

    def derive(self, state: SearchState) -> Architecture:
        alpha = state.alpha.detach()
        return state.space.discretize(alpha.masked_fill(~eligible(state.space), -torch.inf), alpha.sigmoid())


def eligible(space: SearchSpace) -> Tensor:
    """True for the operations that take part, all but ``none``; (operations,), bool."""
    return torch.tensor([operation != "none" for operation in space.operations])
