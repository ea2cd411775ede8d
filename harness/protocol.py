"""Protocols: everything that is equal for all methods of a comparison, as one object with a hash.

A protocol file is complete: no field has a default here. Results of different hashes are never ranked together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.catalogue import unknown
from harness.errors import HarnessError

Order = Literal["alpha-first", "weights-first"]


class Section(BaseModel):
    """A part of a protocol: no unknown fields, no defaults, no changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    """What the search sees of the training set, and how."""

    image_size: int = Field(ge=4, description="pixels; the data set's images are average-pooled down to it")
    images: Annotated[int, Field(ge=2)] | None = Field(description="training images used in all; null: every one")
    split: Literal["random", "fixed", "halves"] = Field(
        description="search-train and search-validation halves: drawn by the seed, drawn once for all seeds, or "
        "first and last half in the data set's order"
    )
    crop_padding: int = Field(ge=0, description="pixels of zero padding before the random crop; 0: no crop")
    flip: bool = Field(description="random horizontal flips")


class SupernetSettings(Section):
    """The macro-architecture of the supernet."""

    channels: int = Field(ge=1, description="C, width of the first stage")
    cells: int = Field(ge=1, description="N, cells per stage")
    batch_norm: Literal["batch", "running"] = Field(
        description="statistics the cells normalise by when evaluated; in training always the batch's"
    )
    head_affine: bool = Field(description="affine parameters in the last batch normalisation")


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
    """How long, and in which order. A mapping gives methods their own value beside ``default``."""

    epochs: Annotated[int, Field(ge=1)] | dict[str, Annotated[int, Field(ge=1)]]
    batch_size: int = Field(ge=1)
    order: Order | dict[str, Order] = Field(description="which step of a bilevel method comes first")


class Protocol(Section):
    """A named, versioned set of rules for a comparison."""

    name: str
    version: int
    description: str
    dataset: str = Field(description="data set to search on")
    data: Data
    supernet: SupernetSettings
    weights: Weights
    alpha: Alpha
    search: Schedule

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with any setting, and not with name, version or description."""
        settings = self.model_dump(mode="json", exclude={"name", "version", "description"})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]

    def epochs(self, method: str) -> int:
        """Number of epochs of a method."""
        epochs = self.search.epochs
        return epochs if isinstance(epochs, int) else epochs.get(method, epochs["default"])

    def order(self, method: str) -> Order:
        """Which step of a method comes first."""
        order = self.search.order
        return order if isinstance(order, str) else order.get(method, order["default"])


def names() -> list[str]:
    """The protocols that come with the harness."""
    folder = resources.files("harness") / "protocols"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load_protocol(name: str, overrides: Iterable[str] = ()) -> Protocol:
    """A protocol by name, or from a YAML file, with ``section.field=value`` overrides applied.

    Raises:
        HarnessError: unknown name or field, malformed file, or a value out of range; the valid ones are listed.
    """
    path = Path(name)
    if name in names():
        text = (resources.files("harness") / "protocols" / f"{name}.yaml").read_text()
    elif path.suffix in {".yaml", ".yml"} and path.is_file():
        text = path.read_text()
    else:
        raise HarnessError(unknown("protocol", name, names()) + ", or the path of a .yaml file")
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise HarnessError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise HarnessError(f"{name} is no protocol: it must be a mapping with the fields of quick.yaml")
    for override in overrides:
        _apply(settings, override)
    try:
        protocol = Protocol.model_validate(settings)
    except ValidationError as error:
        raise HarnessError(f"protocol {name}: {explain(error)}") from None
    for field in (protocol.search.epochs, protocol.search.order):
        if isinstance(field, dict) and "default" not in field:
            raise HarnessError(f"protocol {name}: a mapping in search.epochs or search.order needs a 'default'")
    return protocol


def _apply(settings: dict[str, Any], override: str) -> None:
    key, value = split_override(override)
    *sections, field = key.split(".")
    place: Any = settings
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if not isinstance(place, dict) or (field not in place and sections != ["search", "epochs"]):
        valid = [f"{a}.{b}" for a, fields in settings.items() if isinstance(fields, dict) for b in fields]
        raise HarnessError(unknown("setting", key, [*valid, "dataset"]))
    place[field] = value


def split_override(override: str) -> tuple[str, Any]:
    """``key=value`` as key and parsed value. Raises :class:`HarnessError` where it is not of that form."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise HarnessError(f"--set {override!r} is not of the form KEY=VALUE, such as gdas.tau_max=5")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise HarnessError(f"--set {override!r}: cannot read the value {value!r}") from None


def explain(error: ValidationError) -> str:
    """A pydantic error in one line: each faulty field, its value and what it must be."""
    parts = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or part.isidentifier())
        given = f" (got {fault['input']!r})" if fault["type"] not in {"missing", "extra_forbidden"} else ""
        parts.append(f"{field}: {fault['msg'][0].lower()}{fault['msg'][1:]}{given}")
    return "; ".join(parts)
