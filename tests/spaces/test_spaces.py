"""What every method and every space must keep to together, and how methods derive where nodes drop edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness import registry
from harness.benchmark_import.importing import import_table
from harness.benchmarks.load import load_table
from harness.errors import HarnessError
from harness.methods.base import Evaluation, QueryMethod, SearchState
from harness.methods.bohb import possible
from harness.methods.darts_pt import DARTSPT
from harness.methods.setn import most_probable
from harness.methods.spos import crossover, mutated
from harness.random_streams import stream
from harness.spaces.base import Architecture, Mixture, NetworkConfig, SearchSpace
from tests.support.toy import build_search, gradient_methods, proposed, query_state, step

SPACES = {name: registry.get_space(name) for name in registry.spaces()}
QUERY_METHODS = [name for name in registry.methods() if issubclass(registry.get_method(name), QueryMethod)]
SHORT = {"sdarts-adv": {"steps": 1}, "autokeras": {"T_low": 0.1}}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@every_space
@pytest.mark.parametrize("name", gradient_methods())
def test_every_gradient_method_searches_every_space(name: str, space: SearchSpace) -> None:
    method = registry.get_method(name)(**SHORT.get(name, {}))
    search = build_search(method, space, NetworkConfig(channels=4, cells=1, classes=3), epochs=2)
    taste = torch.rand(len(space.edges), len(space.operations), generator=stream(0, "taste"))

    def validate(mixture: Mixture) -> float:
        """Stands for a pass over half of the images."""
        return float((taste * mixture.weights).sum())

    search.validate, search.curvature = validate, lambda: 1.0
    for epoch in range(2):
        search.epoch = epoch
        method.begin_epoch(search)
        step(method, search, seed=epoch)
        assert space.validate(method.derive(search))
    assert all(value.isfinite().all() for value in [*search.supernet.parameters(), *search.alphas.values()])


@every_space
@pytest.mark.parametrize("name", QUERY_METHODS)
def test_every_query_method_proposes_cells_of_every_space(name: str, space: SearchSpace) -> None:
    method = registry.get_method(name)(**SHORT.get(name, {}))
    state = query_state(method, space)
    for accuracy in (10.0, 30.0, 20.0) * 10:
        state.history.append(Evaluation(space.validate(proposed(method, state)), accuracy))
        method.tell(state)
    assert method.derive(state.history) == state.history[1].architecture
    assert len({cell for cell, _ in state.history}) > 10


# Nodes that keep two of their edges

DARTS = SPACES["darts"]
NODES = [[edge for edge, (_, end) in enumerate(DARTS.edges) if end == target] for target in DARTS.outputs]
NODE_5 = NODES[3]
SEP = DARTS.operations.index("sep_conv_3x3")


def searched(name: str, alpha: torch.Tensor) -> SearchState:
    """A search of the DARTS space in its last epoch, with this α."""
    config = NetworkConfig(channels=4, cells=1, classes=3)
    search = build_search(registry.get_method(name)(), DARTS, config, epochs=1)
    with torch.no_grad():
        search.alpha.copy_(alpha)
    return search


def kept(name: str, state: SearchState) -> list[int]:
    """Which edges of node 5 of the normal cell are derived, all of them separable convolutions."""
    cell = registry.get_method(name)().derive(state)
    edges = [edge for edge in NODE_5 if cell[edge]]
    assert all(cell[edge] == SEP for edge in edges)
    return [NODE_5.index(edge) for edge in edges]


def rising() -> torch.Tensor:
    """Every edge prefers a separable convolution, the more so the later it comes."""
    alpha = torch.zeros(28, 8)
    alpha[:, SEP] = torch.linspace(1, 2, 28)
    return alpha


def test_edges_are_compared_by_their_largest_softmax() -> None:
    assert kept("darts", searched("darts", rising())) == [3, 4]


def test_pc_darts_compares_edges_by_its_edge_normalisation_too() -> None:
    search = searched("pc-darts", rising())
    with torch.no_grad():
        search.alphas["beta"][NODE_5] = torch.tensor([5.0, 0.0, 5.0, 0.0, 0.0])
    assert kept("pc-darts", search) == [0, 2]


def test_fair_darts_compares_edges_by_the_sigmoid() -> None:
    alpha = rising()
    alpha[NODE_5[4]] = -9.0  # surer by softmax than edge 2, not by sigmoid
    alpha[NODE_5[4], SEP] = 0.5
    search = searched("fair-darts", alpha)
    assert kept("darts", search) == [3, 4]
    assert kept("fair-darts", search) == [2, 3]


def test_darts_pt_keeps_the_edges_without_which_the_supernet_is_worst() -> None:
    alpha = torch.full((28, 8), -1000.0)
    alpha[:, SEP] = 0.0
    search = searched("darts-pt", alpha)
    worth = torch.arange(28.0)
    worth[NODE_5] = torch.tensor([3.0, 9.0, 1.0, 2.0, 9.0])
    search.validate = lambda mixture: float((worth[:, None] * mixture.weights).sum())
    assert kept("darts-pt", search) == [1, 4]


def test_darts_pt_does_not_choose_an_operation_that_no_genotype_has() -> None:
    search = searched("darts-pt", torch.zeros(28, 8))
    worth = torch.zeros(8)
    worth[0], worth[SEP] = 9.0, 1.0
    search.validate = lambda mixture: float((worth * mixture.weights).sum())
    DARTSPT().begin_epoch(search)
    assert set(DARTSPT().derive(search)) == {0, SEP}


def test_children_of_spos_are_entered_as_either_parent_is() -> None:
    rng = stream(0, "noise")
    one, other = DARTS.sample(rng), DARTS.sample(rng)
    for _ in range(20):
        child = DARTS.validate(crossover(one, other, DARTS, rng))
        for edges in NODES:
            assert [child[edge] for edge in edges] in [[cell[edge] for edge in edges] for cell in (one, other)]
        assert DARTS.validate(mutated(child, 0.5, DARTS, rng))


def test_bohb_makes_genotypes_of_the_edges_that_it_draws() -> None:
    rng, operations = stream(0, "noise"), np.random.default_rng(0)
    genotypes = np.array([DARTS.sample(rng) for _ in range(20)])
    assert (possible(DARTS, genotypes, rng) == genotypes).all()
    drawn = operations.integers(0, 8, (20, 28))
    for cell, edges in zip(possible(DARTS, drawn, rng), drawn, strict=True):
        DARTS.validate(cell.tolist())
        for node in NODES:
            kept = [edge for edge in node if cell[edge]]
            assert sum(cell[edge] == edges[edge] for edge in kept) == min(2, sum(edges[edge] > 0 for edge in node))


def test_setn_scores_the_most_probable_genotypes() -> None:
    log_p = torch.randn(28, 8, generator=stream(0, "alpha")).log_softmax(dim=1)
    cells = most_probable(DARTS, log_p, 40)

    def probability(cell: Architecture) -> float:
        return float(log_p.double()[range(28), list(cell)].sum())

    sums = [probability(cell) for cell in cells]
    assert len(set(cells)) == 40
    assert sums == sorted(sums, reverse=True)
    generator = stream(0, "cells")
    others = [DARTS.sample(generator) for _ in range(300)] + DARTS.neighbours(cells[0])
    assert all(cell in cells or probability(cell) <= sums[-1] for cell in others)


# No table


def test_tables_of_a_space_too_large_for_one_are_refused(tmp_path: Path) -> None:
    for attempt in (
        lambda: load_table(None, DARTS),
        lambda: load_table(tmp_path / "any.csv", DARTS),
        lambda: import_table(tmp_path / "any.csv", DARTS),
    ):
        with pytest.raises(HarnessError, match=r"no table can hold .* cells of darts, .*--evaluate retrain"):
            attempt()
