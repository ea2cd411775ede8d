"""``harness benchmark``: what a tabular benchmark knows of a cell."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.tables import Table
    from spaces.base import Architecture, SearchSpace

CHANNELS, CELLS, CLASSES, IMAGE_SIZE = 16, 5, 10, 32
"""The network whose size is printed: the one that NAS-Bench-201 trains on CIFAR-10."""


@click.group("benchmark")
def benchmark_command() -> None:
    """Look up a cell in a tabular benchmark."""


@benchmark_command.command("query")
@click.argument("architecture")
@click.option("--table", metavar="PATH", help="Look the cell up in this CSV file instead of the embedded table.")
@click.option("--space", "space_name", metavar="NAME", default="nas-bench-201", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with unrounded numbers.")
def query(architecture: str, table: str | None, space_name: str, as_json: bool) -> None:
    """Print everything known of a cell.

    ARCHITECTURE is a string, in quotes, such as
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|', or the official index.
    """
    from harness.catalogue import get_space
    from harness.tables import load_table

    space = get_space(space_name)
    facts = describe(_cell(architecture, space), space, load_table(table, space))
    click.echo(json.dumps(facts, indent=1) if as_json else _printed(facts, space))


def _cell(text: str, space: SearchSpace) -> Architecture:
    """The cell that an official index or a string denotes. Raises SpaceError."""
    try:
        index = int(text)
    except ValueError:
        return space.parse(text)
    return space.architecture(index)


def describe(cell: Architecture, space: SearchSpace, table: Table) -> dict[str, Any]:
    """Everything known of a cell, as ``--json`` prints it.

    Keys: ``space``; ``architecture``, its string; ``index``, its official row; ``canonical``, the form that isomorphic
    cells share; ``isomorphic``, the indices of all cells of that form, its own included; ``operations``, one an edge in
    the space's order; ``parameters`` and ``flops`` (multiply-accumulates), of the network with C=16, N=5, 10 classes
    and 32×32 images; ``datasets``, by name: ``test_accuracy`` (%), ``rank`` (1 is best; equal cells share a rank),
    ``percentile`` (% of all cells that are worse), ``regret`` (points below the best cell), ``isomorphic_range`` (% of
    the lowest and highest isomorphic cell); ``table``, its provenance.
    """
    from spaces.base import NetworkConfig
    from spaces.size import flops, parameters

    canonical = space.canonical(cell)
    isomorphic = [index for index in range(space.size) if space.canonical(space.architecture(index)) == canonical]
    network = space.network(cell, NetworkConfig(CHANNELS, CELLS, CLASSES))
    datasets = {}
    for dataset in table.datasets:
        column = table.test_accuracy(dataset)
        accuracy = float(column[space.index(cell)])
        datasets[dataset] = {
            "test_accuracy": accuracy,
            "rank": 1 + int((column > accuracy).sum()),
            "percentile": 100 * float((column < accuracy).mean()),
            "regret": float(column.max()) - accuracy,
            "isomorphic_range": [float(column[isomorphic].min()), float(column[isomorphic].max())],
        }
    return {
        "space": space.name,
        "architecture": space.format(cell),
        "index": space.index(cell),
        "canonical": canonical,
        "isomorphic": isomorphic,
        "operations": [space.operations[operation] for operation in cell],
        "parameters": parameters(network),
        "flops": flops(network, IMAGE_SIZE),
        "datasets": datasets,
        "table": table.provenance,
    }


def _printed(facts: dict[str, Any], space: SearchSpace) -> str:
    """What :func:`describe` found, for people."""
    counts = Counter(facts["operations"])
    same = len(facts["isomorphic"])
    table = facts["table"]
    network = f"C={CHANNELS}, N={CELLS}, {CLASSES} classes, {IMAGE_SIZE}×{IMAGE_SIZE} images"
    lines = [
        ("architecture", facts["architecture"]),
        ("official index", f"{facts['index']} of {space.name}"),
        ("canonical form", facts["canonical"]),
        ("isomorphic", "no other string" if same == 1 else f"{same:,} strings, this one included"),
        ("operations", ", ".join(f"{counts[name]} {name}" for name in space.operations if counts[name])),
        ("parameters", f"{facts['parameters'] / 1e6:.3f} M ({network})"),
        ("FLOPs", f"{facts['flops'] / 1e6:.2f} M multiply-accumulates"),
    ]
    for dataset, found in facts["datasets"].items():
        low, high = found["isomorphic_range"]
        lines += [
            ("", ""),
            (dataset, f"{found['test_accuracy']:.2f} % test accuracy"),
            ("rank", f"{found['rank']:,} of {space.size:,}, better than {found['percentile']:.2f} % of all cells"),
            ("regret", f"{found['regret']:.2f} points below the best cell"),
        ]
        if same > 1:
            lines.append(("isomorphic", f"{low:.2f} to {high:.2f} % over these {same:,} strings: retraining noise"))
    description = textwrap.wrap(table["description"], width=84, break_on_hyphens=False)
    lines += [
        ("", ""),
        ("table", table["name"]),
        *[("", line) for line in description],
        ("source", f"{table['source']}, SHA-256 {table['sha256'][:12]}…"),
    ]
    return "\n".join(f"{name:<16}{text}".rstrip() for name, text in lines)
