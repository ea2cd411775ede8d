"""Protocols: everything that is equal for all methods of a comparison, as one object with a hash.

A protocol file is complete but for what :class:`Protocol` says may be left out. Results of different hashes are never
ranked together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

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
from harness.errors import HarnessError
from harness.registry import get_plugin, methods

Order = Literal["alpha-first", "weights-first"]

PerMethod = BeforeValidator(lambda value: value if isinstance(value, dict) else {"default": value})
"""A single value is the default of every method."""


class Pixels(Section):
    """Size and augmentation of the images that a network sees."""

    image_size: int = Field(
        ge=4, multiple_of=4, description="pixels, halved twice; the data set's images are average-pooled down to it"
    )
    crop_padding: int = Field(ge=0, description="pixels of zero padding before the random crop; 0: no crop")
    flip: bool = Field(description="random horizontal flips")


class Data(Pixels):
    """The part of the training set that the search sees, and its split."""

    images: Annotated[int, Field(ge=2)] | None = Field(description="training images used in all; null: every one")
    split: Literal["random", "fixed", "halves"] = Field(
        description="search-train and search-validation halves: drawn by the seed, drawn once for all seeds, or "
        "first and last half in the data set's order"
    )


class SupernetSettings(Section):
    """The macro-architecture of the supernet."""

    channels: int = Field(ge=1, description="C, width of the first stage")
    cells: int = Field(ge=1, description="N, cells per stage")
    batch_norm: Literal["batch", "running"] = Field(
        description="statistics the cells normalise by when evaluated; in training always the batch's"
    )
    head_affine: bool = Field(description="affine parameters in the last batch normalisation")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="bfloat16: forward passes in mixed precision on a GPU; a CPU always computes in float32. "
        "May be left out: float32",
    )
    implementation: Literal["fused", "reference"] = Field(
        "fused",
        description="reference: the supernet in plain code, slower, for checks of the fast one; results differ in "
        "rounding alone, so the hash of the protocol stays the same. May be left out: fused",
    )


class Weights(Section):
    """SGD for the network weights w; the learning rate falls by a cosine, epoch by epoch."""

    learning_rate: float = Field(gt=0)
    learning_rate_min: float = Field(ge=0, description="at the end of the cosine")
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: float = Field(ge=0)
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(description="largest gradient norm of w; null: no clipping")


class Alpha(Section):
    """Adam for the architecture parameters α."""

    learning_rate: float = Field(gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    weight_decay: float = Field(ge=0)


class Schedule(Section):
    """Length of the search and order of its steps. A mapping gives methods their own value beside ``default``."""

    epochs: Annotated[dict[str, Annotated[int, Field(ge=1)]], PerMethod]
    batch_size: int = Field(ge=1)
    order: Annotated[dict[str, Order], PerMethod] = Field(description="which step of a bilevel method comes first")


class Diagnostics(Section):
    """Measurements beside a weight-sharing search. They change no result, no hash and no identity."""

    every: int = Field(ge=1, description="epochs from one measurement to the next; the last epoch always has one")
    gap: bool = Field(description="accuracy of the supernet's mixture and of the derived cell within it")
    hessian: bool = Field(description="largest eigenvalue of the Hessian of the validation loss with respect to α")
    ranking_cells: int = Field(
        ge=0, description="cells that the supernet ranks after the last epoch, the same for every run; 0: none"
    )
    perturbation: bool = Field(
        description="after the last epoch, what each operation of each edge is worth to the supernet's accuracy"
    )
    images: Annotated[int, Field(ge=2)] | None = Field(
        description="search-validation images, at most, of an accuracy above; null: every one"
    )


class Queries(Section):
    """The source of accuracies for query-based methods, and their budget."""

    answers: Literal["training", "table"] = Field(
        description="training: each cell is trained on the search-train half, at the cost of a bilevel search; "
        "table: the table's validation accuracy, within the budget below"
    )
    epochs: Annotated[int, Field(ge=1)] | None = Field(
        description="of the table's trainings whose validation accuracy is told; null: its full budget"
    )
    seconds: float = Field(gt=0, description="budget: simulated seconds, of the table's trainings")
    evaluations: Annotated[int, Field(ge=1)] | None = Field(
        description="budget: cells, in the place of seconds; null: seconds"
    )


BY_TRAINING = Queries(answers="training", epochs=None, seconds=20_000, evaluations=None)
NO_DIAGNOSTICS = Diagnostics(every=1, gap=False, hessian=False, ranking_cells=0, perturbation=False, images=None)


class Protocol(Named):
    """A named, versioned set of rules for a comparison.

    Two sections and two settings may be left out: a file without ``diagnostics`` measures none, without ``queries``
    cells are trained, without ``supernet.precision`` a search computes in float32, and without
    ``supernet.implementation`` by the fused supernet.
    """

    dataset: str = Field(description="data set to search on")
    data: Data
    supernet: SupernetSettings
    weights: Weights
    alpha: Alpha
    search: Schedule
    queries: Queries = BY_TRAINING
    diagnostics: Diagnostics = NO_DIAGNOSTICS

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with any setting that can change a result.

        Name, version, description and diagnostics cannot. The implementation of the supernet changes the last bits
        alone, so that both can be compared. Nor does the precision enter where it is float32, as it was before there
        was a setting.
        """
        apart = {"implementation"} | ({"precision"} if self.supernet.precision == "float32" else set())
        return hash_of(self, {"diagnostics": True, "supernet": apart})

    def epochs(self, method: str) -> int:
        """Number of epochs of a method."""
        return self.search.epochs.get(method, self.search.epochs["default"])

    def order(self, method: str) -> Order:
        """The step of a method that comes first."""
        return self.search.order.get(method, self.search.order["default"])


def stored_protocol(settings: dict[str, Any]) -> Protocol:
    """The protocol of a run's configuration; of an older run, without the diagnostics that there were not yet."""
    diagnostics = NO_DIAGNOSTICS.model_dump() | settings.get("diagnostics", {})
    return Protocol.model_validate({**settings, "diagnostics": diagnostics})


def names() -> list[str]:
    """The protocols that come with the harness."""
    return shipped("protocol")


def load_protocol(name: str, overrides: Overrides = ()) -> Protocol:
    """A protocol by name, or from a YAML file, with ``section.field=value`` overrides applied.

    Raises:
        HarnessError: unknown name or field, malformed file, or a value out of range; the valid ones are listed.
    """
    protocol = _checked(validated(Protocol, "protocol", name, read_settings("protocol", name)))
    for key, value in pairs_of(overrides):
        protocol = _checked(validated(Protocol, "protocol", name, changed(protocol, _canonical(key), value)))
    return protocol


def _canonical(key: str) -> str:
    """A setting's name, in which a method has its registered name."""
    section, _, method = key.rpartition(".")
    if section in {"search.epochs", "search.order"} and method != "default":
        return f"{section}.{get_plugin('method', method, methods()).name}"
    return key


def _checked(protocol: Protocol) -> Protocol:
    for mapping in (protocol.search.epochs, protocol.search.order):
        if "default" not in mapping:
            raise HarnessError(
                f"protocol {protocol.name}: a mapping in search.epochs or search.order needs a 'default'"
            )
    return protocol
