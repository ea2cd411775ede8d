"""PC-DARTS: partial channel connections for memory-efficient architecture search (Xu et al., ICLR 2020)."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.spaces.base import Architecture, Mixture, SearchSpace


class PCDARTS(WeightSharingMethod):
    """1/K of the channels pass through the mixed operation, the rest bypass it (eq. 2); the channels are shuffled.

    Edge normalisation weights the incoming edges of each node by softmax(β) (eq. 4). A node that keeps some of its
    edges compares softmax(β) · softmax(α). In NAS-Bench-201 every edge stays, so that β shapes the gradient alone.
    """

    name = "pc-darts"
    paper = "Xu, Xie, Zhang, Chen, Qi, Tian & Xiong: PC-DARTS. ICLR 2020, arXiv:1907.05737"
    summary = "DARTS on 1/K of the channels, with edge normalisation and a warm-up without α steps"

    K: int = Field(
        4,
        ge=1,
        description="divisor of the channels: 1/K of them are searched; K must divide every width of the supernet",
    )
    edge_normalization: bool = Field(True, description="weight the incoming edges of a node by softmax(β)")
    warmup: float = Field(
        0.3, ge=0, lt=1, description="fraction of the epochs before α and β begin to learn (the paper: 15 of 50)"
    )

    def supernet_options(self) -> dict[str, Any]:
        return {"partial_channels": self.K}

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        alphas = super().initial_alphas(space, rng)
        if self.edge_normalization:
            alphas["beta"] = 1e-3 * torch.randn(len(space.edges), generator=rng)
        return alphas

    def mixture(self, state: SearchState) -> Mixture:
        weights = state.alpha.softmax(dim=1)
        if not self.edge_normalization:
            return Mixture(weights)
        return Mixture(weights, edge_weights=softmax_over_incoming_edges(state.alphas["beta"], state.space))

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        if state.epoch < round(self.warmup * state.epochs):
            return None
        return super().alpha_step(state, train, valid)

    def derive(self, state: SearchState) -> Architecture:
        mixture = self.mixture(state)
        factors = 1.0 if mixture.edge_weights is None else mixture.edge_weights[:, None]
        return state.space.discretize(state.alpha.detach(), (mixture.weights * factors).detach())


def softmax_over_incoming_edges(beta: Tensor, space: SearchSpace) -> Tensor:
    """softmax of β (edges,) within each group of edges that end in the same node."""
    targets = torch.tensor([target for _, target in space.edges], device=beta.device)
    same_target = targets[:, None] == targets[None, :]
    return beta.expand(len(beta), -1).masked_fill(~same_target, -torch.inf).softmax(dim=1).diagonal()
