"""``harness list`` and ``harness info``: what there is, and every setting of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
import yaml

from harness.errors import HarnessError
from harness.registry import OURS, Plugin

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.config.protocol import Protocol
    from harness.config.recipe import Recipe

KINDS = ("methods", "spaces", "datasets", "protocols", "recipes")

SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
"""Pydantic's names of limits."""


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def list_command(kind: str | None) -> None:
    """List the methods, spaces, data sets, protocols or recipes there are; all of them without KIND."""
    for each in [kind] if kind else KINDS:
        if not kind:
            click.echo(f"{each}:")
        lines = _summaries(each) or {f"no {each}": "install nas-harness again: it is incomplete"}
        width = max(map(len, lines))
        for name, summary in lines.items():
            click.echo(f"{'' if kind else '  '}{name:{width}}  {summary}")


@click.command("info")
@click.argument("name")
def info_command(name: str) -> None:
    """Say what a method, space, data set, protocol or recipe is, with every setting."""
    from harness.errors import unknown
    from harness.registry import OF_YOUR_OWN, match

    known = {each for kind in KINDS for each in _summaries(kind)}
    canonical = match(name, known)
    if canonical is None:
        raise HarnessError(f"{unknown('name', name, known)}; {OF_YOUR_OWN}")
    describe: dict[str, Callable[[str], None]] = {
        "methods": _method,
        "spaces": _space,
        "datasets": _dataset,
        "protocols": _protocol,
        "recipes": _recipe,
    }
    for kind in KINDS:  # a protocol and a recipe may have the name of a space
        if canonical in _summaries(kind):
            describe[kind](canonical)


def _summaries(kind: str) -> dict[str, str]:
    from harness import registry
    from harness.config import protocol, recipe
    from harness.data.info import DATASETS

    match kind:
        case "methods":
            return {name: _summary(entry, registry.get_method) for name, entry in registry.methods().items()}
        case "spaces":
            return {name: _summary(entry, registry.get_space) for name, entry in registry.spaces().items()}
        case "datasets":
            return {name: info.summary for name, info in DATASETS.items()}
        case "protocols":
            return {name: protocol.load_protocol(name).description for name in protocol.names()}
        case _:
            return {name: recipe.load_recipe(name).description for name in recipe.names()}


def _summary(entry: Plugin, get: Callable[[str], Any]) -> str:
    """One line on a method or space; other packages' are imported for it, and one that is broken says so."""
    if entry.provider == OURS or entry.fault:
        return entry.summary
    try:
        return f"{get(entry.name).summary} ({entry.provider})"
    except HarnessError as error:
        return f"broken: {error}"


def _method(name: str) -> None:
    from harness.methods.base import WeightSharingMethod
    from harness.registry import get_method

    method = get_method(name)
    click.echo(f"{name}: {method.summary}\n{method.paper}\n")
    click.echo(f"{inspect.getdoc(method)}\n")
    if issubclass(method, WeightSharingMethod):
        click.echo(f"{'bilevel' if method.bilevel else 'single-level'}, trains a supernet by gradient descent")
    else:
        click.echo("query-based, trains the cells it asks for; no supernet")
    click.echo("hyper-parameters (change one with --set):" if method.model_fields else "no hyper-parameters")
    _fields(name, method)


def _fields(prefix: str, model: type[BaseModel]) -> None:
    for key, info in model.model_fields.items():
        kind = info.annotation.__name__ if isinstance(info.annotation, type) else _printed(info.annotation)
        limits = [
            f"{sign} {getattr(limit, bound)}"
            for limit in info.metadata
            for bound, sign in SIGNS.items()
            if hasattr(limit, bound)
        ]
        click.echo(f"  {prefix}.{key} = {info.default}  ({', '.join([kind, *limits])})")
        if info.description:
            click.echo(click.wrap_text(info.description, 100, "      ", "      "))


def _printed(annotation: Any) -> str:
    """A type that is no class: the values of a literal, or as Python prints it."""
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    return str(annotation).replace("typing.", "")


def _space(name: str) -> None:
    from harness.registry import get_space

    space = get_space(name)
    click.echo(f"{name}: {space.summary}\n")
    click.echo(f"operations  {', '.join(space.operations)}")
    click.echo(f"edges       {', '.join(space.edge_names)}")
    for title, cell in space.reference_cells().items():
        click.echo(f"{title}  {space.format(cell)}")


def _dataset(name: str) -> None:
    from harness.data.info import DATASETS

    info = DATASETS[name]
    click.echo(f"{name}: {info.summary}")
    size = f"{info.image_size} x {info.image_size}"
    images = f"{info.training_images:,} training images and {info.test_images:,} test images"
    click.echo(f"{images} of {size} pixels, {info.classes} classes")
    click.echo(info.source)


def _protocol(name: str) -> None:
    from harness.config.protocol import load_protocol

    _settings("protocol", load_protocol(name))


def _recipe(name: str) -> None:
    from harness.config.recipe import load_recipe

    _settings("recipe", load_recipe(name))


def _settings(kind: str, file: Protocol | Recipe) -> None:
    """Name and every setting of a protocol or recipe."""
    click.echo(f"{kind} {file.name} v{file.version}, hash {file.hash}: {file.description}\n")
    settings: dict[str, Any] = file.model_dump(mode="json", exclude={"name", "version", "description"})
    click.echo(yaml.safe_dump(settings, sort_keys=False, default_flow_style=False), nl=False)
