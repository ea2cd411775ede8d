"""What a cell costs in the loss of α: exact costs of operations, their gradient, and what a weight of 0 leaves be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness import registry
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.methods.base import SearchState, WeightSharingMethod
from harness.methods.darts import DARTS, SecondOrderDARTS
from harness.methods.gaea import GAEA
from harness.methods.gdas import GDAS
from harness.methods.pc_darts import PCDARTS
from harness.methods.sdarts import AdversarialSmoothDARTS
from harness.methods.snas import SNAS
from harness.random_streams import stream
from harness.runs.identity import identity
from harness.runs.schema import RunConfig
from harness.search.operation_costs import cells_to_compare, operation_costs, penalties
from harness.spaces.base import NetworkConfig
from harness.spaces.network_size import Size, benchmark_size, size_of
from harness.study.configure import check_possible
from harness.study.planning import plan_runs
from tests.support.small_search import CPU, gradient_search, protocol, quiet
from tests.support.toy import NAS_BENCH_201, batch, build_again, build_search, gradient_methods, identical, step

CONFIG = NetworkConfig(channels=4, cells=2, classes=3)
IMAGE_SIZE = 8
WEIGHTS = {"flops_weight", "parameters_weight", "latency_weight"}
COSTS = torch.linspace(0, 1, 30).view(6, 5).sin()
TRAIN, VALID = batch("train"), batch("valid")


def paying(method: WeightSharingMethod, costs: Tensor | None = COSTS, **options: Any) -> SearchState:
    search = build_search(method, epochs=10, epoch=9, **options)
    search.penalties = costs
    return search


# --- the costs


def test_costs_of_operations_add_up_to_the_size_of_every_cell() -> None:
    costs = operation_costs(NAS_BENCH_201, CONFIG, IMAGE_SIZE)
    nothing = torch.tensor(size_of(NAS_BENCH_201, (0,) * 6, CONFIG, IMAGE_SIZE))
    generator = stream(0, "cells")
    for cell in [(3,) * 6, (1,) * 6, *(NAS_BENCH_201.sample(generator) for _ in range(10))]:
        total = costs[range(6), list(cell)].sum(dim=0) + nothing
        assert total.tolist() == list(size_of(NAS_BENCH_201, cell, CONFIG, IMAGE_SIZE))


def test_costs_of_operations_are_those_of_their_convolutions() -> None:
    of_parameters, of_flops = operation_costs(NAS_BENCH_201, CONFIG, IMAGE_SIZE)[2].unbind(dim=1)
    widths, pixels = torch.tensor([4, 8, 16]), torch.tensor([64, 16, 4])
    one, nine = ((2 * taps * widths**2).sum() for taps in (1, 9))  # two cells a stage
    norm = (2 * 2 * widths).sum()  # scale and shift
    assert of_parameters.tolist() == [0, 0, one + norm, nine + norm, 0]
    assert of_flops.tolist() == [0, 0, (2 * widths**2 * pixels).sum(), 9 * (2 * widths**2 * pixels).sum(), 0]


@pytest.mark.parametrize("name", ["nas-bench-201", "darts"])
def test_every_edge_costs_what_the_network_with_it_has_more(name: str) -> None:
    space, config = registry.get_space(name), NetworkConfig(channels=4, cells=1, classes=3)
    sizes = [[size_of(space, cell, config, IMAGE_SIZE) for cell in cells] for cells in cells_to_compare(space)]
    each = torch.tensor(sizes, dtype=torch.float64)
    assert torch.equal(operation_costs(space, config, IMAGE_SIZE), each - each[:, :1])


def test_costs_need_a_network_for_each_operation_on_each_kind_of_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[int, ...]] = []
    for name, kinds in (("nas-bench-201", 1), ("darts", 3)):
        space = registry.get_space(name)
        built.clear()
        monkeypatch.setattr(
            "harness.search.operation_costs.size_of", lambda _, cell, *__: built.append(cell) or Size(0, 0)
        )
        operation_costs(space, CONFIG, IMAGE_SIZE)
        assert len(built) == len(set(built)) <= kinds * len(space.operations)


def test_the_dearest_cell_pays_the_weight_and_weights_add_up() -> None:
    costs = penalties(DARTS(flops_weight=0.5), NAS_BENCH_201, CONFIG, IMAGE_SIZE, None, CPU)
    assert costs is not None
    assert float(costs.amax(dim=1).sum()) == pytest.approx(0.5)  # of it six 3×3 convolutions, a 1×1 costs a ninth
    torch.testing.assert_close(costs, torch.tensor([0, 0, 0.5 / 54, 0.5 / 6, 0]).expand(6, 5))
    both = penalties(DARTS(flops_weight=0.5, parameters_weight=2), NAS_BENCH_201, CONFIG, IMAGE_SIZE, None, CPU)
    other = penalties(DARTS(parameters_weight=2), NAS_BENCH_201, CONFIG, IMAGE_SIZE, None, CPU)
    assert both is not None
    assert other is not None
    torch.testing.assert_close(both, costs + other)
    assert penalties(DARTS(), NAS_BENCH_201, CONFIG, IMAGE_SIZE, None, CPU) is None


def test_the_slowest_cell_pays_the_weight_of_latency() -> None:
    seconds = [[0.0, 0.001, 0.003, 0.004, 0.002]] * 5 + [[0.0] * 5]  # an edge on which nothing takes time
    costs = penalties(DARTS(latency_weight=2), NAS_BENCH_201, CONFIG, IMAGE_SIZE, seconds, CPU)
    assert costs is not None
    torch.testing.assert_close(costs, torch.tensor(seconds) * 2 / 0.02)
    unknown = penalties(DARTS(latency_weight=2), NAS_BENCH_201, CONFIG, IMAGE_SIZE, None, CPU)
    assert unknown is not None
    assert not unknown.any()


def test_costs_add_up_to_the_size_of_every_darts_genotype_and_the_dearest_pays_the_weight() -> None:
    space, generator = registry.get_space("darts"), stream(0, "cells")
    config = NetworkConfig(channels=4, cells=1, classes=3)
    costs = operation_costs(space, config, IMAGE_SIZE)
    pooled = space.architecture(0)
    nothing = torch.tensor(size_of(space, pooled, config, IMAGE_SIZE))
    for cell in [space.sample(generator) for _ in range(5)]:
        total = costs[range(28), list(cell)].sum(dim=0) + nothing
        assert total.tolist() == list(size_of(space, cell, config, IMAGE_SIZE))
    pays = penalties(DARTS(flops_weight=0.5), space, config, IMAGE_SIZE, None, CPU)
    assert pays is not None
    assert float(pays[range(28), list(space.discretize(pays, pays))].sum()) == pytest.approx(0.5)
    assert float(pays.amax(dim=1).sum()) > 0.5  # of edges that no genotype has together


# --- the gradient


@pytest.mark.parametrize("method", [DARTS(), GAEA(), PCDARTS()], ids=lambda method: method.name)
def test_the_gradient_of_the_expected_cost_is_that_of_finite_differences(method: WeightSharingMethod) -> None:
    costs = COSTS.double()
    plain, with_costs = (paying(method, value, dtype=torch.float64) for value in (None, costs))
    found = []
    for search in (plain, with_costs):
        with torch.no_grad():
            search.alpha.copy_(torch.linspace(-1, 1, 30, dtype=torch.float64).view(6, 5).sin())
        images = batch("valid", dtype=torch.float64)
        forward = search.forward(images, method.mixture(search))
        found.append((forward.loss.item(), *search.gradients(forward.loss, [search.alpha])))
    assert found[0][0] == found[1][0]  # the reported loss is the cross-entropy alone

    def expected_cost(alpha: Tensor) -> float:
        return float((alpha.softmax(dim=1) * costs).sum())

    differences = torch.zeros(30, dtype=torch.float64)
    for place in range(30):
        shift = torch.zeros(30, dtype=torch.float64)
        shift[place] = 1e-5
        alpha, shift = plain.alpha.detach(), shift.view(6, 5)
        differences[place] = (expected_cost(alpha + shift) - expected_cost(alpha - shift)) / 2e-5
    assert differences.abs().max() > 0.01
    torch.testing.assert_close(found[1][1] - found[0][1], differences.view(6, 5), rtol=1e-6, atol=1e-9)


def test_gdas_pays_for_the_cell_that_it_drew_with_the_gradient_of_its_probabilities() -> None:
    found = []
    for costs in (None, COSTS):
        search = paying(GDAS(), costs)
        twin = build_again(search)
        forward = search.forward(VALID, GDAS().mixture(search))
        (gradient,) = search.gradients(forward.loss, [search.alpha])
        found.append(gradient)
        if costs is not None:
            (expected,) = torch.autograd.grad((GDAS().mixture(twin).weights * costs).sum(), search.alpha)
    torch.testing.assert_close(found[1] - found[0], expected)


def test_the_second_order_pays_once() -> None:
    gradients = []
    for costs in (None, COSTS):
        search = paying(SecondOrderDARTS(), costs)
        SecondOrderDARTS().alpha_step(search, TRAIN, VALID)
        assert search.alpha.grad is not None
        gradients.append(search.alpha.grad.clone())
    p = build_search(SecondOrderDARTS(), epochs=10).alpha.detach().softmax(dim=1)
    of_cost = p * (COSTS - (p * COSTS).sum(dim=1, keepdim=True))
    torch.testing.assert_close(gradients[1] - gradients[0], of_cost, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", [DARTS(), AdversarialSmoothDARTS()], ids=lambda method: method.name)
def test_weights_learn_nothing_of_costs(method: WeightSharingMethod) -> None:
    ends = []
    for costs in (None, 100 * COSTS):
        search = paying(method, costs)
        method.weight_step(search, TRAIN)
        ends.append([*search.supernet.parameters(), search.alpha])
    assert identical(*ends)


@pytest.mark.parametrize("method", [DARTS(), SNAS(), GDAS()], ids=lambda method: method.name)
def test_a_dear_operation_loses_weight(method: WeightSharingMethod) -> None:
    dear = torch.zeros(6, 5)
    dear[:, 3] = 100.0
    ends = []
    for costs in (None, dear):
        search = build_search(method)
        search.penalties = costs
        for seed in range(5):
            step(method, search, seed)
        ends.append(search.alpha.detach().softmax(dim=1)[:, 3].mean())
    assert ends[1] < 0.8 * ends[0]


# --- runs


@pytest.mark.parametrize("name", gradient_methods())
def test_without_a_weight_the_settings_that_enter_an_identity_are_those_of_before(name: str) -> None:
    method = registry.get_method(name)()
    assert set(method.model_dump(mode="json")) == set(type(method).model_fields) - WEIGHTS


def test_a_weight_changes_label_and_identity_and_survives_in_the_configuration(tmp_path: Any) -> None:
    methods = [DARTS(), DARTS(flops_weight=0.5)]
    runs = plan_runs(tmp_path, methods, [0], NAS_BENCH_201, protocol(), load_training_set("digits"), 1)
    plain, weighed = (run.config for run in runs)
    assert weighed["label"] == "darts[flops_weight=0.5]"
    assert plain["identity"] != weighed["identity"]
    settings: RunConfig = weighed  # type: ignore[assignment]
    assert DARTS(**settings["hyperparameters"]) == methods[1]
    assert identity(settings) == weighed["identity"]


@pytest.mark.parametrize("name", ["enas", "random-search-ws", "spos"])
def test_a_method_without_alpha_cannot_pay(name: str) -> None:
    method = registry.get_method(name)(flops_weight=1)
    with pytest.raises(HarnessError, match="has no α that could learn what a cell costs; leave out flops_weight"):
        check_possible(method, NAS_BENCH_201, protocol(), load_training_set("digits"))


def test_a_search_that_pays_derives_a_cheaper_cell_and_goes_on_bit_for_bit() -> None:
    overrides = ("search.epochs=4", "alpha.learning_rate=0.3")
    searches = [gradient_search(DARTS(flops_weight=weight), *overrides) for weight in (0.0, 50.0)]
    rows = [[search.run_epoch(epoch, quiet) for epoch in range(4)][-1] for search in searches]
    free, paid = (benchmark_size(NAS_BENCH_201, NAS_BENCH_201.parse(row["architecture"])).flops for row in rows)
    assert paid < free
    assert rows[1]["operations"]["nor_conv_3x3"] == 0
    assert searches[0].state.penalties is None

    broken, resumed = (gradient_search(DARTS(flops_weight=50.0), *overrides) for _ in range(2))
    broken.run_epoch(0, quiet)
    resumed.load_state_dict(broken.state_dict())
    for epoch in range(1, 4):
        resumed.run_epoch(epoch, quiet)
    assert torch.equal(resumed.state.alpha, searches[1].state.alpha)
    assert resumed.state.passes == searches[1].state.passes
