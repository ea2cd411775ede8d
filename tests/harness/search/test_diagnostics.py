"""Diagnostics beside the search: what they measure, and that they change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness import registry
from harness.config.protocol import NO_DIAGNOSTICS, stored_protocol
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.methods.base import SearchState
from harness.methods.darts import DARTS
from harness.runs.process import Event
from harness.search.cost import Cost
from harness.search.weight_sharing import WeightSharingSearch
from harness.spaces.base import Mixture
from harness.study.folder import check_comparable, open_study
from harness.study.planning import plan_runs
from tests.support.diagnosed import APART, CHEAP, ON, RECORDED, epochs
from tests.support.small_search import (
    CHEAPER,
    CPU,
    PLAIN,
    Killed,
    data,
    gradient_search,
    protocol,
    quiet,
    run,
    start,
    without,
)
from tests.support.toy import NAS_BENCH_201, gradient_methods, identical


def tensors(state: Any) -> list[Tensor]:
    """Every tensor of a nested state, in order."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else []
    return [tensor for part in parts for tensor in tensors(part)]


# --- nothing is changed

HESSIANS = ("darts", "gdas", "pc-darts")
"""Soft, sampled and with edge weights: methods beside which the costly Hessian is measured too."""


@pytest.mark.parametrize(
    ("name", "statistics"), [("darts", "batch"), *((name, "running") for name in gradient_methods())]
)
def test_a_search_is_the_same_bit_for_bit_with_and_without_diagnostics(name: str, statistics: str) -> None:
    overrides = [f"supernet.batch_norm={statistics}", "search.epochs=4"]
    on, recorded = (ON, RECORDED) if name in HESSIANS else (CHEAP, RECORDED - {"hessian_eigenvalue"})
    method = registry.get_method(name)(**CHEAPER.get(name, {}))
    diagnosed, plain = (gradient_search(method, *overrides, *more) for more in (on, PLAIN))
    rows, expected = ([dict(search.run_epoch(epoch, quiet)) for epoch in (1, 2)] for search in (diagnosed, plain))
    assert [without(row, APART) for row in rows] == [without(row, APART) for row in expected]
    assert set(rows[0]) & RECORDED == (recorded if "alpha" in diagnosed.state.alphas else set())
    assert not RECORDED & set(expected[0])
    last = diagnosed.final_diagnostics()
    assert ("perturbation" in (last or {})) == ("alpha" in diagnosed.state.alphas)
    states = [search.state_dict() for search in (diagnosed, plain)]
    assert len(tensors(states[0])) > 50
    assert identical(tensors(states[0]), tensors(states[1]))
    assert [parameter.requires_grad for parameter in diagnosed.state.supernet.parameters()] == [
        parameter.requires_grad for parameter in plain.state.supernet.parameters()
    ]
    assert diagnosed.state.supernet.training
    grads = [[parameter.grad for parameter in s.state.supernet.parameters()] for s in (diagnosed, plain)]
    assert identical(tensors(grads[0]), tensors(grads[1]))


def test_the_global_random_stream_is_left_alone() -> None:
    search = gradient_search(registry.get_method("gdas")(), *CHEAP)
    before = torch.get_rng_state()
    epochs(search)
    search.final_diagnostics()
    assert torch.equal(torch.get_rng_state(), before)


def after(epochs: int) -> Callable[[Event], bool]:
    """Kills a run when so many epochs are done."""
    return lambda event: event["kind"] == "epoch" and event["done"] >= epochs


@pytest.mark.parametrize(("name", "overrides"), [("darts", ON), ("gdas", [*CHEAP, "diagnostics.every=1"])])
def test_a_broken_run_with_diagnostics_ends_as_an_unbroken_one(name: str, overrides: list[str], tmp_path: Path) -> None:
    whole, broken = (start(tmp_path / study, name, *overrides) for study in ("whole", "broken"))
    run(whole)
    for done in (1, 3):  # the second time after the last epoch, and before the cells are ranked
        with pytest.raises(Killed):
            run(broken, after(done))
        assert not (broken.path / "diagnostics.json").exists()
    seconds = broken.read_trace()[-1]["diagnostics_seconds"]
    run(broken)
    apart = APART - RECORDED
    assert [without(dict(row), apart) for row in broken.read_trace()] == [
        without(dict(row), apart) for row in whole.read_trace()
    ]
    for name_ in ("alphas.json", "diagnostics.json"):
        assert broken.read_json(name_) == whole.read_json(name_)
    result = broken.result
    assert result is not None
    assert result["diagnostics_seconds"] > seconds > 0
    assert result["other_seconds"] >= result["diagnostics_seconds"]


def test_query_based_methods_record_none(tmp_path: Path) -> None:
    folder = start(tmp_path, "random-search", *ON, "search.epochs=12")
    run(folder)
    assert folder.result is not None
    assert folder.result["status"] == "finished"
    assert "diagnostics_seconds" not in folder.result
    assert not (folder.path / "diagnostics.json").exists()
    assert not any(RECORDED & set(row) for row in folder.read_trace())


