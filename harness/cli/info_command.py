"""``harness list`` and ``harness info``: what there is, and every setting of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import runs_option, warn
from harness.errors import HarnessError, unknown
from harness.registry import OF_YOUR_OWN, OURS, Plugin, match

if TYPE_CHECKING:
    from harness.config.protocol import Protocol
    from harness.config.recipe import Recipe

KINDS = {
    "methods": "method",
    "spaces": "space",
    "datasets": "dataset",
    "protocols": "protocol",
    "recipes": "recipe",
}
"""The kinds that ``harness info`` explains, in the plural and in the singular."""

STUDIES = "studies"


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, STUDIES], case_sensitive=False), required=False)
@runs_option
def list_command(kind: str | None, runs: Path | None) -> None:
    """List methods, spaces, data sets, protocols, recipes and studies; one KIND of them, or all."""
    for each in [kind] if kind else [*KINDS, STUDIES]:
        if not kind:
            click.echo(f"{each}:")
        lines = _studies(runs) if each == STUDIES else _summaries(each)
        if not lines:
            lines = {f"no {each}": "install nas-harness again: it is incomplete"}
        width = max(map(len, lines))
        for name, line in lines.items():
            click.echo(f"{'' if kind else '  '}{name:{width}}  {line}")


@click.command("info")
@click.argument("name")
@click.option("--kind", type=click.Choice([*KINDS.values()]), help="Explain this kind alone.")
def info_command(name: str, kind: str | None) -> None:
    """Explain a method, space, data set, protocol or recipe, with every setting.

    Where several share a name, all are explained; --kind chooses one. A protocol or recipe is printed as a YAML file,
    which --protocol or --recipe takes.
    """
    names = {single: [*_summaries(plural)] for plural, single in KINDS.items() if kind in {None, single}}
    known = {each for of_kind in names.values() for each in of_kind}
    canonical = match(name, known)
    if canonical is None:
        advice = f"; {OF_YOUR_OWN}" if kind in {None, "method", "space"} else ""
        raise HarnessError(unknown(kind or "name", name, known) + advice)
    explain: dict[str, Callable[[str], str]] = {
        "method": _method,
        "space": _space,
        "dataset": _dataset,
        "protocol": _protocol,
        "recipe": _recipe,
    }
    kinds = [single for single, of_kind in names.items() if canonical in of_kind]
    click.echo("\n---\n".join(explain[single](canonical) for single in kinds))
    if len(kinds) > 1:
        warn(f"{canonical} is a {' and a '.join(kinds)}; --kind prints one of them")


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


def _studies(runs: Path | None) -> dict[str, str]:
    """A line on each study: when it changed last, finished runs and methods; the one that changed last comes first."""
    from harness.runs.results import runs_directory

    root = runs_directory(runs)
    changed = {file.parent: file.stat().st_mtime for file in root.glob("*/study.json")}
    if not changed:
        return {f"no {STUDIES}": f"in {root}; start one with: harness run --method darts --seeds 5"}
    return {path.name: _study(path, changed[path]) for path in sorted(changed, key=changed.__getitem__, reverse=True)}


def _study(path: Path, changed: float) -> str:
    from datetime import datetime

    from harness.runs.results import load_study

    when = f"{datetime.fromtimestamp(changed):%Y-%m-%d %H:%M}"
    try:
        study = load_study(path)
    except HarnessError as error:
        return f"{when}  broken: {error}"
    finished = sum(run.status == "finished" for run in study.runs)
    return f"{when}  {finished} of {len(study.runs)} runs finished  {', '.join(study.labels)}".rstrip()


def _method(name: str) -> str:
    from harness.config.descriptions import as_markdown, describe
    from harness.methods.base import WeightSharingMethod
    from harness.registry import get_method

    method = get_method(name)
    if issubclass(method, WeightSharingMethod):
        cost = f"{'bilevel' if method.bilevel else 'single-level'}, trains a supernet by gradient descent"
    else:
        cost = "query-based, trains the cells it asks for; no supernet"
    settings = describe(method)
    lines = [f"{name}: {method.summary}", method.paper, "", as_markdown(method), "", cost]
    lines.append("hyper-parameters (change one with --set):" if settings else "no hyper-parameters")
    for setting in settings:
        default = "" if setting.default is None else f" = {setting.default}"
        lines.append(f"  {name}.{setting.name}{default}  ({setting.allowed})")
        if setting.description:
            lines.append(click.wrap_text(setting.description, 100, "      ", "      "))
    return "\n".join(lines)


def _space(name: str) -> str:
    from harness.registry import get_space

    space = get_space(name)
    cells = {title: space.format(cell) for title, cell in space.reference_cells().items()}
    lines = [
        f"{name}: {space.summary}",
        "",
        f"operations  {', '.join(space.operations)}",
        f"edges       {', '.join(space.edge_names)}",
    ]
    return "\n".join([*lines, *(f"{title}  {text}" for title, text in cells.items())])


def _dataset(name: str) -> str:
    from harness.data.info import DATASETS

    info = DATASETS[name]
    size = f"{info.image_size} x {info.image_size}"
    images = f"{info.training_images:,} training images and {info.test_images:,} test images"
    lines = [f"{name}: {info.summary}", f"{images} of {size} pixels, {info.classes} classes", info.source, info.page]
    return "\n".join(lines)


def _protocol(name: str) -> str:
    from harness.config.protocol import load_protocol

    return _file("protocol", load_protocol(name))


def _recipe(name: str) -> str:
    from harness.config.recipe import load_recipe

    return _file("recipe", load_recipe(name))


def _file(kind: str, file: Protocol | Recipe) -> str:
    """A protocol or recipe as a file that can be loaded, with its hash in a comment."""
    import yaml

    settings = yaml.safe_dump(file.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    return f"# {kind} {file.name} v{file.version}, hash {file.hash}\n{settings}".rstrip()
