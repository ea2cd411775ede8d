"""Files of settings: how a protocol or a recipe is read, checked, changed and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import HarnessError, explain, unknown


class Section(BaseModel):
    """A part of a protocol: no unknown fields and no changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Named(Section):
    """A file of settings: a protocol, or a recipe."""

    name: str
    version: int
    description: str


File = TypeVar("File", bound=Named)


def hash_of(file: Named, apart: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Twelve hexadecimal digits that change with any setting outside ``apart``, name, version and description."""
    settings = file.model_dump(mode="json", exclude={**dict.fromkeys(Named.model_fields, True), **apart})
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def shipped(kind: str) -> list[str]:
    """The names of the files of a kind (``protocol``, ``recipe``) that come with the harness."""
    folder = resources.files("harness.config") / f"{kind}s"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_settings(kind: str, name: str) -> dict[str, Any]:
    """The settings in a file of a kind: shipped under this name, or at this path.

    A file that says ``extends: NAME`` (a shipped name, or a path from the file's folder) holds what differs from that
    one; without ``name``, ``version`` and ``description`` of its own it gets them from its file name.

    Raises:
        HarnessError: unknown name, malformed file, or a file that extends itself.
    """
    return _read_settings(kind, name, ())


def _read_settings(kind: str, name: str, below: tuple[str, ...]) -> dict[str, Any]:
    settings = _read_file(kind, name)
    base = settings.pop("extends", None)
    if base is None:
        return settings
    if not isinstance(base, str):
        raise HarnessError(f"{name}: extends must name one {kind}, such as {shipped(kind)[-1]}; got {base!r}")
    if base not in shipped(kind):
        base = str(Path(name).parent / base)
    if base == name or base in below:
        raise HarnessError(f"{name} extends itself, through {' and '.join([*below, base])}; name another {kind}")
    own = {"name": Path(name).stem, "version": 1, "description": f"{Path(base).stem}, changed by {Path(name).name}"}
    return merged(merged(_read_settings(kind, base, (*below, name)), own), settings)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as one, mappings in them too; ``above`` goes first."""
    content = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(content.get(key), Mapping)
        content[key] = merged(content[key], value) if both else value
    return content


def _read_file(kind: str, name: str) -> dict[str, Any]:
    path = Path(name)
    if name in shipped(kind):
        text = (resources.files("harness.config") / f"{kind}s" / f"{name}.yaml").read_text(encoding="utf-8")
    elif path.suffix in {".yaml", ".yml"} and path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise HarnessError(f"{name} cannot be read: {error}") from None
    else:
        raise HarnessError(unknown(kind, name, shipped(kind)) + ", or the path of a .yaml file")
    try:
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise HarnessError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise HarnessError(f"{name} is no {kind}: it must be a mapping with the fields of {shipped(kind)[-1]}.yaml")
    return settings


Overrides = Mapping[str, Any] | Iterable[str]
"""Changes of settings: by dotted name, or as texts ``section.field=value``."""


def pairs_of(overrides: Overrides) -> list[tuple[str, Any]]:
    """Overrides as dotted names and values. Raises :class:`HarnessError` where a text is not of that form."""
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    return [split_override(text) for text in overrides]


def validated(model: type[File], kind: str, name: str, settings: dict[str, Any]) -> File:
    """Settings as a model. Raises :class:`HarnessError` that names the faulty ones."""
    known = fields_of(model)
    for field, section in settings.items():
        for key in [f"{field}.{part}" for part in section] if isinstance(section, dict) else [str(field)]:
            if key.partition(".")[0] not in model.model_fields or ("." in key and key not in known):
                raise HarnessError(f"{kind} {name}: {unknown('setting', key, known)}")
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise HarnessError(f"{kind} {name}: {explain(error)}") from None


def changed(file: Named, key: str, value: Any) -> dict[str, Any]:
    """The settings of a file with one of them changed; for a mapping in a section, one of its entries."""
    known = fields_of(type(file))
    *sections, field = key.split(".")
    settings = file.model_dump()
    inner: Any = settings
    for section in sections:
        inner = inner.get(section) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not {key, ".".join(sections)} & set(known):
        raise HarnessError(unknown("setting", key, known))
    inner[field] = value
    return settings


def fields_of(model: type[Section]) -> list[str]:
    """All settings by their dotted names."""
    names = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            names += [f"{name}.{part}" for part in kind.model_fields]
        else:
            names.append(name)
    return names


def split_override(override: str) -> tuple[str, Any]:
    """``key=value`` as key and parsed value. Raises :class:`HarnessError` where it is not of that form."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise HarnessError(f"--set {override!r} is not of the form KEY=VALUE, such as gdas.tau_max=5")
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise HarnessError(f"--set {override!r}: cannot read the value {value!r}") from None
