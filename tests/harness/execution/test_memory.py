"""Memory of runs before they start: what is predicted, how many fit, and what the user is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.config.protocol import load_protocol
from harness.data.training_set import TrainingSet, load_training_set
from harness.execution import memory
from harness.execution.memory import MIB, fitting, free_bytes, predicted
from harness.methods.base import SearchState
from harness.methods.darts import DARTS
from harness.registry import get_method
from harness.spaces.base import Mixture
from tests.support.command_line import call
from tests.support.toy import NAS_BENCH_201

pytestmark = pytest.mark.usefixtures("work")
DIGITS = load_training_set("digits")


def need(name: str, *overrides: str, training: TrainingSet = DIGITS, by_table: bool = False) -> float:
    return predicted(get_method(name)(), NAS_BENCH_201, load_protocol("quick", overrides), training, by_table)


# --- how many fit


@pytest.mark.parametrize(
    ("needs", "free", "fit"),
    [
        ([100.0] * 8, 350.0, 3),
        ([100.0] * 8, 10_000.0, 8),
        ([300.0, 100.0, 100.0, 100.0], 450.0, 2),  # the large one may run beside any
        ([100.0] * 2, 50.0, 1),  # one is always tried
    ],
)
def test_as_many_fit_as_the_largest_ones_leave_room_for(needs: list[float], free: float, fit: int) -> None:
    assert fitting(needs, free) == fit


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=12), st.floats(0, 1e7), st.randoms())
def test_whichever_runs_go_at_once_they_fit(needs: list[float], free: float, random: Any) -> None:
    fit = fitting(needs, free)
    assert 1 <= fit <= len(needs)
    assert fit == 1 or sum(random.sample(needs, fit)) <= free * (1 + 1e-9)
    assert fit == len(needs) or sum(sorted(needs)[-fit - 1 :]) > free * (1 - 1e-9)


# --- what is free


@pytest.mark.parametrize(("limit", "free"), [(float("inf"), 2048.0), (400.0, 400.0), (4096.0, 2048.0)])
def test_what_is_free_is_the_machines_or_its_containers(
    limit: float, free: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2048))
    monkeypatch.setattr("harness.runs.control_group.free_memory", lambda: limit)
    assert free_bytes("cpu") == free


# --- what a run needs


def test_a_prediction_grows_with_the_batch_and_with_what_a_method_computes() -> None:
    small, large, larger = (need("darts", f"search.batch_size={size}") for size in (512, 1024, 1536))
    assert larger - large == pytest.approx(large - small)
    assert large > small
    plain = ("search.batch_size=512", "diagnostics.hessian=false")
    darts = need("darts", *plain)
    assert need("gdas", *plain) < need("pc-darts", *plain) < darts < need("darts", *plain, "supernet.cells=3")
    assert darts < small  # which has the Hessian
    assert need("darts-es", *plain) == small  # computes one itself
    assert need("random-search", *plain, by_table=True) < need("random-search", *plain) < darts


def test_a_prediction_counts_the_data_set() -> None:
    images = torch.zeros(10_000, 3, 32, 32, dtype=torch.uint8)
    assert need("gdas", training=TrainingSet("digits", images, DIGITS.labels, 10, DIGITS.digest, "")) == (
        memory.PROCESS + 2 * images.nbytes
    )


def test_a_method_that_fails_is_left_to_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(method: DARTS, state: SearchState) -> Mixture:
        raise LookupError("its own fault")

    monkeypatch.setattr(DARTS, "mixture", broken)
    assert need("darts", "search.batch_size=512") == memory.PROCESS + 2 * DIGITS.images.nbytes


# --- what the user is told


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, 1,000 MiB free, and runs of 250 MiB."""
    monkeypatch.setattr("harness.runs.environment.cores", lambda: 8)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000.0 * MIB)
    monkeypatch.setattr(memory, "predicted", lambda *_: 250.0 * MIB)


@pytest.mark.usefixtures("made_up")
def test_memory_bounds_the_runs_at_once_in_one_line_unless_jobs_are_given(work: Path) -> None:
    command = ("run", "--method", "darts", "--seeds", "8", "--dry-run")
    line = (
        "harness: memory bounds the runs at once to 3, where the cores allow 8: a run of darts is predicted to take "
        "250 MiB, and 1,000 MiB are free; --jobs sets another number\n"
    )
    bounded = call(*command)
    assert bounded.output.count(line) == 1
    assert "8 of 8 runs to do, 3 at once" in bounded.output
    given = call(*command, "--jobs", "5")
    assert "memory" not in given.output
    assert "5 at once" in given.output
    few = call("run", "--method", "darts", "--seeds", "3", "--dry-run")
    assert "memory" not in few.output
    assert "3 at once" in few.output
