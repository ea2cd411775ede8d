"""``harness list`` and ``harness info``: what there is, and every setting of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import yaml

from harness.errors import HarnessError

if TYPE_CHECKING:
    from pydantic import BaseModel

KINDS = ("methods", "spaces", "datasets", "protocols")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def list_command(kind: str | None) -> None:
    """List the methods, spaces, data sets or protocols there are; all of them without KIND."""
    for each in [kind] if kind else KINDS:
        if not kind:
            click.echo(f"{each}:")
        lines = _summaries(each)
        width = max(map(len, lines))
        for name, summary in lines.items():
            click.echo(f"{'' if kind else '  '}{name:{width}}  {summary}")


@click.command("info")
@click.argument("name")
def info_command(name: str) -> None:
    """Say what a method, space, data set or protocol is, with every setting."""
    from harness.catalogue import unknown

    known = {each: kind for kind in KINDS for each in _summaries(kind)}
    if name not in known:
        raise HarnessError(unknown("name", name, known))
    describe: dict[str, Callable[[str], None]] = {
        "methods": _method,
        "spaces": _space,
        "datasets": _dataset,
        "protocols": _protocol,
    }
    for kind in KINDS:  # a protocol may have the name of a space
        if name in _summaries(kind):
            describe[kind](name)


def _summaries(kind: str) -> dict[str, str]:
    from harness import catalogue, protocol
    from harness.data.info import DATASETS

    match kind:
        case "methods":
            return {name: entry.summary for name, entry in catalogue.methods().items()}
        case "spaces":
            return {name: entry.summary for name, entry in catalogue.spaces().items()}
        case "datasets":
            return {name: info.summary for name, info in DATASETS.items()}
        case _:
            return {name: protocol.load_protocol(name).description for name in protocol.names()}


def _method(name: str) -> None:
    from harness.catalogue import get_method
    from methods.base import GradientMethod

    method = get_method(name)
    click.echo(f"{name}: {method.summary}\n{method.paper}\n")
    click.echo(f"{inspect.getdoc(method)}\n")
    if issubclass(method, GradientMethod):
        click.echo(f"{'bilevel' if method.bilevel else 'single-level'}, trains a supernet by gradient descent")
    else:
        click.echo("query-based, trains the cells it asks for; no supernet")
    click.echo("hyper-parameters (change one with --set):" if method.model_fields else "no hyper-parameters")
    _fields(name, method)


def _fields(prefix: str, model: type[BaseModel]) -> None:
    for key, info in model.model_fields.items():
        limits = " ".join(str(limit) for limit in info.metadata)
        kind = (
            str(info.annotation).replace("typing.", "")
            if not isinstance(info.annotation, type)
            else info.annotation.__name__
        )
        click.echo(f"  {prefix}.{key} = {info.default}  ({kind}{', ' + limits if limits else ''})")
        if info.description:
            click.echo(click.wrap_text(info.description, 100, "      ", "      "))


def _space(name: str) -> None:
    from harness.catalogue import get_space

    space = get_space(name)
    click.echo(f"{name}: {space.summary}\n")
    click.echo(f"operations  {', '.join(space.operations)}")
    click.echo(f"edges       {', '.join(f'{source} to {target}' for source, target in space.edges)}")
    for title, cell in space.reference_cells().items():
        click.echo(f"{title}  {space.format(cell)}")


def _dataset(name: str) -> None:
    from harness.data.info import DATASETS

    info = DATASETS[name]
    click.echo(f"{name}: {info.summary}")
    size = f"{info.image_size} x {info.image_size}"
    click.echo(f"{info.training_images:,} training images of {size} pixels, {info.classes} classes")
    click.echo(info.source)


def _protocol(name: str) -> None:
    from harness.protocol import load_protocol

    protocol = load_protocol(name)
    click.echo(f"{name} v{protocol.version}, hash {protocol.hash}: {protocol.description}\n")
    settings: dict[str, Any] = protocol.model_dump(mode="json", exclude={"name", "version", "description"})
    click.echo(yaml.safe_dump(settings, sort_keys=False, default_flow_style=False), nl=False)
