"""What a process of the harness computes with."""

from __future__ import annotations

import torch

from harness.runs.environment import compute_reproducibly


def test_numbers_too_small_for_full_precision_are_zero() -> None:
    small = torch.full((64,), 1e-30)
    assert (small * 1e-10).all()
    compute_reproducibly(1)
    assert torch.equal(small * 1e-10, torch.zeros(64))
    assert torch.equal(small * 1e-7, torch.full((64,), 1e-37))
