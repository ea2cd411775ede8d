"""A method of a user's own, in a module that no package installs."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Mixture

SHIFT = 0.5


def sharpened(alpha: Tensor, power: int) -> Tensor:
    """The logits, shifted and scaled."""
    return (alpha + SHIFT) * power


class Sharp(WeightSharingMethod):
    """The softmax of scaled logits."""

    name = "sharp"
    paper = "none: a test's"
    summary = "softmax of scaled logits"

    power: int = Field(2, ge=1, description="factor of the logits")

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(sharpened(state.alpha, self.power).softmax(dim=1))
