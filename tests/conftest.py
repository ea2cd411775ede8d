"""What every test leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def computes_as_before() -> Iterator[None]:
    """PyTorch as it was: a search in the process of the tests sets what workers set for themselves."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
    torch.set_flush_denormal(False)
