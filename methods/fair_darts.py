"""FairDARTS: eliminating unfair advantages in differentiable architecture search (Chu, Zhou, Zhang & Li, ECCV 2020)."""

from __future__ import annotations

from typing import Literal

import torch
from harness.methods.base import GradientMethod
from harness.methods.search_state import Batch, Forward, Search
from harness.spaces.base import Architecture, Mixture, SearchSpace
from pydantic import Field
from torch import Tensor


class FairDARTS(GradientMethod):
    """Every operation has a weight of its own, σ(α), which the zero-one loss drives towards 0 or 1.

    As in the authors' search, ``none`` takes no part where the space has it: its weight is 0 and it is never derived.
    The paper then keeps at most two of the operations above a threshold for each node; here the cell has the operation
    with the largest weight on every edge, or on the two edges of a node that the space keeps, whatever its weight.
    """

    name = "fair-darts"
    paper = "Chu, Zhou, Zhang & Li: Fair DARTS. ECCV 2020, arXiv:1911.12126"
    summary = "a sigmoid for each operation in the place of the softmax, with the zero-one loss"

    w01: float = Field(10.0, ge=0, description="factor of the zero-one loss")
    zero_one_loss: Literal["l2", "l1"] = Field(
        "l2", description="l2: -mean (σ(α) - 0.5)²; l1: -mean |σ(α) - 0.5|; over all operations but none"
    )

    def mixture(self, search: Search) -> Mixture:
        return Mixture(self.operation_weights(search))

    def operation_weights(self, search: Search) -> Tensor:
        return search.alpha.sigmoid() * eligible(search.space).to(search.alpha)

    def alpha_step(self, search: Search, train: Batch, valid: Batch) -> Forward | None:
        forward = search.forward(valid, self.mixture(search))
        distance = search.alpha.sigmoid()[:, eligible(search.space).to(search.alpha.device)] - 0.5
        decided = (distance**2 if self.zero_one_loss == "l2" else distance.abs()).mean()
        search.update_alpha(forward.loss - self.w01 * decided)
        return forward

    def derive(self, search: Search) -> Architecture:
        alpha = search.alpha.detach()
        return search.space.discretise(alpha.masked_fill(~eligible(search.space), -torch.inf), alpha.sigmoid())


def eligible(space: SearchSpace) -> Tensor:
    """Which operations take part: all but ``none``; (operations,), bool."""
    return torch.tensor([operation != "none" for operation in space.operations])
