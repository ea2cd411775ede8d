"""Write the parts of the pages that repeat code and files: python docs/generated.py.

A part stands between the lines ``<!-- begin generated: NAME -->`` and ``<!-- end -->``, with a name of :data:`PARTS`.
It is committed, so that a page can be read as it is, and a test fails where it is out of date.
"""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib import resources
from itertools import takewhile
from pathlib import Path
from types import FunctionType
from typing import Any

import click

import harness
from harness import registry
from harness.api.studies import Study
from harness.benchmarks.table import TabularBenchmark
from harness.cli.run_command import run_command
from harness.config import protocol, recipe
from harness.config.descriptions import as_markdown, as_yaml, describe
from harness.config.study_options import StudyOptions
from harness.methods.base import Method, WeightSharingMethod
from harness.runs.schema import DiagnosticFields, LookupFields, TimingFields, TraceRow

MEASURED = Path(__file__).with_name("measured.csv")
EXAMPLE = Path(__file__).parent / "examples" / "annealed.py"
"""What studies have measured of the methods; every row repeats a page that says how."""

NAMED = {"name", "version", "description"}
"""Fields of protocols and recipes that change no result."""

BAR = r"\|"
"""A bar within a cell of a Markdown table."""


PAGES = sorted(Path(__file__).parent.glob("*.md"))
"""The pages."""

PART = re.compile(r"^(<!-- begin generated: ([\w ]+) -->)$.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Write the parts of every page anew."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (current := fill(text)) != text:
            page.write_text(current, encoding="utf-8")
            print(f"written: docs/{page.name}")


def fill(page: str) -> str:
    """A page with its parts as they are now. Raises KeyError for a part that does not exist."""
    return PART.sub(lambda part: f"{part[1]}\n\n{PARTS[part[2]]()}\n\n<!-- end -->", page)


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
    parts = [
        f"## {method.name}",
        f"{method.summary[0].upper()}{method.summary[1:]}. *{kind[0].upper()}{kind[1:]}.*",
        f"{method.paper}. Code: `{file.parent.name}/{file.name}`.",
        as_markdown(method),
    ]
    if rows := [[f"`{name}`", default or "", *rest] for name, default, *rest in describe(method)]:
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
    return [[f"`{name}`", allowed, meaning] for name, _, allowed, meaning in describe(file) if name not in NAMED]


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
            yield prefix + key, as_yaml(value)


# Public API


def functions() -> str:
    """Every public function, with the first sentence of its docstring."""
    rows = [(f"harness.{name}", getattr(harness, name)) for name in harness.__all__]
    return members([(name, part) for name, part in rows if isinstance(part, FunctionType)])


def options() -> str:
    """The keywords of a study: their defaults, and the help of the options of the same names."""
    rows = []
    for option in run_command.params:
        if option.name in StudyOptions.model_fields and option.name != "methods" and isinstance(option, click.Option):
            unset = option.multiple or option.default is None or not isinstance(option.default, str | int | bool)
            default = "" if unset else f"`{option.default!r}`"
            rows.append([f"`{option.name}`", default, option.help or ""])
    return grid(["keyword", "default", "meaning"], rows)


def methods_of(cls: type) -> str:
    """The public methods and properties of a class, with the first sentences of their docstrings."""
    kinds = (FunctionType, property, cached_property)
    return members(
        (name, part) for name, part in vars(cls).items() if isinstance(part, kinds) and not name.startswith("_")
    )


def members(parts: Iterable[tuple[str, Any]]) -> str:
    """A row a function or property: how it is called, and the first paragraph of its docstring."""
    rows = []
    for name, part in parts:
        call = ""
        if isinstance(part, FunctionType):
            names = [parameter for parameter in inspect.signature(part).parameters if parameter != "self"]
            call = f"({', '.join([*names[:4], '…'] if len(names) > 6 else names)})"
        rows.append([f"`{name}{call}`", " ".join(as_markdown(part).partition("\n\n")[0].split())])
    return grid(["name", "meaning"], rows)


# Results


def trace_row() -> str:
    """Every field of a row of a trace, with the comments beside them in the source."""
    fields: list[tuple[str, str, str]] = []
    for part in (TraceRow, LookupFields, DiagnosticFields, TimingFields):
        source = inspect.getsource(part)
        fields += re.findall(r"^    (\w+): ([^#\n]+?)(?:  # (.*))?$", source, flags=re.MULTILINE)
    return grid(["field", "type", "meaning"], [[f"`{name}`", f"`{kind}`", meaning] for name, kind, meaning in fields])


def example_method() -> str:
    """The example of the README, as a code block."""
    return f"```python\n{EXAMPLE.read_text(encoding='utf-8').rstrip()}\n```"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    "example method": example_method,
    "functions": functions,
    "options": options,
    "study": lambda: methods_of(Study),
    "table": lambda: methods_of(TabularBenchmark),
    "methods": gallery,
    "trace row": trace_row,
    "protocol settings": protocol_settings,
    "protocols": protocols,
    "recipe settings": recipe_settings,
    "recipes": recipes,
}
"""The parts that a page can have."""

if __name__ == "__main__":
    main()