class Renamed(DARTS):
    """Has architecture parameters, but none of shape (edges, operations)."""

    name = "renamed"

    def initial_alphas(self, space: Any, rng: torch.Generator) -> dict[str, Tensor]:
        return {"theta": super().initial_alphas(space, rng)["alpha"]}

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(state.alphas["theta"].softmax(dim=1))

    def derive(self, state: SearchState) -> Any:
        return state.space.discretize(state.alphas["theta"].detach())


def test_a_method_without_alpha_records_none() -> None:
    search = gradient_search(Renamed(), *ON)
    assert not any((RECORDED | {"diagnostics_seconds"}) & set(row) for row in epochs(search))
    assert search.final_diagnostics() is None


# --- when, what, and the clock


def test_measurements_are_every_so_many_epochs_and_after_the_last() -> None:
    rows = epochs(gradient_search(DARTS(), "search.epochs=5", *CHEAP), 5)
    assert [row["epoch"] for row in rows if "mixture_accuracy" in row] == [2, 4, 5]


@pytest.mark.parametrize(
    ("switch", "left"),
    [
        ("diagnostics.hessian=false", {"mixture_accuracy", "derived_accuracy"}),
        ("diagnostics.gap=false", {"hessian_eigenvalue"}),
    ],
)
def test_each_measurement_can_be_switched_off(switch: str, left: set[str]) -> None:
    row = gradient_search(DARTS(), *ON, switch).run_epoch(2, quiet)
    assert RECORDED & set(row) == left


@pytest.mark.parametrize(
    ("switches", "left"),
    [
        (["ranking_cells=0"], {"perturbation"}),
        (["perturbation=false"], {"indices", "accuracies"}),
        (["ranking_cells=0", "perturbation=false"], set()),
    ],
)
def test_what_is_measured_last_can_be_switched_off(switches: list[str], left: set[str], tmp_path: Path) -> None:
    folder = start(tmp_path, "darts", *CHEAP, *(f"diagnostics.{switch}" for switch in switches))
    run(folder)
    assert set(folder.last_diagnostics) == left
    assert (folder.path / "diagnostics.json").exists() == bool(left)
    assert (folder.ranking is None) == ("indices" not in left)


def test_diagnostics_are_no_search_cost() -> None:
    search = gradient_search(DARTS(), *CHEAP)
    row = epochs(search)[-1]
    searched = row["weight_seconds"] + row["alpha_seconds"] + row["derivation_seconds"]
    assert search.cost.total == pytest.approx(searched)
    assert row["diagnostics_seconds"] == search.cost.seconds["diagnostics"] > 0
    assert row["forward_passes"] == row["backward_passes"] == 3 * 4
    search.final_diagnostics()
    assert search.cost.seconds["diagnostics"] > row["diagnostics_seconds"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="elsewhere the peak cannot be reset")
def test_memory_of_diagnostics_is_not_counted() -> None:
    cost = Cost(CPU)
    with cost.excluded():
        assert torch.ones(2**26).sum() == 2**26  # 256 MiB
    assert cost.peak_memory_mib < 100
    assert torch.ones(2**26).sum() == 2**26
    assert cost.peak_memory_mib > 200
    with cost.excluded():
        pass
    assert cost.peak_memory_mib > 200


# --- settings


def identities(study: Path, overrides: Sequence[str]) -> list[Any]:
    training = load_training_set("digits")
    return plan_runs(study, [DARTS()], [0], NAS_BENCH_201, protocol(*overrides), training, 1)


def test_diagnostics_change_neither_hash_nor_identity_and_such_runs_are_comparable(tmp_path: Path) -> None:
    assert protocol(*ON).hash == protocol(*PLAIN).hash == protocol().hash
    on, off = identities(tmp_path, ON), identities(tmp_path, PLAIN)
    assert on[0].folder.path == off[0].folder.path
    open_study(tmp_path, on, "harness run", None)
    on[0].folder.write_json("config.json", on[0].config)
    check_comparable(tmp_path, off)
    again = identities(tmp_path, PLAIN)[0]
    assert again.config["protocol"]["diagnostics"]["hessian"] is True  # what was begun goes on as it began


def test_a_protocol_of_before_diagnostics_measures_none() -> None:
    stored = protocol().model_dump(mode="json")
    del stored["diagnostics"]
    old = stored_protocol(stored)
    assert old.diagnostics == NO_DIAGNOSTICS
    stored["diagnostics"] = protocol(*ON).diagnostics.model_dump(mode="json", exclude={"perturbation"})
    some = stored_protocol(stored).diagnostics  # of before perturbations
    assert (some.hessian, some.perturbation) == (True, False)
    assert old.hash == protocol().hash
    search = WeightSharingSearch(DARTS(), NAS_BENCH_201, data(old), old, 0, CPU)
    assert not any(RECORDED & set(row) for row in epochs(search))
    assert search.final_diagnostics() is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("diagnostics.every=0", r"diagnostics\.every: input should be greater than or equal to 1"),
        ("diagnostics.hesian=false", "unknown setting 'diagnostics.hesian', did you mean 'diagnostics.hessian'"),
        ("diagnostics.ranking_cells=-1", r"diagnostics\.ranking_cells: input should be greater than or equal to 0"),
        ("diagnostics.images=1", r"diagnostics\.images: input should be greater than or equal to 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(override: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        protocol(override)
