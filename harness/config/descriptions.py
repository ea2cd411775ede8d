"""Settings of pydantic models in words, for ``harness info`` and the pages in ``docs/``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

SIGNS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤", "multipleOf": "multiple of"}
"""JSON Schema's names of limits."""

TYPES = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text", "null": "null"}
"""JSON Schema's names of types."""


class Setting(NamedTuple):
    """A setting in words.

    Attributes:
        name: dotted, where it belongs to a section.
        default: as YAML writes it; None where there is none.
        allowed: type and limits.
        description: what it is; empty where the model does not say.
    """

    name: str
    default: str | None
    allowed: str
    description: str


def describe(model: type[BaseModel]) -> list[Setting]:
    """Every setting of a model, those of its sections included, in order."""
    schema = model.model_json_schema(schema_generator=_Schema)
    return list(_settings(schema, schema.get("$defs", {}), ""))


def as_yaml(value: Any) -> str:
    """A single value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return str({None: "null", True: "true", False: "false"}[value])
    return str(value)


def as_markdown(documented: Any) -> str:
    """The docstring of a class or function as Markdown: roles become names, double backticks single ones."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", inspect.getdoc(documented) or "")
    return text.replace("``", "`")


class _Schema(GenerateJsonSchema):
    """JSON Schema, in which a type that it cannot express allows any value; a plug-in may have such a setting."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def _settings(schema: dict[str, Any], sections: dict[str, Any], prefix: str) -> Iterator[Setting]:
    for name, field in schema.get("properties", {}).items():
        section = sections.get(field.get("$ref", "").rpartition("/")[2], {})
        if "properties" in section:
            yield from _settings(section, sections, f"{prefix}{name}.")
        else:
            default = as_yaml(field["default"]) if "default" in field else None
            yield Setting(f"{prefix}{name}", default, _allowed(field), field.get("description", ""))


def _allowed(field: dict[str, Any]) -> str:
    """The type and limits in a JSON Schema, in words."""
    if "anyOf" in field:
        return " or ".join(_allowed(each) for each in field["anyOf"])
    if "enum" in field or "const" in field:
        return " or ".join(as_yaml(value) for value in field.get("enum", [field.get("const")]))
    if "type" not in field:
        return "any value"
    if field["type"] == "array":
        parts = field.get("prefixItems")
        return f"[{', '.join(map(_allowed, parts))}]" if parts else f"list of {_allowed(field.get('items', {}))}"
    if field["type"] == "object":
        return f"{_allowed(field.get('additionalProperties', {}))}; also by method"
    limits = [f"{sign} {field[key]}" for key, sign in SIGNS.items() if key in field]
    return ", ".join([TYPES[field["type"]], *limits])
