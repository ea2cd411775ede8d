"""scikit-learn's handwritten digits, enlarged. Needs no files beside the installed package.

scikit-learn has one set of them, so the split into training and test images is made here, once for everyone: see
:func:`held_out`.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError

SCALE = 4
"""Factor by which the images are enlarged: 8x8 becomes 32x32."""


def read_digits(*, test: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images (n, 3, 32, 32) with three equal channels, and labels (n,), in scikit-learn's order.

    With ``test`` those that are held out (see :func:`held_out`), else all others.

    Read without importing scikit-learn, which takes seconds. Enlarged bilinearly in integers, so that every machine
    gets the same pixels. Raises :class:`HarnessError` where scikit-learn does not have the file.
    """
    spec = find_spec("sklearn")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0] if folders else "sklearn") / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt") as file:
            rows = np.loadtxt(file, delimiter=",", dtype=np.float64).astype(np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise HarnessError(
            f"cannot read the digits of scikit-learn ({path}: {error}); reinstall scikit-learn"
        ) from None
    rows = rows[held_out(len(rows)) == test]
    levels, labels = rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]  # 0 to 16, the digit
    matrix = interpolation(8, SCALE)
    # In units of 1/16 of a level and of 1/(2·SCALE)² by the two interpolations; rounded to the nearest of 0 to 255.
    unit = 16 * (2 * SCALE) ** 2
    enlarged = ((matrix @ levels @ matrix.T * 255 + unit // 2) // unit).astype(np.uint8)
    return np.repeat(enlarged[:, None], 3, axis=1), np.ascontiguousarray(labels)


def held_out(count: int) -> npt.NDArray[np.bool_]:
    """Mark the test images among ``count``, (count,): the fifth whose numbers have the smallest SHA-256.

    That is as good as a random draw, and the same with every version of every library.
    """
    order = sorted(range(count), key=lambda number: hashlib.sha256(f"digits/test/{number}".encode()).digest())
    chosen = np.zeros(count, np.bool_)
    chosen[order[: count // 5]] = True
    return chosen


def interpolation(size: int, scale: int) -> npt.NDArray[np.int64]:
    """The matrix (size·scale, size) of linear interpolation along one axis, times 2·scale; edges are repeated.

    Pixels are squares: the centre of pixel i of the result lies at (i + 1/2)/scale - 1/2 of the original.
    """
    matrix = np.zeros((size * scale, size), np.int64)
    for row in range(size * scale):
        left, right_weight = divmod(2 * row + 1 - scale, 2 * scale)
        matrix[row, max(left, 0)] += 2 * scale - right_weight
        matrix[row, min(left + 1, size - 1)] += right_weight
    return matrix
