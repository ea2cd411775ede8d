"""Tables in CSV files: a header, then a row for each cell of the space, in any order.

The column ``architecture`` holds official strings; a column ``<dataset>_test`` holds test accuracies (%). Any other
column is ignored.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from harness.benchmarks.store import stored_tables
from harness.benchmarks.table import EMBEDDED, TabularBenchmark
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace, SpaceError

ARCHITECTURE = "architecture"
TEST = "_test"
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16120": "ImageNet16-120"}
"""The name that a dataset has here, by its name without case, hyphens and underscores; others are kept as spelt."""


def read_csv(path: Path, space: SearchSpace) -> TabularBenchmark:
    """The table in a CSV file; takes about 0.3 s for 15,625 cells.

    Raises :class:`HarnessError` with the file, the line and the first fault: it is no CSV, has not every cell exactly
    once, or an accuracy is not a number between 0 and 100.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            columns = _read(_lines(file, path, digest.update), path, space)
    except OSError as error:
        names = ", ".join([EMBEDDED, *stored_tables()])
        raise HarnessError(
            f"cannot read a table from {path} ({error.strerror}); give the path of a CSV file, or a table's name: "
            f"{names}"
        ) from None
    provenance = {
        "name": path.stem,
        "description": f"Test accuracies read from the file {path.name}.",
        "source": path.name,
        "sha256": digest.hexdigest(),
    }
    return TabularBenchmark(path.stem, space.name, columns, provenance)


def _read(text: Iterator[str], path: Path, space: SearchSpace) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise HarnessError(f"the table {path} is empty")
        architecture, accuracies = _layout([name.strip() for name in header], path)
        lines: dict[int, int] = {}
        values: dict[str, list[float]] = {dataset: [] for dataset in accuracies}
        for row in reader:
            if not row:
                continue
            line = reader.line_num
            if len(row) != len(header):
                raise _fault(path, line, f"{len(row)} fields where the header has {len(header)}")
            index = _index(row[architecture].strip(), space, path, line)
            if index in lines:
                raise _fault(path, line, f"the same cell as in line {lines[index]}: {row[architecture]}")
            lines[index] = line
            for dataset, number in accuracies.items():
                values[dataset].append(_accuracy(row[number], header[number], path, line))
    except csv.Error as error:
        raise _fault(path, reader.line_num, f"not valid CSV ({error})") from None
    if len(lines) < space.size:
        first = next(index for index in range(space.size) if index not in lines)
        raise HarnessError(
            f"the table {path} lacks {space.size - len(lines):,} of the {space.size:,} cells of {space.name}, "
            f"for example {space.format(space.architecture(first))}"
        )
    columns = {}
    for dataset, column in values.items():
        if max(column) <= 1:
            raise HarnessError(
                f"the table {path} has no accuracy above 1 in {header[accuracies[dataset]]}; "
                "it takes percentages, not fractions"
            )
        columns[dataset, "test_accuracy"] = np.empty(space.size)
        columns[dataset, "test_accuracy"][list(lines)] = column
    return columns


def _lines(file: IO[bytes], path: Path, see: Callable[[bytes], None]) -> Iterator[str]:
    """Line by line as text, so that a large binary file given by mistake is refused at its first; ``see`` gets each."""
    for number, line in enumerate(file, 1):
        see(line)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _fault(path, number, "not UTF-8 text; a table must be a CSV file") from None
        if "\0" in text:
            raise _fault(path, number, "not text but binary data; a table must be a CSV file")
        yield text


def _layout(header: list[str], path: Path) -> tuple[int, dict[str, int]]:
    """Column numbers of the architecture and of each test accuracy. Raises HarnessError for a wrong header."""
    if header.count(ARCHITECTURE) != 1:
        how = "no" if ARCHITECTURE not in header else "more than one"
        raise _fault(path, 1, f"{how} column is called {ARCHITECTURE!r}; the columns are {_shown(', '.join(header))}")
    accuracies: dict[str, int] = {}
    for number, name in enumerate(header):
        spelt = name.removesuffix(TEST)
        if spelt in {"", name}:
            continue
        dataset = DATASETS.get(re.sub("[-_]", "", spelt.lower()), spelt)
        if dataset in accuracies:
            raise _fault(path, 1, f"columns {header[accuracies[dataset]]!r} and {name!r} are both of {dataset}")
        accuracies[dataset] = number
    if not accuracies:
        shown = _shown(", ".join(header))
        raise _fault(path, 1, f"no column of test accuracies, such as 'cifar10{TEST}'; the columns are {shown}")
    return header.index(ARCHITECTURE), accuracies


def _index(text: str, space: SearchSpace, path: Path, line: int) -> int:
    try:
        return space.index(space.parse(text))
    except SpaceError as error:
        reason = str(error).partition("\n")[0]
        raise _fault(path, line, f"{reason} of {_shown(text)}") from None


def _accuracy(text: str, column: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:  # neither is NaN
        raise _fault(path, line, f"{column} is {_shown(text)}, not a number between 0 and 100")
    return value


def _fault(path: Path, line: int, what: str) -> HarnessError:
    return HarnessError(f"the table {path}, line {line}: {what}")


def _shown(text: str) -> str:
    """A text from the file for print: quoted, in one line, and cut where it is long."""
    return repr(text if len(text) <= 120 else text[:117] + "...")
