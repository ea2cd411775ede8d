"""Threads and settings with which a process of the harness computes."""

from __future__ import annotations

import pytest
import torch

from harness.runs.environment import compute_reproducibly, cores


def test_numbers_too_small_for_full_precision_are_zero() -> None:
    small = torch.full((64,), 1e-30)
    assert (small * 1e-10).all()
    compute_reproducibly(1)
    assert torch.equal(small * 1e-10, torch.zeros(64))
    assert torch.equal(small * 1e-7, torch.full((64,), 1e-37))


class EightCores:
    """A process as psutil has it, which may use eight cores."""

    def cpu_affinity(self) -> list[int]:
        return list(range(8))


@pytest.mark.parametrize(("quota", "count"), [(float("inf"), 8), (2.5, 2), (0.5, 1), (100.0, 8)])
def test_cores_are_those_of_the_affinity_within_the_quota_of_a_container(
    quota: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.Process", EightCores)
    monkeypatch.setattr("harness.runs.control_group.processors", lambda: quota)
    assert cores() == count


@pytest.mark.parametrize(("logical", "count"), [(4, 4), (None, 1)])
def test_without_affinities_all_cores_of_the_machine_count(
    logical: int | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.Process", object)
    monkeypatch.setattr("psutil.cpu_count", lambda: logical)
    monkeypatch.setattr("harness.runs.control_group.processors", lambda: float("inf"))
    assert cores() == count
