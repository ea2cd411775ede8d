"""NASNet's controller: PPO by hand, and a search that goes on without learning anything twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from harness.config.protocol import load_protocol
from harness.methods import nasnet
from harness.methods.base import Evaluation
from harness.methods.nasnet import NASNet
from harness.methods.random_search import RandomSearch
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.query_by_lookup import LookupQuerySearch
from tests.methods.test_query import SMOOTH, assert_frequencies, search
from tests.support.toy import NAS_BENCH_201 as SPACE
from tests.support.toy import OneEdge, TwoEdges, identical, query_state


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As when a search asks."""
    threads = torch.get_num_threads()
    with nasnet.one_thread():
        assert torch.get_num_threads() == 1
        yield
    assert torch.get_num_threads() == threads


def test_the_objective_is_clipped_as_by_hand() -> None:
    now = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])  # of one decision, in two cells
    chosen, before, advantage = [0, 2], [0.25, 0.5], [2.0, -1.0]
    expected = 0.0
    for cell in range(2):
        ratio = now[cell][chosen[cell]] / before[cell]  # 2, and 0.6
        clipped = max(0.8, min(1.2, ratio))
        expected += min(ratio * advantage[cell], clipped * advantage[cell]) / 2
        expected += 0.1 * -(now[cell] * np.log(now[cell])).sum() / 2
    objective = NASNet(clip=0.2, entropy_weight=0.1).objective(
        torch.tensor(now)[:, None].log(),
        torch.tensor(before)[:, None].log(),
        torch.tensor(chosen)[:, None],
        torch.tensor(advantage),
    )
    assert objective.item() == pytest.approx(expected)
    assert expected - 0.1 * 0.5 * (1.0297 + 0.8979) == pytest.approx((1.2 * 2 - 0.8) / 2, abs=1e-3)


def test_an_update_is_adam_on_the_objective_with_the_average_of_earlier_rewards_as_baseline() -> None:
    method = NASNet(batch=4, updates=3, hidden=6, learning_rate=0.01, baseline_decay=0.5)
    history = search(RandomSearch(), SMOOTH, 11)
    reference = query_state(method, seed=7).memory["controller"]
    adam = torch.optim.Adam(reference.parameters(), lr=0.01)
    rewards = [seen.valid_accuracy / 100 for seen in history]
    for start in (0, 4):
        batch = range(start, start + 4)
        cells = torch.tensor([history[i].architecture for i in batch])
        old = reference(cells).detach()
        for _ in range(3):
            adam.zero_grad()
            log_p = reference(cells)
            total = torch.zeros(())
            for row, i in enumerate(batch):
                weights = [0.5**age for age in range(i)][::-1]
                baseline = np.average(rewards[:i], weights=weights) if i else rewards[0]
                for edge, operation in enumerate(history[i].architecture):
                    ratio = (log_p[row, edge, operation] - old[row, edge, operation]).exp()
                    gain = rewards[i] - float(baseline)
                    total = total + min(ratio * gain, ratio.clamp(0.8, 1.2) * gain) / 24
                    total = total - 1e-5 * (log_p[row, edge].exp() * log_p[row, edge]).sum() / 24
            (-total).backward()
            adam.step()
    learnt = query_state(method, SPACE, history, seed=7).memory["controller"]
    for one, other in zip(learnt.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_cells_are_drawn_decision_by_decision_from_the_controller() -> None:
    method, space = NASNet(learning_rate=0.1, batch=2, updates=5, hidden=4), TwoEdges()
    history = [Evaluation((0, 1), 10.0), Evaluation((2, 1), 60.0)]
    cells = list(itertools.product(range(3), repeat=2))
    state = query_state(method, space, history)
    controller = state.memory["controller"]
    with torch.no_grad():
        p = controller(torch.tensor(cells)).exp()
    expected = {cell: float(p[row, 0, cell[0]] * p[row, 1, cell[1]]) for row, cell in enumerate(cells)}
    assert sum(expected.values()) == pytest.approx(1)
    assert_frequencies(Counter(method.ask(state) for _ in range(500)), expected)


def test_the_initial_weights_are_uniform_and_follow_from_the_seed_alone() -> None:
    first, again, other = (
        list(query_state(NASNet(), seed=seed).memory["controller"].parameters()) for seed in (3, 3, 4)
    )
    values = torch.cat([parameter.detach().flatten() for parameter in first])
    assert 0.099 < values.max() <= 0.1
    assert -0.1 <= values.min() < -0.099
    assert abs(values.mean()) < 1e-3
    assert identical(first, again)
    assert not identical(again, other)


def test_a_restored_search_goes_on_without_replaying_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    method = NASNet(batch=5, hidden=8)
    rules = load_protocol("quick", ["search.epochs=4", "queries.answers=table", "queries.evaluations=60"])
    whole, first, second = (LookupQuerySearch(method, SPACE, BenchmarkQuery(SMOOTH, None), rules, 0) for _ in range(3))
    batches: list[Sequence[Evaluation]] = []
    learn = NASNet.learn

    def counting(self: NASNet, memory: dict[str, Any], evaluations: Sequence[Evaluation]) -> None:
        batches.append(evaluations)
        learn(self, memory, evaluations)

    monkeypatch.setattr(NASNet, "learn", counting)
    for epoch in range(4):
        whole.run_epoch(epoch, lambda done: None)
    assert batches == [whole.history[start : start + 5] for start in range(0, 60, 5)]
    batches.clear()
    for epoch in range(2):
        first.run_epoch(epoch, lambda done: None)
    second.load_state_dict(first.state_dict())
    batches.clear()
    for epoch in range(2, 4):
        second.run_epoch(epoch, lambda done: None)
    assert len(batches) == 6
    assert second.history == whole.history
    ones, others = (list(each.state.memory["controller"].parameters()) for each in (whole, second))
    assert identical(ones, others)


def test_the_controller_learns_what_is_rewarded() -> None:
    method = NASNet(learning_rate=0.02, batch=5, hidden=8)
    history = search(method, [10.0, 90.0, 20.0], 80, space=OneEdge())
    assert [seen.architecture for seen in history[-20:]].count((1,)) >= 18
