"""Tables as Parquet files: the folder that keeps them, writing and reading.

A file has a row for each architecture, by official index, and a column ``<dataset>:<metric>`` for each column of the
table, besides ``architecture``, its string. What the table is stands in the file's metadata, as JSON.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from harness.benchmarks.table import EMBEDDED, TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace

END = ".parquet"
KEY = b"nas-harness"
SCHEMA = 1
ARCHITECTURE = "architecture"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def tables_directory() -> Path:
    """The folder of imported tables: ``HARNESS_TABLES_DIR``, else ``tables`` in the user's data folder."""
    folder = os.environ.get("HARNESS_TABLES_DIR")
    return Path(folder) if folder else Path(platformdirs.user_data_dir("nas-harness", appauthor=False), "tables")


def stored_tables() -> dict[str, Path]:
    """The imported tables, by name, in alphabetical order."""
    try:
        files = sorted(tables_directory().glob(f"*{END}"))
    except OSError:
        return {}
    return {path.stem: path for path in files if NAME.fullmatch(path.stem)}


def check_name(name: str) -> str:
    """The name, if a table can be stored under it. Raises HarnessError."""
    if not NAME.fullmatch(name) or name.endswith((END, ".csv")) or name == EMBEDDED:
        raise HarnessError(
            f"{name!r} cannot be the name of a table: take letters, digits, '.', '_' and '-', without {END} or .csv at "
            f"the end, and not {EMBEDDED}; give one with --name"
        )
    return name


def write_table(table: TabularBenchmark, space: SearchSpace) -> Path:
    """Store a table under its name; returns the file, which is complete or not there.

    Raises HarnessError where there is one already, or the disk is full or not writable.
    """
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, Any] = {ARCHITECTURE: [space.format(space.architecture(row)) for row in range(space.size)]}
    columns |= {f"{dataset}:{metric}": values for (dataset, metric), values in table.columns.items()}
    metadata = {"schema": SCHEMA, "space": table.space, "provenance": table.provenance}
    data = pyarrow.table(columns).replace_schema_metadata({KEY: json.dumps(metadata).encode()})
    content = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(data, content, compression="zstd")
    path = new_table_path(table.name)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(content.getvalue())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def new_table_path(name: str) -> Path:
    """The path for a new table of this name, whose folder is created. Raises as :func:`write_table` does."""
    path = tables_directory() / f"{check_name(name)}{END}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    if path.exists():
        raise HarnessError(f"there is a table {name} already; give another name with --name, or delete {path}")
    return path


def _unwritable(path: Path, error: OSError) -> HarnessError:
    return HarnessError(
        f"cannot store a table as {path} ({error.strerror or error}); make room or choose another folder with "
        "HARNESS_TABLES_DIR"
    )


def read_parquet(path: Path, space: SearchSpace) -> TabularBenchmark:
    """The table in a Parquet file that :func:`write_table` wrote. A column is read when it is first asked for.

    Raises HarnessError where it is no such file, is damaged, or is of another space.
    """
    metadata, columns = _open(path)
    if metadata["space"] != space.name or columns.size != space.size:
        raise HarnessError(f"the table {path} is of {metadata['space']}, not {space.name}")
    return TabularBenchmark(path.stem, space.name, columns, metadata["provenance"])


def read_provenance(path: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A stored table's provenance and its columns as (dataset, metric). Raises as :func:`read_parquet` does."""
    metadata, columns = _open(path)
    return metadata["provenance"], list(columns)


class _Columns(Mapping[tuple[str, str], npt.NDArray[np.float64]]):
    """The columns of an open Parquet file."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path
        self.size: int = file.metadata.num_rows
        pairs = (name.rpartition(":") for name in file.schema_arrow.names if name != ARCHITECTURE)
        self._names = {(dataset, metric): f"{dataset}:{metric}" for dataset, _, metric in pairs}
        self._read: dict[tuple[str, str], npt.NDArray[np.float64]] = {}

    def __getitem__(self, key: tuple[str, str]) -> npt.NDArray[np.float64]:
        if key not in self._read:
            self._read[key] = self._column(key, self._names[key])
        return self._read[key]

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _column(self, key: tuple[str, str], name: str) -> npt.NDArray[np.float64]:
        import pyarrow

        try:
            chunks = self._file.read([name], use_threads=False).column(0).chunks
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(self._path, str(error)) from None
        if any(chunk.type != pyarrow.float64() or chunk.null_count for chunk in chunks):
            raise _damaged(self._path, f"its column {name!r} does not hold a number in every row")
        # not chunk.to_numpy(): that imports pandas, which takes half a second
        column = np.concatenate(
            [np.frombuffer(chunk.buffers()[1], np.float64, len(chunk), 8 * chunk.offset) for chunk in chunks]
        )
        if key[1] in {"test_accuracy", "valid_accuracy"} and not ((column >= 0) & (column <= 100)).all():
            raise _damaged(self._path, f"its column {name!r} has values that are not between 0 and 100")
        column.flags.writeable = False
        return column


def _open(path: Path) -> tuple[dict[str, Any], _Columns]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        metadata = json.loads(file.schema_arrow.metadata[KEY])
        if metadata["schema"] != SCHEMA:
            raise HarnessError(f"the table {path} is of version {metadata['schema']!r}, which is not known here")
        if not (isinstance(metadata["provenance"], dict) and isinstance(metadata["space"], str)):
            raise TypeError
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, pyarrow.ArrowInvalid):
            raise _damaged(path, str(error)) from None
        raise HarnessError(f"{path} is a Parquet file, but not a table of this harness") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, str(error)) from None
    return metadata, _Columns(file, path)


def _damaged(path: Path, reason: str) -> HarnessError:
    reason = reason.partition("\n")[0]
    return HarnessError(f"cannot read the table {path} ({reason}); if it was imported, delete it and import it again")
