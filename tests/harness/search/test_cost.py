"""What a search costs: seconds by part and peak memory, across interruptions."""

from __future__ import annotations

import sys

import pytest
import torch

from harness.search.cost import Cost

CPU = torch.device("cpu")


def test_time_is_counted_by_part_and_goes_on_after_a_break() -> None:
    cost = Cost(CPU)
    with cost.timing("weight"):
        torch.randn(100, 100).sum()
    assert cost.seconds["weight"] > 0
    assert cost.seconds["alpha"] == cost.seconds["derivation"] == 0
    resumed = Cost(CPU)
    resumed.load_state_dict(cost.state_dict())
    with resumed.timing("weight"), resumed.timing("alpha"):
        torch.randn(100, 100).sum()
    assert resumed.seconds["weight"] > cost.seconds["weight"]
    assert resumed.total == sum(resumed.seconds.values())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be reset, and earlier peaks hide it")
def test_memory_counts_from_the_start_whatever_was_used_and_freed_before() -> None:
    before = [torch.ones(2**14) for _ in range(6400)]  # 400 MiB in small blocks, which the C library keeps
    last = before[-1]
    del before
    cost = Cost(CPU)
    blocks = [torch.ones(2**14) for _ in range(1600)]
    assert sum(int(block[0]) for block in [*blocks, last]) == 1601
    del blocks
    assert 90 < cost.peak_memory_mib < 200


def test_a_resumed_search_remembers_the_earlier_peak() -> None:
    cost = Cost(CPU)
    cost.load_state_dict({"seconds": {}, "peak_memory_mib": 12345.0})
    assert cost.peak_memory_mib == 12345.0
