"""Diagnostics beside the search: what they measure, and that they change nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from harness import catalogue, worker
from harness.batches import SearchData, search_data
from harness.cost import Cost
from harness.data import load_training_set
from harness.diagnostics import hessian, largest_eigenvalue, sample_cells, single_path, steady_mixture
from harness.errors import HarnessError
from harness.experiment import check_comparable, open_study, plan
from harness.protocol import NO_DIAGNOSTICS, Protocol, load_protocol
from harness.runs import RunFolder
from harness.search import GradientSearch
from harness.tracking.content import epoch_metrics
from methods.base import GradientMethod, Search
from methods.darts import DARTS
from methods.pc_darts import PCDARTS, softmax_over_incoming_edges
from spaces.base import Mixture, NetworkConfig, Supernet
from tests.toy import NAS_BENCH_201, OneEdge, TwoEdges, batch, build_search, gradient_methods, identical, lit

CPU = torch.device("cpu")
TINY = ["data.images=32", "data.image_size=4", "search.batch_size=8", "search.epochs=3"]
ON = ["diagnostics.every=2", "diagnostics.ranking_cells=3", "diagnostics.images=null"]
CHEAP = [*ON, "diagnostics.hessian=false"]
OFF = ["diagnostics.gap=false", "diagnostics.hessian=false", "diagnostics.ranking_cells=0"]
RECORDED = {"mixture_accuracy", "derived_accuracy", "hessian_eigenvalue"}
APART = {*RECORDED, "diagnostics_seconds", "weight_seconds", "alpha_seconds", "derivation_seconds", "peak_memory_mib"}


def protocol(*overrides: str) -> Protocol:
    return load_protocol("quick", [*TINY, *overrides])


def data(rules: Protocol, seed: int = 0) -> SearchData:
    return search_data(load_training_set("digits"), rules, seed, CPU)


def begin(method: GradientMethod, *overrides: str, seed: int = 0) -> GradientSearch:
    rules = protocol(*overrides)
    return GradientSearch(method, NAS_BENCH_201, data(rules, seed), rules, seed, CPU)


def quiet(_: Any) -> None:
    pass


def epochs(search: GradientSearch, count: int = 3) -> list[dict[str, Any]]:
    return [dict(search.run_epoch(epoch, quiet)) for epoch in range(count)]


def without(row: dict[str, Any], apart: set[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in apart}


def tensors(state: Any) -> list[Tensor]:
    """Every tensor of a nested state, in order."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else []
    return [tensor for part in parts for tensor in tensors(part)]


# --- nothing is changed


@pytest.mark.parametrize(
    ("name", "statistics"), [("darts", "batch"), *((name, "running") for name in gradient_methods())]
)
def test_a_search_is_the_same_bit_for_bit_with_and_without_diagnostics(name: str, statistics: str) -> None:
    overrides = [f"supernet.batch_norm={statistics}", "search.epochs=4"]
    diagnosed, plain = (begin(catalogue.get_method(name)(), *overrides, *more) for more in (ON, OFF))
    rows, expected = ([dict(search.run_epoch(epoch, quiet)) for epoch in (1, 2)] for search in (diagnosed, plain))
    assert [without(row, APART) for row in rows] == [without(row, APART) for row in expected]
    assert set(rows[0]) & RECORDED == (RECORDED if "alpha" in diagnosed.search.alphas else set())
    assert not RECORDED & set(expected[0])
    diagnosed.ranking()
    states = [search.state_dict() for search in (diagnosed, plain)]
    assert len(tensors(states[0])) > 50
    assert identical(tensors(states[0]), tensors(states[1]))
    assert [parameter.requires_grad for parameter in diagnosed.search.supernet.parameters()] == [
        parameter.requires_grad for parameter in plain.search.supernet.parameters()
    ]
    assert diagnosed.search.supernet.training
    grads = [[parameter.grad for parameter in s.search.supernet.parameters()] for s in (diagnosed, plain)]
    assert identical(tensors(grads[0]), tensors(grads[1]))


def test_the_global_random_stream_is_left_alone() -> None:
    search = begin(catalogue.get_method("gdas")(), *CHEAP)
    before = torch.get_rng_state()
    epochs(search)
    search.ranking()
    assert torch.equal(torch.get_rng_state(), before)


def start(folder: Path, name: str, *overrides: str) -> RunFolder:
    training = load_training_set("digits")
    rules = protocol(*overrides)
    planned = plan(folder, [catalogue.get_method(name)()], [0], NAS_BENCH_201, rules, training, 1)[0]
    planned.folder.write_json("config.json", planned.config)
    return planned.folder


