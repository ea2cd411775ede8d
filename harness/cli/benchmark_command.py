"""``harness benchmark``: what a tabular benchmark knows of a cell, and benchmarks of one's own."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.benchmark_build import build
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.benchmarks.table import TabularBenchmark
    from harness.spaces.base import Architecture, SearchSpace


@click.group("benchmark")
def benchmark_command() -> None:
    """Look up a cell in a tabular benchmark, import one, or build one."""


benchmark_command.add_command(build)


@benchmark_command.command("query")
@click.argument("architecture")
@click.option("--table", metavar="NAME", help="An imported table or a CSV file, instead of the embedded table.")
@click.option("--space", "space_name", metavar="NAME", default="nas-bench-201", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with unrounded numbers.")
def query(architecture: str, table: str | None, space_name: str, as_json: bool) -> None:
    """Print everything known of a cell.

    ARCHITECTURE is a string, in quotes, such as
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|', or the official index.
    """
    from harness.benchmarks.load import load_table
    from harness.registry import get_space

    space = get_space(space_name)
    facts = describe(space.find(architecture), space, load_table(table, space))
    click.echo(json.dumps(facts, indent=1) if as_json else _printed(facts, space))


@benchmark_command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the table.  [default: the file's name without its ending]")
@click.option("--space", "space_name", metavar="NAME", default="nas-bench-201", show_default=True)
def import_(path: Path, name: str | None, space_name: str) -> None:
    """Read a benchmark once and keep it as a table, for --table NAME.

    PATH is the official NAS-Bench-201 file (NAS-Bench-201-v1_1-096897.pth or v1_0-e61699), a NATS-Bench topology folder
    (NATS-tss-v1_0-3ffb9-simple), or a CSV file with the columns 'architecture' and '<dataset>_test'. They are read as
    data: nothing in them is run.
    """
    from harness.benchmark_import.importing import import_table
    from harness.registry import get_space

    table, file = import_table(path, get_space(space_name), name)
    click.echo(f"table {table.name}: {_content(list(table.columns))}")
    click.echo(f"stored as {file}")
    click.echo(f"use it: harness run --table {table.name}")


@benchmark_command.command("list")
def list_() -> None:
    """Print the tables there are, and what each has."""
    from harness.benchmarks.embedded import SPACE, read_embedded
    from harness.benchmarks.store import read_provenance, stored_tables, tables_directory
    from harness.benchmarks.table import EMBEDDED
    from harness.registry import get_space

    try:
        content = _content(list(read_embedded(get_space(SPACE)).columns))
    except HarnessError as error:
        content = str(error)
    click.echo(f"{EMBEDDED}: {content}; installed with the package, used where no other table is named")
    for name, file in stored_tables().items():
        try:
            source, columns = read_provenance(file)
        except HarnessError as error:
            click.echo(f"{name}: {error}")
            continue
        click.echo(f"{name}: {_content(columns)}; from {source['source']}, imported {source['date']}")
    click.echo(f"imported tables are in {tables_directory()}")


def _content(columns: list[tuple[str, str]]) -> str:
    """A table's datasets, and whether they have test and validation accuracy and training times, for print."""
    shown = {
        "test_accuracy": "test accuracy",
        "valid_accuracy": "validation accuracy",
        "train_seconds": "training times",
    }
    datasets = dict.fromkeys(dataset for dataset, _ in columns)
    content = {
        dataset: ", ".join(words for metric, words in shown.items() if (dataset, metric) in columns)
        for dataset in datasets
    }
    if len(set(content.values())) == 1:
        text = f"{', '.join(content)}: {next(iter(content.values()))}"
    else:
        text = "; ".join(f"{dataset}: {words}" for dataset, words in content.items())
    return text if any(metric == "valid_accuracy" for _, metric in columns) else f"{text}; no validation accuracy"


