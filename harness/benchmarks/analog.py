"""CIFAR-10 of the embedded table: the digital baseline of the ``analog-nasbench`` package, read as data.

``analognasbench/data.anb`` is a pickle of a dict. A key holds an operation code for each edge, in the order of
``EDGES`` and ``OPERATIONS`` below, neither of which is NAS-Bench-201's own; a value is an object of the package's class
``Architecture``. The package itself is never imported: it needs a module that new versions of setuptools lack.
"""

from __future__ import annotations

import hashlib
import io
from importlib import metadata
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from harness.benchmarks.table import TabularBenchmark
from harness.data.safe_pickle import Record, load_pickle
from harness.errors import HarnessError
from harness.spaces.base import SearchSpace

PACKAGE = "analog-nasbench"
FILE = "analognasbench/data.anb"
EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
DESCRIPTION = (
    "CIFAR-10 test accuracy of the analog-nasbench benchmark's own digital (floating-point) baseline; not "
    "NAS-Bench-201's own numbers, but it tracks NAS-Bench-201's test accuracy over all 15,625 cells: Spearman 0.991."
)


class _Ignored:
    """Stands for all drift measurements at once: the file has 125,000, and nothing is wanted of them."""

    _one: ClassVar[_Ignored | None] = None

    def __new__(cls) -> _Ignored:
        cls._one = cls._one or super().__new__(cls)
        return cls._one

    def __setstate__(self, state: object) -> None:
        pass


CLASSES = {("analognasbench.data", "Architecture"): Record, ("analognasbench.data", "DriftMeasurement"): _Ignored}


def read_baseline(space: SearchSpace) -> TabularBenchmark:
    """The test accuracy on CIFAR-10 of every NAS-Bench-201 cell, from the installed package; takes about 0.2 s.

    Raises :class:`HarnessError` where the package is missing or its file is damaged or hostile.
    """
    try:
        package = metadata.distribution(PACKAGE)
        file = next(file.locate() for file in package.files or () if file.as_posix() == FILE)
        with open(file, "rb") as stream:
            content = stream.read()
    except (metadata.PackageNotFoundError, StopIteration, OSError):
        raise HarnessError(
            f"the embedded table needs {FILE} of the package {PACKAGE}, which is not there; "
            f"install it: pip install --force-reinstall --no-deps {PACKAGE}"
        ) from None
    source = f"{PACKAGE} {package.version}"
    try:
        column = _baseline(content, space, f"the data file of {source} ({file})")
    except HarnessError as error:
        raise HarnessError(
            f"{error}; install it anew: pip install --force-reinstall --no-deps {PACKAGE}=={package.version}"
        ) from None
    provenance = {
        "name": PACKAGE,
        "description": DESCRIPTION,
        "source": source,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return TabularBenchmark(PACKAGE, space.name, {("cifar10", "test_accuracy"): column}, provenance)


def _baseline(content: bytes, space: SearchSpace, what: str) -> npt.NDArray[np.float64]:
    """``baseline_accuracy`` (%) of every cell, by official index. Raises HarnessError where one is missing or wrong."""
    entries = load_pickle(io.BytesIO(content), CLASSES, what)
    if not isinstance(entries, dict) or len(entries) != space.size:
        raise HarnessError(f"{what} does not hold {space.size:,} cells")
    edges = [space.edges.index(edge) for edge in EDGES]
    codes = [OPERATIONS.index(name) for name in space.operations]
    column = np.empty(space.size)
    for index in range(space.size):
        cell = space.architecture(index)
        value = getattr(entries.get(tuple(codes[cell[edge]] for edge in edges)), "baseline_accuracy", None)
        if not (isinstance(value, float) and 0 <= value <= 100):
            raise HarnessError(f"{what} has no baseline accuracy between 0 and 100 for {space.format(cell)}")
        column[index] = value
    return column