class Killed(BaseException):
    """Stands for a kill."""


def run(folder: RunFolder, break_at: int | None = None) -> None:
    def emit(event: Any) -> None:
        if break_at is not None and event["kind"] == "epoch" and event["done"] >= break_at:
            raise Killed

    threads = torch.get_num_threads()
    try:
        worker.run(folder, None, "cpu", emit)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("name", "overrides"), [("darts", ON), ("gdas", [*CHEAP, "diagnostics.every=1"])])
def test_a_broken_run_with_diagnostics_ends_as_an_unbroken_one(name: str, overrides: list[str], tmp_path: Path) -> None:
    whole, broken = (start(tmp_path / study, name, *overrides) for study in ("whole", "broken"))
    run(whole)
    for done in (1, 3):  # the second time after the last epoch, and before the cells are ranked
        with pytest.raises(Killed):
            run(broken, break_at=done)
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

    def initial_alphas(self, space: Any, generator: torch.Generator) -> dict[str, Tensor]:
        return {"theta": super().initial_alphas(space, generator)["alpha"]}

    def mixture(self, search: Search) -> Mixture:
        return Mixture(search.alphas["theta"].softmax(dim=1))

    def derive(self, search: Search) -> Any:
        return search.space.discretise(search.alphas["theta"].detach())


def test_a_method_without_alpha_records_none() -> None:
    search = begin(Renamed(), *ON)
    assert not any((RECORDED | {"diagnostics_seconds"}) & set(row) for row in epochs(search))
    assert search.ranking() is None


# --- when, what, and the clock


def test_measurements_are_every_so_many_epochs_and_after_the_last() -> None:
    rows = epochs(begin(DARTS(), "search.epochs=5", *CHEAP), 5)
    assert [row["epoch"] for row in rows if "mixture_accuracy" in row] == [2, 4, 5]


@pytest.mark.parametrize(
    ("switch", "left"),
    [
        ("diagnostics.hessian=false", {"mixture_accuracy", "derived_accuracy"}),
        ("diagnostics.gap=false", {"hessian_eigenvalue"}),
    ],
)
def test_each_measurement_can_be_switched_off(switch: str, left: set[str]) -> None:
    row = begin(DARTS(), *ON, switch).run_epoch(2, quiet)
    assert RECORDED & set(row) == left


def test_ranking_can_be_switched_off(tmp_path: Path) -> None:
    folder = start(tmp_path, "darts", *CHEAP, "diagnostics.ranking_cells=0")
    run(folder)
    assert not (folder.path / "diagnostics.json").exists()


def test_diagnostics_are_no_search_cost() -> None:
    search = begin(DARTS(), *CHEAP)
    row = epochs(search)[-1]
    searched = row["weight_seconds"] + row["alpha_seconds"] + row["derivation_seconds"]
    assert search.cost.total == pytest.approx(searched)
    assert row["diagnostics_seconds"] == search.cost.seconds["diagnostics"] > 0
    assert row["forward_passes"] == row["backward_passes"] == 3 * 4
    search.ranking()
    assert search.cost.seconds["diagnostics"] > row["diagnostics_seconds"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="elsewhere the peak cannot be reset")
def test_memory_of_diagnostics_is_not_counted() -> None:
    cost = Cost(CPU)
    with cost.apart():
        assert torch.ones(2**26).sum() == 2**26  # 256 MiB
    assert cost.peak_memory_mib < 100
    assert torch.ones(2**26).sum() == 2**26
    assert cost.peak_memory_mib > 200
    with cost.apart():
        pass
    assert cost.peak_memory_mib > 200


# --- margin and gap


def test_the_margin_is_the_mean_over_edges_of_best_less_second() -> None:
    search = begin(DARTS(), *OFF)
    row = epochs(search, 1)[0]
    probabilities = search.search.alpha.detach().softmax(dim=1).sort(dim=1).values
    assert row["alpha_margin"] == pytest.approx(float((probabilities[:, -1] - probabilities[:, -2]).mean()), rel=1e-5)