def describe(cell: Architecture, space: SearchSpace, table: TabularBenchmark) -> dict[str, Any]:
    """Everything known of a cell, as ``--json`` prints it.

    Keys: ``space``; ``architecture``, its string; ``index``, its official row; ``canonical``, the form that isomorphic
    cells share; ``isomorphic``, the indices of all cells of that form, its own included; ``operations``, one an edge in
    the space's order; ``parameters`` and ``flops`` (multiply-accumulates), of the network with C=16, N=5, 10 classes
    and 32×32 images; ``datasets``, by name: ``test_accuracy`` (%), ``rank`` (1 is best; equal cells share a rank),
    ``percentile`` (% of all cells that are worse), ``regret`` (points below the best cell), ``isomorphic_range`` (% of
    the lowest and highest isomorphic cell), ``recorded`` (all that the table has of it, by metric; see
    :class:`harness.benchmarks.table.TabularBenchmark`); ``table``, its provenance.
    """
    from harness.spaces.base import isomorphic_groups
    from harness.spaces.network_size import benchmark_size

    canonical = space.canonical(cell)
    isomorphic = isomorphic_groups(space)[canonical]
    size = benchmark_size(space, cell)
    datasets = {}
    recorded = table.query(space.index(cell))
    for dataset in table.datasets:
        column = table.test_accuracy(dataset)
        accuracy = float(column[space.index(cell)])
        datasets[dataset] = {
            "test_accuracy": accuracy,
            "rank": 1 + int((column > accuracy).sum()),
            "percentile": 100 * float((column < accuracy).mean()),
            "regret": float(column.max()) - accuracy,
            "isomorphic_range": [float(column[isomorphic].min()), float(column[isomorphic].max())],
            "recorded": {
                metric: value
                for (owner, metric), value in recorded.items()
                if owner == dataset and math.isfinite(value)
            },
        }
    return {
        "space": space.name,
        "architecture": space.format(cell),
        "index": space.index(cell),
        "canonical": canonical,
        "isomorphic": isomorphic,
        "operations": [space.operations[operation] for operation in cell],
        "parameters": size.parameters,
        "flops": size.flops,
        "datasets": datasets,
        "table": table.provenance,
    }


def _recorded(values: dict[str, float]) -> Iterator[tuple[str, str]]:
    """Lines on the validation accuracies and training times of a cell, where the table has them."""
    for metric, value in values.items():
        name, _, epochs = metric.partition("@")
        if name == "valid_accuracy" and "/" not in epochs:  # of one training seed alone
            cost = values.get(metric.replace(name, "valid_seconds"))
            seconds = f"; seeing it costs {cost:,.3g} s" if cost else ""
            budget = f" after {epochs} epoch{'s' * (epochs != '1')}" if epochs else ""
            yield "validation", f"{value:.2f} % validation accuracy{budget}{seconds}"


def _printed(facts: dict[str, Any], space: SearchSpace) -> str:
    """The result of :func:`describe`, for people."""
    from harness.spaces.network_size import BENCHMARK, BENCHMARK_IMAGE_SIZE

    counts = Counter(facts["operations"])
    same = len(facts["isomorphic"])
    table = facts["table"]
    image_size = BENCHMARK_IMAGE_SIZE
    network = (
        f"C={BENCHMARK.channels}, N={BENCHMARK.cells}, {BENCHMARK.classes} classes, {image_size}×{image_size} images"
    )
    lines = [
        ("architecture", facts["architecture"]),
        ("official index", f"{facts['index']} of {space.name}"),
        ("canonical form", facts["canonical"]),
        ("isomorphic", "no other string" if same == 1 else f"{same:,} strings, this one included"),
        ("operations", ", ".join(f"{counts[name]} {name}" for name in space.operations if counts[name])),
        ("parameters", f"{facts['parameters'] / 1e6:.3f} M ({network})"),
        ("FLOPs", f"{facts['flops'] / 1e6:.2f} M multiply-accumulates"),
    ]
    for dataset, entry in facts["datasets"].items():
        low, high = entry["isomorphic_range"]
        lines += [
            ("", ""),
            (dataset, f"{entry['test_accuracy']:.2f} % test accuracy"),
            ("rank", f"{entry['rank']:,} of {space.size:,}, better than {entry['percentile']:.2f} % of all cells"),
            ("regret", f"{entry['regret']:.2f} points below the best cell"),
        ]
        lines += _recorded(entry["recorded"])
        if low < high:
            lines.append(("isomorphic", f"{low:.2f} to {high:.2f} % over these {same:,} strings: retraining noise"))
    description = textwrap.wrap(table["description"], width=84, break_on_hyphens=False)
    lines += [
        ("", ""),
        ("table", table["name"]),
        *[("", line) for line in description],
        ("source", f"{table['source']}, SHA-256 {table['sha256'][:12]}…"),
    ]
    return "\n".join(f"{name:<16}{text}".rstrip() for name, text in lines)
