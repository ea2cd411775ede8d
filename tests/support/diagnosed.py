"""Diagnosed searches, for tests: the settings, and the rows that they give."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.search.diagnostics import alpha_gradient
from harness.search.weight_sharing import WeightSharingSearch
from tests.support.small_search import (
    TIMING,
    quiet,
)

ON = [
    "diagnostics.gap=true",
    "diagnostics.hessian=true",
    "diagnostics.every=2",
    "diagnostics.ranking_cells=3",
    "diagnostics.perturbation=true",
    "diagnostics.images=null",
]
CHEAP = [*ON, "diagnostics.hessian=false"]
RECORDED = {"mixture_accuracy", "derived_accuracy", "hessian_eigenvalue"}
APART = {*RECORDED, *TIMING, "diagnostics_seconds"}


def epochs(search: WeightSharingSearch, count: int = 3) -> list[dict[str, Any]]:
    return [dict(search.run_epoch(epoch, quiet)) for epoch in range(count)]


def hessian(loss: Tensor, alpha: Tensor) -> Tensor:
    """The Hessian of ``loss`` with respect to α (edges, operations): (n, n), where n = edges · operations."""
    gradient = alpha_gradient(loss, alpha)
    directions = torch.eye(alpha.numel(), dtype=alpha.dtype).view(-1, *alpha.shape)
    rows = [torch.autograd.grad(gradient, alpha, direction, retain_graph=True)[0].flatten() for direction in directions]
    return torch.stack(rows)
