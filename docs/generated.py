"""What the pages say of methods, protocols, recipes and results, written in Markdown from their code and files.

A page asks for a part by a line ``<!-- generated: NAME -->``, with a name of :data:`PARTS`.
"""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness import registry
from harness.config import protocol, recipe
from harness.methods.base import Method, WeightSharingMethod
from harness.runs.schema import DiagnosticFields, LookupFields, TimingFields, TraceRow

MEASURED = Path(__file__).with_name("measured.csv")
"""What studies have measured of the methods; every row repeats a page that says how."""

NAMED = {"name", "version", "description"}
"""Fields of protocols and recipes that change no result."""

SIGNS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤", "multipleOf": "multiple of"}
"""JSON Schema's names of limits."""

TYPES = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text", "null": "null"}
"""JSON Schema's names of types."""

BAR = r"\|"
"""A bar within a cell of a Markdown table."""


def fill(page: str) -> str:
    """A page with every part that it asks for. Raises KeyError for a part that does not exist."""
    return re.sub(r"^<!-- generated: (.+) -->$", lambda found: PARTS[found[1]](), page, flags=re.MULTILINE)


# Methods


def gallery() -> str:
    """An entry for every registered method, by name."""
    measured = list(csv.DictReader(MEASURED.read_text(encoding="utf-8").splitlines()))
    return "\n\n".join(
        method_entry(registry.get_method(name), [row for row in measured if row["method"] == name])
        for name in registry.methods()
    )


def method_entry(method: type[Method], measured: Sequence[dict[str, str]]) -> str:
    """One method: what it is and computes, its hyper-parameters, and the rows of :data:`MEASURED` on it."""
    file = Path(inspect.getfile(method))
    if issubclass(method, WeightSharingMethod):
        kind = f"{'bilevel' if method.bilevel else 'single-level'}, trains a supernet"
    else:
        kind = "query-based, no supernet"
    lines = len(file.read_text(encoding="utf-8").splitlines())
    text = inspect.cleandoc(method.__doc__ or "")
    parts = [
        f"## {method.name}",
        f"{method.summary[0].upper()}{method.summary[1:]}. *{kind[0].upper()}{kind[1:]}.*",
        f"{method.paper}. Code: `{file.parent.name}/{file.name}`, {lines} lines.",
        f"```{{eval-rst}}\n{text}\n```",
    ]
    if rows := [[f"`{name}`", *row] for name, *row in settings(method)]:
        parts.append(grid(["hyper-parameter", "default", "allowed", "meaning"], rows))
    if measured:
        head = ["protocol", "data set", "seeds", "accuracy, mean (%)", "std", "collapsed"]
        parts += ["Measured:", grid(head, [list(row.values())[1:] for row in measured])]
    return "\n\n".join(parts)


# Protocols and recipes


def protocol_settings() -> str:
    """Every setting of a protocol."""
    return grid(["setting", "allowed", "meaning"], without_defaults(protocol.Protocol))


def recipe_settings() -> str:
    """Every setting of a recipe."""
    return grid(["setting", "allowed", "meaning"], without_defaults(recipe.Recipe))


def without_defaults(file: type[protocol.Named]) -> list[list[str]]:
    """Name, what is allowed and meaning of every setting of a protocol or recipe, which has no defaults."""
    return [[f"`{name}`", kind, meaning] for name, _, kind, meaning in settings(file) if name not in NAMED]


def protocols() -> str:
    """The protocols that come with the harness, side by side."""
    return side_by_side([protocol.load_protocol(name) for name in protocol.names()])


def recipes() -> str:
    """The recipes that come with the harness, side by side."""
    return side_by_side([recipe.load_recipe(name) for name in recipe.names()])


def side_by_side(files: Sequence[protocol.Protocol | recipe.Recipe]) -> str:
    """What each file says of itself, then a row for each setting that differs, and those that do not in a sentence."""
    kind = type(files[0]).__name__.lower()
    columns = [dict(flat(file.model_dump(mode="json", exclude=NAMED))) for file in files]
    rows = {key: [column[key] for column in columns] for key in columns[0]}
    same = [f"`{key}` {values[0]}" for key, values in rows.items() if len(set(values)) == 1]
    differing = [[f"`{key}`", *values] for key, values in rows.items() if len(set(values)) > 1]
    parts = [f"* `{file.name}` v{file.version}, hash `{file.hash}`. {remarks(kind, file.name)}" for file in files]
    table = grid(["setting", *(file.name for file in files)], differing)
    return "\n".join([*parts, "", table, "", f"The same in all: {', '.join(same)}."])


def remarks(kind: str, name: str) -> str:
    """The comment at the top of a shipped protocol or recipe: where it comes from, and how it differs from that."""
    text = (resources.files("harness.config") / f"{kind}s" / f"{name}.yaml").read_text(encoding="utf-8")
    return " ".join(line.strip("# ") for line in takewhile(lambda line: line.startswith("#"), text.splitlines()))


def flat(settings_: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted names and printed values; a setting that methods may have their own value of is one."""
    for key, value in settings_.items():
        if isinstance(value, dict) and "default" in value:
            own = [f"{method} {each}" for method, each in value.items() if method != "default"]
            yield prefix + key, "; ".join([str(value["default"]), *own])
        elif isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, printed(value)


# Results


def trace_row() -> str:
    """Every field of a row of a trace, with the comments beside them in the source."""
    fields: list[tuple[str, str, str]] = []
    for part in (TraceRow, LookupFields, DiagnosticFields, TimingFields):
        source = inspect.getsource(part)
        fields += re.findall(r"^    (\w+): ([^#\n]+?)(?:  # (.*))?$", source, flags=re.MULTILINE)
    return grid(["field", "type", "meaning"], [[f"`{name}`", f"`{kind}`", meaning] for name, kind, meaning in fields])


# Settings of pydantic models


def settings(model: type[BaseModel]) -> list[list[str]]:
    """Name, default, what is allowed and meaning of every field, those of sections by their dotted names."""
    schema = model.model_json_schema()
    return list(_rows(schema, schema.get("$defs", {}), ""))


def _rows(schema: dict[str, Any], sections: dict[str, Any], prefix: str) -> Iterable[list[str]]:
    for name, field in schema["properties"].items():
        if "$ref" in field:
            yield from _rows(sections[field["$ref"].rpartition("/")[2]], sections, f"{prefix}{name}.")
        else:
            default = printed(field["default"]) if "default" in field else ""
            yield [f"{prefix}{name}", default, allowed(field), field.get("description", "")]


def allowed(field: dict[str, Any]) -> str:
    """The type and limits in a JSON Schema, in words."""
    if "anyOf" in field:
        return " or ".join(allowed(each) for each in field["anyOf"])
    if "enum" in field or "const" in field:
        return " or ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        return f"[{', '.join(allowed(each) for each in field['prefixItems'])}]"
    if field["type"] == "object":
        return f"{allowed(field['additionalProperties'])}; also by method"
    return ", ".join([TYPES[field["type"]], *(f"{sign} {field[key]}" for key, sign in SIGNS.items() if key in field)])


def printed(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return str({None: "null", True: "true", False: "false"}[value])
    return str(value)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    "methods": gallery,
    "trace row": trace_row,
    "protocol settings": protocol_settings,
    "protocols": protocols,
    "recipe settings": recipe_settings,
    "recipes": recipes,
}
"""What a page can ask for."""
