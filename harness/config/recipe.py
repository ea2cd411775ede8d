"""Recipes: how the discrete network of one cell is trained from scratch, as one object with a hash.

A recipe file is complete: no field has a default here. Accuracies of different hashes are never joined together.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.config.protocol import Pixels
from harness.config.settings import (
    Named,
    Overrides,
    Section,
    changed,
    hash_of,
    pairs_of,
    read_settings,
    shipped,
    validated,
)


class Network(Section):
    """The macro-architecture around the cell."""

    channels: int = Field(ge=1, description="C, width of the first stage")
    cells: int = Field(ge=1, description="N, cells per stage")


class Optimization(Section):
    """SGD on the cross-entropy; the learning rate falls by a cosine, epoch by epoch."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    learning_rate_min: float = Field(ge=0, description="at the end of the cosine")
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: float = Field(ge=0, description="of every parameter")
    label_smoothing: float = Field(ge=0, lt=1, description="of the training loss; 0: none")
    precision: Literal["float32", "bfloat16"] = Field(
        description="bfloat16: forward passes in mixed precision on a GPU; a CPU always computes in float32"
    )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Optimization:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Recipe(Named):
    """A named, versioned way to train a network, on all training images of a data set."""

    network: Network
    data: Pixels
    training: Optimization

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with any setting, and not with name, version or description."""
        return hash_of(self)

    @property
    def title(self) -> str:
        """Name, version and hash, for print."""
        return f"{self.name} v{self.version} ({self.hash})"


def names() -> list[str]:
    """The recipes that come with the harness."""
    return shipped("recipe")


def load_recipe(name: str, overrides: Overrides = ()) -> Recipe:
    """A recipe by name, or from a YAML file, with ``section.field=value`` overrides applied.

    Raises:
        HarnessError: unknown name or field, malformed file, or a value out of range; the valid ones are listed.
    """
    recipe = validated(Recipe, "recipe", name, read_settings("recipe", name))
    for key, value in pairs_of(overrides):
        recipe = validated(Recipe, "recipe", name, changed(recipe, key, value))
    return recipe