def accuracy(search: GradientSearch, supernet: Supernet, mixture: Mixture) -> float:
    """% of the search-validation half, in one batch."""
    valid = search.data.valid
    images = (valid.images - valid.mean) / valid.sd
    with torch.no_grad():
        return 100 * float((supernet(images, mixture).argmax(dim=1) == valid.labels).double().mean())


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_the_gap_is_between_the_softmax_mixture_and_the_derived_cell_with_its_weights(name: str) -> None:
    search = begin(catalogue.get_method(name)(), *CHEAP, "weights.learning_rate=0.3")
    row = epochs(search)[-1]
    supernet, alpha = deepcopy(search.search.supernet), search.search.alpha.detach()
    cell = NAS_BENCH_201.parse(row["architecture"])
    assert row["mixture_accuracy"] == accuracy(search, supernet, Mixture(alpha.softmax(dim=1)))
    assert row["derived_accuracy"] == accuracy(search, supernet, Mixture.of(cell, 5))


def test_fewer_images_can_be_asked_for_and_are_the_same_whenever() -> None:
    one, other = (begin(DARTS(), *CHEAP, "diagnostics.images=5") for _ in range(2))
    assert epochs(one)[-1]["mixture_accuracy"] == epochs(other)[-1]["mixture_accuracy"]
    ranking = one.ranking()
    assert ranking is not None
    assert all(value * 5 % 100 == pytest.approx(0, abs=1e-9) for value in ranking["accuracies"])


def test_mlflow_is_told_the_gap() -> None:
    row: Any = begin(DARTS(), *ON).run_epoch(2, quiet)
    found = {metric.key: metric.value for metric in epoch_metrics(row, 0)}
    assert found["discretisation_gap"] == row["mixture_accuracy"] - row["derived_accuracy"]
    assert {"hessian_eigenvalue", "alpha_margin", "diagnostics_seconds"} <= set(found)


# --- the mixture


def test_a_sampling_method_is_diagnosed_with_softmax_and_its_noise_stays() -> None:
    for name in ("gdas", "snas"):
        method = catalogue.get_method(name)()
        assert isinstance(method, GradientMethod)
        search = build_search(method)
        before = search.noise.get_state()
        mixture = steady_mixture(method, search)
        assert torch.equal(mixture.weights, search.alpha.softmax(dim=1))
        assert mixture.selected is None
        assert torch.equal(search.noise.get_state(), before)
        assert (search.passes.forward, search.passes.backward) == (0, 0)


def test_a_method_without_noise_is_diagnosed_with_its_own_mixture_and_edge_weights() -> None:
    method = PCDARTS()
    search = build_search(method)
    mixture = steady_mixture(method, search)
    assert mixture.edge_weights is not None
    beta = softmax_over_incoming_edges(search.alphas["beta"], NAS_BENCH_201)
    assert torch.equal(mixture.edge_weights, beta)
    path = single_path(mixture, (1, 2, 3, 4, 0, 1))
    assert path.selected == (1, 2, 3, 4, 0, 1)
    assert path.edge_weights is mixture.edge_weights


# --- the Hessian


def finite_differences(search: Search, method: GradientMethod, images: Any, step: float = 1e-5) -> Tensor:
    """The Hessian by central differences of the gradient."""
    alpha = search.alpha

    def gradient() -> Tensor:
        loss = F.cross_entropy(search.supernet(images.images, steady_mixture(method, search)), images.labels)
        return torch.autograd.grad(loss, alpha)[0].flatten()

    rows = []
    for place in range(alpha.numel()):
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                alpha.view(-1)[place] += sign * step
            sides.append(gradient())
            with torch.no_grad():
                alpha.view(-1)[place] -= sign * step
        rows.append((sides[0] - sides[1]) / (2 * step))
    return torch.stack(rows)


@pytest.mark.parametrize(("method", "statistics"), [(DARTS(), "batch"), (PCDARTS(), "running")])
def test_the_hessian_is_what_finite_differences_give(method: GradientMethod, statistics: Any) -> None:
    config = NetworkConfig(channels=4, cells=1, classes=3, batch_norm=statistics)
    search = build_search(method, config=config, dtype=torch.float64)
    with torch.no_grad():
        search.alpha.mul_(500)
    images = batch("hessian", 8, 3, torch.float64)
    loss = F.cross_entropy(search.supernet(images.images, steady_mixture(method, search)), images.labels)
    found = hessian(loss, search.alpha)
    assert found.shape == (30, 30)
    expected = finite_differences(search, method, images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    largest = float(torch.linalg.eigvalsh((expected + expected.T) / 2)[-1])
    assert largest > 0
    assert largest_eigenvalue(loss, search.alpha) == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize("space", [OneEdge(), TwoEdges()])
def test_the_hessian_is_pytorchs_dense_one_and_weight_decay_shifts_it(space: OneEdge) -> None:
    search = build_search(DARTS(), space, dtype=torch.float64)
    images = lit("hessian")

    def loss(alpha: Tensor) -> Tensor:
        return F.cross_entropy(search.supernet(images.images, Mixture(alpha.softmax(dim=1))), images.labels)

    n = search.alpha.numel()
    dense = torch.autograd.functional.hessian(loss, search.alpha.detach()).reshape(n, n)
    assert dense.abs().max() > 1e-3
    torch.testing.assert_close(hessian(loss(search.alpha), search.alpha), dense)
    eigenvalue = largest_eigenvalue(loss(search.alpha), search.alpha)
    decayed = loss(search.alpha) + 0.5 * 0.25 * search.alpha.square().sum()
    assert eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(dense)[-1]))
    assert largest_eigenvalue(decayed, search.alpha) == pytest.approx(eigenvalue + 0.25)


