"""Reading the seeds that a user names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.errors import HarnessError

MOST_SEEDS = 10_000
"""Most seeds that one command may name."""

LARGEST_COUNT = 100
"""Largest plain number that is read as a count; a larger one may be meant as the number of one seed."""


def read_seeds(value: int | str | Iterable[int]) -> list[int]:
    """The seeds that a value names, each once, in its order.

    ``5`` is a count: seeds 0 to 4. ``5,7,9`` and ``10-14`` name seeds, and so do ``777,`` and any list of numbers.

    Raises:
        HarnessError: the value names no seed or too many, or is a count above 100, which may be meant as one seed.
    """
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        seeds = _read(str(value).strip())
    else:
        try:
            seeds = [int(seed) for seed in value]  # type: ignore[union-attr]
        except (TypeError, ValueError):
            raise _refusal(value) from None
        if not seeds or min(seeds) < 0:
            raise _refusal(value)
    if len(seeds) > MOST_SEEDS:
        raise HarnessError(f"seeds {str(value)!r} are {len(seeds):,} seeds; {MOST_SEEDS:,} are allowed at most")
    return list(dict.fromkeys(seeds))


def _read(text: str) -> list[int]:
    if re.fullmatch(r"[0-9]{1,18}", text):
        count = int(text)
        if count > LARGEST_COUNT:
            raise HarnessError(
                f"seeds {text!r} could mean {count} seeds or the seed {count}; write '0-{count - 1}' for seeds 0 to "
                f"{count - 1}, or '{text},' for the one seed"
            )
        seeds = range(count)
        if not seeds:
            raise _refusal(text)
        return list(seeds)
    parts = text.removesuffix(",").split(",")
    matches = [re.fullmatch(r" *([0-9]{1,18})(?: *- *([0-9]{1,18}))? *", part) for part in parts]
    ranges = [range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0) for match in matches]
    if not all(ranges):
        raise _refusal(text)
    total = sum(map(len, ranges))
    if total > MOST_SEEDS:
        raise HarnessError(f"seeds {text!r} are {total:,} seeds; {MOST_SEEDS:,} are allowed at most")
    return [seed for each in ranges for seed in each]


def _refusal(value: object) -> HarnessError:
    return HarnessError(
        f"seeds {str(value)!r} name no seeds; give a count (5: seeds 0 to 4), a list (5,7,9) or a range (10-14)"
    )
