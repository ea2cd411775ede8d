"""What every test begins with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def full_range() -> Iterator[None]:
    """A search in the process of the tests makes the smallest numbers zero, as workers do; the next test has them."""
    yield
    torch.set_flush_denormal(False)
