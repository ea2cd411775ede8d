"""What diagnostics measure: margin, gap, the mixture they are taken under, the Hessian, ranking, perturbation."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from harness import registry
from harness.errors import HarnessError
from harness.methods.base import Passes, SearchState, WeightSharingMethod
from harness.methods.darts import DARTS
from harness.methods.darts_pt import most_needed_operation
from harness.methods.pc_darts import PCDARTS, softmax_over_incoming_edges
from harness.random_streams import stream
from harness.search.diagnostics import deterministic_mixture, largest_eigenvalue, sample_cells, single_path
from harness.search.weight_sharing import WeightSharingSearch
from harness.spaces.base import Mixture, NetworkConfig, Supernet
from harness.tracking.metrics import epoch_metrics
from tests.support.diagnosed import CHEAP, ON, epochs, hessian
from tests.support.small_search import (
    PLAIN,
    gradient_search,
    quiet,
)
from tests.support.toy import NAS_BENCH_201, OneEdge, TwoEdges, batch, build_search, lit

# --- margin and gap


def test_the_margin_is_the_mean_over_edges_of_best_less_second() -> None:
    search = gradient_search(DARTS(), *PLAIN)
    row = epochs(search, 1)[0]
    probabilities = search.state.alpha.detach().softmax(dim=1).sort(dim=1).values
    assert row["alpha_margin"] == pytest.approx(float((probabilities[:, -1] - probabilities[:, -2]).mean()), rel=1e-5)


def accuracy(search: WeightSharingSearch, supernet: Supernet, mixture: Mixture) -> float:
    """% of the search-validation half, in one batch."""
    valid = search.data.valid
    images = (valid.images - valid.mean) / valid.sd
    with torch.no_grad():
        return 100 * float((supernet(images, mixture).argmax(dim=1) == valid.labels).double().mean())


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_the_gap_is_between_the_softmax_mixture_and_the_derived_cell_with_its_weights(name: str) -> None:
    search = gradient_search(registry.get_method(name)(), *CHEAP, "weights.learning_rate=0.3")
    row = epochs(search)[-1]
    supernet, alpha = deepcopy(search.state.supernet), search.state.alpha.detach()
    cell = NAS_BENCH_201.parse(row["architecture"])
    assert row["mixture_accuracy"] == accuracy(search, supernet, Mixture(alpha.softmax(dim=1)))
    assert row["derived_accuracy"] == accuracy(search, supernet, Mixture.of(cell, 5))


def test_fewer_images_can_be_asked_for_and_are_the_same_whenever() -> None:
    one, other = (gradient_search(DARTS(), *CHEAP, "diagnostics.images=5") for _ in range(2))
    assert epochs(one)[-1]["mixture_accuracy"] == epochs(other)[-1]["mixture_accuracy"]
    ranking = one.final_diagnostics()
    assert ranking is not None
    assert all(value * 5 % 100 == pytest.approx(0, abs=1e-9) for value in ranking["accuracies"])


def test_mlflow_is_told_the_gap() -> None:
    row: Any = gradient_search(DARTS(), *ON).run_epoch(2, quiet)
    found = {metric.key: metric.value for metric in epoch_metrics(row, 0)}
    assert found["discretisation_gap"] == row["mixture_accuracy"] - row["derived_accuracy"]
    assert {"hessian_eigenvalue", "alpha_margin", "diagnostics_seconds"} <= set(found)


# --- the mixture


def test_a_sampling_method_is_diagnosed_with_softmax_and_its_noise_stays() -> None:
    for name in ("gdas", "snas"):
        method = registry.get_method(name)()
        assert isinstance(method, WeightSharingMethod)
        search = build_search(method)
        before = search.rng.get_state()
        mixture = deterministic_mixture(method, search)
        assert torch.equal(mixture.weights, search.alpha.softmax(dim=1))
        assert mixture.selected is None
        assert torch.equal(search.rng.get_state(), before)
        assert (search.passes.forward, search.passes.backward) == (0, 0)


def test_a_method_without_noise_is_diagnosed_with_its_own_mixture_and_edge_weights() -> None:
    method = PCDARTS()
    search = build_search(method)
    mixture = deterministic_mixture(method, search)
    assert mixture.edge_weights is not None
    beta = softmax_over_incoming_edges(search.alphas["beta"], NAS_BENCH_201)
    assert torch.equal(mixture.edge_weights, beta)
    path = single_path(mixture, (1, 2, 3, 4, 0, 1))
    assert path.selected == (1, 2, 3, 4, 0, 1)
    assert path.edge_weights is mixture.edge_weights


# --- the Hessian


def finite_differences(state: SearchState, method: WeightSharingMethod, images: Any, step: float = 1e-5) -> Tensor:
    """The Hessian by central differences of the gradient."""
    alpha = state.alpha

    def gradient() -> Tensor:
        loss = F.cross_entropy(state.supernet(images.images, deterministic_mixture(method, state)), images.labels)
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
def test_the_hessian_is_what_finite_differences_give(method: WeightSharingMethod, statistics: Any) -> None:
    config = NetworkConfig(channels=4, cells=1, classes=3, batch_norm=statistics)
    search = build_search(method, config=config, dtype=torch.float64)
    with torch.no_grad():
        search.alpha.mul_(500)
    images = batch("hessian", 8, 3, torch.float64)
    loss = F.cross_entropy(search.supernet(images.images, deterministic_mixture(method, search)), images.labels)
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


def test_lanczos_finds_the_largest_eigenvalue_in_few_products() -> None:
    generator = stream(0, "matrix")
    basis, _ = torch.linalg.qr(torch.randn(120, 120, generator=generator, dtype=torch.float64))
    values = torch.linspace(-1, 1, 120, dtype=torch.float64)
    values[7] = 3.0
    matrix = basis @ torch.diag(values) @ basis.T
    alpha = torch.randn(15, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    passes = Passes()
    loss = 0.5 * alpha.flatten() @ matrix @ alpha.flatten()
    assert largest_eigenvalue(loss, alpha, passes) == pytest.approx(3.0, rel=1e-5)
    assert passes.backward < 30
    assert largest_eigenvalue(-loss, alpha) == pytest.approx(1.0, abs=0.01)  # the largest, not the one farthest from 0
    assert largest_eigenvalue(0 * loss, alpha) == 0
    assert largest_eigenvalue(loss * torch.inf, alpha) is None


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


@pytest.mark.parametrize("operations", [3, 50])  # the whole Hessian, and Lanczos's method
def test_a_loss_without_alpha_is_told_in_plain_words(operations: int) -> None:
    alpha = torch.ones(2, operations, requires_grad=True)
    with pytest.raises(HarnessError, match="the loss does not depend on α: the method's mixture must"):
        largest_eigenvalue((torch.ones(2, requires_grad=True) * alpha.detach().sum()).sum(), alpha)


# --- the ranking


def test_all_methods_and_seeds_rank_the_same_cells_by_their_inherited_weights() -> None:
    searches = [
        gradient_search(DARTS(), *CHEAP),
        gradient_search(DARTS(), *CHEAP, seed=1),
        gradient_search(PCDARTS(), *CHEAP),
    ]
    rankings = []
    for search in searches:
        epochs(search, 1)
        found = search.final_diagnostics()
        assert found is not None
        rankings.append(found)
    assert all(ranking["indices"] == rankings[0]["indices"] for ranking in rankings)
    ranking = rankings[0]
    assert json.loads(json.dumps(ranking)) == ranking
    supernet = deepcopy(searches[0].state.supernet)
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


# --- the perturbation


def decided(method: WeightSharingMethod) -> WeightSharingSearch:
    """A search after an epoch on some more images, whose α differ enough for an operation to matter."""
    search = gradient_search(
        method, *CHEAP, "weights.learning_rate=0.3", "data.images=256", "diagnostics.ranking_cells=0"
    )
    epochs(search, 1)
    with torch.no_grad():
        search.state.alpha.mul_(1000)
    return search


@pytest.mark.parametrize("method", [DARTS(), registry.get_method("gdas")(), PCDARTS()])
def test_a_perturbation_is_what_the_mixture_loses_without_an_operation(method: WeightSharingMethod) -> None:
    search = decided(method)
    found = search.final_diagnostics()
    assert found is not None
    supernet, mixture = deepcopy(search.state.supernet), deterministic_mixture(method, search.state)
    assert (mixture.edge_weights is not None) == isinstance(method, PCDARTS)
    whole = accuracy(search, supernet, mixture)
    for edge, row in enumerate(found["perturbation"]):
        assert len(row) == 5
        assert row[0] == 0  # the operation none gives nothing, so that leaving it out takes nothing away
        for operation, lost in enumerate(row):
            weights = mixture.weights.detach().clone()
            weights[edge, operation] = 0
            without = Mixture(weights, edge_weights=mixture.edge_weights)
            assert lost == whole - accuracy(search, supernet, without)
    assert len(found["perturbation"]) == 6
    assert any(lost != 0 for row in found["perturbation"] for lost in row)


def test_it_is_the_score_by_which_darts_pt_selects() -> None:
    method = registry.get_method("darts-pt")()
    search = decided(method)
    found = search.final_diagnostics()
    assert found is not None
    for edge, row in enumerate(found["perturbation"]):
        assert row.index(max(row)) == most_needed_operation(search.state, edge)
