"""GDAS: searching for a robust neural architecture in four GPU hours (Dong & Yang, CVPR 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch.nn.functional import one_hot

from harness.methods.base import SearchState, WeightSharingMethod, gumbel, linear
from harness.spaces.base import Mixture


class GDAS(WeightSharingMethod):
    """Every edge computes one operation: forward the argmax of α + Gumbel noise, backward its softmax at τ (eq. 3, 4).

    The released code adds the (zero) weights h_i of the operations that were not selected to the edge's output. That
    changes no value but gives α_i a gradient, as if the operation's output were all ones. Published NAS-Bench-201
    numbers include it.
    """

    name = "gdas"
    paper = "Dong & Yang: GDAS. CVPR 2019, arXiv:1910.04465"
    summary = "Gumbel-argmax: one sampled operation per edge, straight-through gradient"

    tau_max: float = Field(10.0, gt=0, description="τ, the softmax temperature, in the first epoch")
    tau_min: float = Field(0.1, gt=0, description="τ in the last epoch; linear between")
    nonselected_grad: Literal["ones", "none"] = Field(
        "ones", description="gradient of α of the operations not selected: as if their output were ones, or none"
    )

    def mixture(self, state: SearchState) -> Mixture:
        tau = linear(self.tau_max, self.tau_min, state.epoch, state.epochs)
        noise = gumbel(state.alpha.shape, state.rng).to(state.alpha)
        p = ((state.alpha.log_softmax(dim=1) + noise) / tau).softmax(dim=1)
        selected = p.argmax(dim=1)
        hard = one_hot(selected, p.shape[1]).to(p)
        h = hard - p.detach() + p
        bias = ((1 - hard) * h).sum(dim=1) if self.nonselected_grad == "ones" else None
        return Mixture(h, selected=tuple(selected.tolist()), edge_bias=bias)
