"""GAEA: geometry-aware gradient algorithms for NAS (Li, Khodak, Balcan & Talwalkar, ICLR 2021)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod
from harness.spaces.base import SearchSpace


class GAEA(WeightSharingMethod):
    """The mixture weights θ of an edge lie on the simplex and descend by exponentiated gradient (algorithm 1).

    θ ← θ ⊙ exp(-η ∇_θ L), divided by its sum; θ starts uniform. No weight falls below ``floor`` (the authors' code
    applies it before it divides, which is the same for steps as small as theirs). α is log θ, so that softmax(α) = θ.
    The protocol's optimizer of α is not used. This is GAEA applied to DARTS. The published NAS-Bench-201 runs left out
    ``none`` and widened the supernet to 24 channels; here ``none`` stays in the space, and the width is the protocol's.
    """

    name: ClassVar[str] = "gaea"
    paper: ClassVar[str] = "Li, Khodak, Balcan & Talwalkar: GAEA. ICLR 2021, arXiv:2004.07802"
    summary: ClassVar[str] = "DARTS whose mixture weights learn by exponentiated gradient on the simplex"

    eta: float = Field(0.1, gt=0, description="η, step size of the exponentiated gradient")
    floor: float = Field(1e-5, gt=0, lt=1, description="smallest weight of an operation, from which it can recover")

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        operations = len(space.operations)
        return {"alpha": torch.full((len(space.edges), operations), -math.log(operations))}

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        theta = self.mixture(state)
        forward = state.forward(valid, theta)
        self.exponentiate(state, *state.gradients(forward.loss, [theta.weights]))
        return forward

    def weight_step(self, state: SearchState, train: Batch) -> Forward:
        if self.bilevel:
            return super().weight_step(state, train)
        theta = self.mixture(state)
        forward = state.forward(train, theta)
        gradient, *weight_gradients = state.gradients(forward.loss, [theta.weights, *state.weights])
        self.exponentiate(state, gradient)
        state.step_weights(weight_gradients)
        return forward

    @torch.no_grad()
    def exponentiate(self, state: SearchState, gradient: Tensor) -> None:
        """Take one step of θ down ``gradient``, ∇_θ L (edges, operations), on log θ, where it cannot overflow."""
        log_theta = (state.alpha - self.eta * gradient).log_softmax(dim=1)
        state.alpha.copy_(log_theta.clamp(min=math.log(self.floor)).log_softmax(dim=1))


class SingleLevelGAEA(GAEA):
    """GAEA with ERM: one batch, one backward pass, one step of both w and θ, all on the training loss."""

    name = "gaea-erm"
    summary = "GAEA on the training loss alone, w and θ trained together (single-level)"
    bilevel = False
