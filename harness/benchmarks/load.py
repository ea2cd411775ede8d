"""Loading a table by name or from a file."""

from __future__ import annotations

from pathlib import Path

from harness.benchmarks.table import EMBEDDED, TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace


def load_table(source: str | Path | None, space: SearchSpace) -> TabularBenchmark:
    """The table named or stored at ``source``: the name of an imported table, or the path of a CSV or Parquet file.

    None is the embedded one. Raises :class:`harness.errors.HarnessError` with one line where there is no such table,
    or it is malformed, hostile, incomplete or of another space, and where the space is too large for any.
    """
    from harness.benchmarks.csv_table import read_csv
    from harness.benchmarks.embedded import read_embedded
    from harness.benchmarks.store import END, read_parquet, stored_tables

    check_tabular(space)
    if source is None or str(source) == EMBEDDED:
        return read_embedded(space)
    if stored := stored_tables().get(str(source)):
        return read_parquet(stored, space)
    path = Path(source)
    return read_parquet(path, space) if path.suffix == END else read_csv(path, space)


def check_tabular(space: SearchSpace) -> None:
    """Raise :class:`harness.errors.HarnessError` where no table can hold every cell of a space."""
    if not space.enumerable:
        raise HarnessError(
            f"no table can hold the {space.size:,} cells of {space.name}, which have to be trained: harness run "
            "--evaluate retrain, or harness retrain"
        )


def table_reference(source: str) -> str | None:
    """The reference that a study records: None for the embedded table, a stored table's name, else a path."""
    from harness.benchmarks.store import stored_tables

    if source == EMBEDDED:
        return None
    return source if source in stored_tables() else str(Path(source).absolute())


class TableChanged(HarnessError):
    """The table of a study is no longer the one that its runs were looked up in."""


def check_unchanged(table: TabularBenchmark, recorded: str | None, study: str) -> None:
    """Raise :class:`TableChanged` where a study recorded another digest of its table; None: it recorded none."""
    if recorded not in {None, table.digest}:
        raise TableChanged(
            f"the table {table.name} has changed since study {study!r} was looked up in it (digest "
            f"{str(recorded)[:12]}, now {table.digest[:12]}); restore it, or look all runs up in it again: harness "
            f"evaluate {study}"
        )
