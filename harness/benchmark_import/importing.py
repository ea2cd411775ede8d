"""``harness benchmark import``: a table from what the user has, read once and stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.benchmark_import.nas_bench_201 import PICKLE, ZIP, digests, read_official, version
from harness.benchmark_import.nas_bench_201 import provenance as official_provenance
from harness.benchmark_import.nats_bench import provenance as nats_provenance
from harness.benchmark_import.nats_bench import read_nats
from harness.benchmark_import.records import Collector
from harness.benchmarks.load import check_tabular
from harness.benchmarks.store import new_table_path, write_table
from harness.benchmarks.table import TabularBenchmark
from harness.errors import HarnessError
from harness.progress import Bar
from harness.spaces.base import SearchSpace

NOT_READ = {
    b"PAR1": "a table already; use it as it is, with --table PATH",
    b"BZh": "a compressed file; of NATS-Bench, give the folder NATS-tss-v1_0-3ffb9-simple, unpacked",
    b"\x1f\x8b": "a compressed file; unpack it and give what was in it",
}
"""Advice for files that are no benchmark, by their first bytes."""


def import_table(path: Path, space: SearchSpace, name: str | None = None) -> tuple[TabularBenchmark, Path]:
    """Read the official NAS-Bench-201 file, a NATS-Bench topology folder or a CSV file, and store it as a table.

    Args:
        path: the file or folder.
        space: the space whose cells it holds.
        name: what the table is to be called; None takes the name of the file, without its ending, or of the folder.

    Returns:
        The table, and the file that it is stored in.

    Raises:
        HarnessError: nothing can be read from there, or it is of another format, incomplete or hostile, or the table
            cannot be stored, or the space is too large for one. No half-written table is left.
    """
    check_tabular(space)
    path = Path(path)
    called = name if name is not None else path.resolve().name if path.is_dir() else path.stem
    new_table_path(called)
    try:
        table = _read(path, space, called)
    except OSError as error:
        raise HarnessError(
            f"cannot read a table from {path} ({error.strerror or error}); give the official NAS-Bench-201 file "
            "(.pth), a NATS-Bench topology folder, or a CSV file"
        ) from None
    date = datetime.now(UTC).date().isoformat()
    table = replace(table, name=called, provenance={**table.provenance, "name": called, "date": date})
    return table, write_table(table, space)


def _read(path: Path, space: SearchSpace, name: str) -> TabularBenchmark:
    from harness.benchmarks.csv_table import read_csv

    if path.is_dir():
        with Bar(f"reading {path.name}", space.size, unit="files", lines=0) as bar:
            collector, digest = read_nats(path, space, bar.update)
        return _table(collector, name, nats_provenance(path, digest))
    with open(path, "rb") as file:
        head = file.read(4)
    for start, advice in NOT_READ.items():
        if head.startswith(start):
            raise HarnessError(f"the file {path} is {advice}")
    if path.suffix == ".pth" or head.startswith((ZIP, PICKLE)):
        size = path.stat().st_size
        with Bar(f"checking {path.name}", size, unit="bytes", lines=0) as bar:
            sha256, md5 = digests(path, bar.update)
        published = version(path, md5)
        with Bar(f"reading {path.name}", size, unit="bytes", lines=0) as bar:
            collector = read_official(path, space, bar.update)
        return _table(collector, name, official_provenance(path, sha256, published))
    table = read_csv(path, space)
    return replace(table, provenance=table.provenance | {"version": "not stated", "licence": "not stated"})


def _table(collector: Collector, name: str, provenance: dict[str, Any]) -> TabularBenchmark:
    collector.check_complete()
    return TabularBenchmark(name, collector.space.name, collector.columns(), provenance)