def test_an_eigenvalue_that_is_not_finite_is_none() -> None:
    alpha = torch.zeros(2, 3, requires_grad=True)
    assert largest_eigenvalue((alpha.pow(2) * torch.inf).sum(), alpha) is None


class OnceDifferentiable(torch.autograd.Function):
    """A square without a second derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient * ctx.saved_tensors[0]


def test_a_supernet_without_second_derivatives_is_refused_in_one_line() -> None:
    alpha = torch.ones(2, 3, requires_grad=True)
    loss = OnceDifferentiable.apply(alpha).sum()
    with pytest.raises(
        HarnessError, match=r"the Hessian .* cannot be computed .*--fresh --set diagnostics\.hessian=fal"
    ):
        largest_eigenvalue(loss, alpha)


# --- the ranking


def test_all_methods_and_seeds_rank_the_same_cells_by_their_inherited_weights() -> None:
    searches = [begin(DARTS(), *CHEAP), begin(DARTS(), *CHEAP, seed=1), begin(PCDARTS(), *CHEAP)]
    rankings = []
    for search in searches:
        epochs(search, 1)
        rankings.append(search.ranking())
    assert all(ranking is not None and ranking["indices"] == rankings[0]["indices"] for ranking in rankings)  # type: ignore[index]
    ranking = rankings[0]
    assert ranking is not None
    assert json.loads(json.dumps(ranking)) == ranking
    supernet = deepcopy(searches[0].search.supernet)
    assert ranking["accuracies"] == [
        accuracy(searches[0], supernet, Mixture.of(NAS_BENCH_201.architecture(index), 5))
        for index in ranking["indices"]
    ]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 60), st.integers(0, 60))
def test_a_larger_sample_begins_with_the_smaller_and_no_cell_comes_twice(count: int, more: int) -> None:
    small, large = sample_cells(NAS_BENCH_201, count), sample_cells(NAS_BENCH_201, count + more)
    assert large[:count] == small
    assert len(set(large)) == count + more


def test_a_small_space_gives_all_its_cells() -> None:
    assert sorted(sample_cells(TwoEdges(), 50)) == [(a, b) for a in range(3) for b in range(3)]


# --- settings


def identities(study: Path, overrides: Sequence[str]) -> list[Any]:
    training = load_training_set("digits")
    return plan(study, [DARTS()], [0], NAS_BENCH_201, protocol(*overrides), training, 1)


def test_diagnostics_change_neither_hash_nor_identity_and_such_runs_are_comparable(tmp_path: Path) -> None:
    assert protocol(*ON).hash == protocol(*OFF).hash == protocol().hash
    on, off = identities(tmp_path, ON), identities(tmp_path, OFF)
    assert on[0].folder.path == off[0].folder.path
    open_study(tmp_path, on, "harness run", None)
    on[0].folder.write_json("config.json", on[0].config)
    check_comparable(tmp_path, off)
    again = identities(tmp_path, OFF)[0]
    assert again.config["protocol"]["diagnostics"]["hessian"] is True  # what was begun goes on as it began


def test_a_protocol_of_before_diagnostics_measures_none() -> None:
    stored = protocol().model_dump(mode="json")
    del stored["diagnostics"]
    old = Protocol.model_validate(stored)
    assert old.diagnostics == NO_DIAGNOSTICS
    assert old.hash == protocol().hash
    search = GradientSearch(DARTS(), NAS_BENCH_201, data(old), old, 0, CPU)
    assert not any(RECORDED & set(row) for row in epochs(search))
    assert search.ranking() is None


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
