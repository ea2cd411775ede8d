"""DARTS-: robustly stepping out of performance collapse without indicators (Chu et al., ICLR 2021)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import SearchState, WeightSharingMethod, linear
from harness.spaces.base import Mixture, SearchSpace, SpaceError

SKIP = "skip_connect"


class DARTSMinus(WeightSharingMethod):
    """DARTS with an auxiliary skip connection on every edge, weighted by β, which decays to 0.

    The auxiliary skip connection computes what the operation ``skip_connect`` computes, so β is added to the weight of
    that operation. It has no α and no part in the derived cell.
    """

    name = "darts-minus"
    paper = "Chu, Wang, Zhang, Lu, Wei & Yan: DARTS-. ICLR 2021, arXiv:2009.01027"
    summary = "DARTS with an auxiliary skip connection on every edge that decays to nothing"

    beta: float = Field(1.0, ge=0, description="β, weight of the auxiliary skip connection, in the first epoch")
    beta_end: float = Field(0.0, ge=0, description="β in the last epoch; linear between")

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        if SKIP not in space.operations:
            raise SpaceError(f"this method needs the operation {SKIP}, which {space.name} lacks; choose another space")
        return super().initial_alphas(space, rng)

    def mixture(self, state: SearchState) -> Mixture:
        beta = linear(self.beta, self.beta_end, state.epoch, state.epochs)
        auxiliary = torch.zeros_like(state.alpha)
        auxiliary[:, state.space.operations.index(SKIP)] = beta
        return Mixture(state.alpha.softmax(dim=1) + auxiliary)
