"""SNAS: stochastic neural architecture search (Xie, Zheng, Liu & Lin, ICLR 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.methods.base import Batch, Forward, SearchState, WeightSharingMethod, gumbel, linear
from harness.spaces.base import Mixture, SearchSpace


class SNAS(WeightSharingMethod):
    """Every edge mixes all operations by one sample of the concrete distribution, softmax((log α + G) / λ) (eq. 6).

    The log α of the paper is α here. Single-level: one batch, one backward pass, one step of both w and α. Only the
    search-train half is used.
    """

    name: ClassVar[str] = "snas"
    paper = "Xie, Zheng, Liu & Lin: SNAS. ICLR 2019, arXiv:1812.09926"
    summary = "concrete relaxation, w and α trained together on the training loss (single-level)"
    bilevel: ClassVar[bool] = False

    lambda_max: float = Field(1.0, gt=0, description="λ, the softmax temperature, in the first epoch")
    lambda_min: float = Field(0.03, gt=0, description="λ in the last epoch; linear between")
    alpha_mean: float = Field(1.0, description="mean of the initial log α (the authors' code: 1)")
    alpha_sd: float = Field(0.01, ge=0, description="standard deviation of the initial log α (the authors' code: 0.01)")
    optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="optimizer of α. adam: the protocol's; sgd: plain SGD, as in the authors' code on one GPU"
    )
    eta: float = Field(3e-4, gt=0, description="learning rate of α where optimizer is sgd")

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        noise = torch.randn(len(space.edges), len(space.operations), generator=rng)
        return {"alpha": self.alpha_mean + self.alpha_sd * noise}

    def alpha_optimizer(self, alphas: list[nn.Parameter], default: torch.optim.Optimizer) -> torch.optim.Optimizer:
        return torch.optim.SGD(alphas, lr=self.eta) if self.optimizer == "sgd" else default

    def mixture(self, state: SearchState) -> Mixture:
        temperature = linear(self.lambda_max, self.lambda_min, state.epoch, state.epochs)
        noise = gumbel(state.alpha.shape, state.rng).to(state.alpha)
        return Mixture(((state.alpha + noise) / temperature).softmax(dim=1))

    def weight_step(self, state: SearchState, train: Batch) -> Forward:
        if self.bilevel:
            return super().weight_step(state, train)
        forward = state.forward(train, self.mixture(state))
        state.update_jointly(forward.loss)
        return forward


class BilevelSNAS(SNAS):
    """The variant behind the published NAS-Bench-201 numbers of "SNAS" (DrNAS's 201-space code).

    α learns from validation batches in steps of its own, starts near zero, and the temperature falls from 10 to 1.
    """

    name = "snas-bilevel"
    paper = "Xie et al., arXiv:1812.09926, as run by Chen et al.: DrNAS. ICLR 2021, arXiv:2006.10355"
    summary = "concrete relaxation, α trained on the validation loss, temperature 10 to 1"
    bilevel = True

    lambda_max: float = Field(10.0, gt=0, description="the softmax temperature τ in the first epoch")
    lambda_min: float = Field(1.0, gt=0, description="τ in the last epoch; linear between")
    alpha_mean: float = Field(0.0, description="mean of the initial α")
    alpha_sd: float = Field(1e-3, ge=0, description="standard deviation of the initial α")
