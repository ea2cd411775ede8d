"""NASNet's controller: PPO by hand, and a state that follows from the history at the price of what is new."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from harness.methods import nasnet
from harness.methods.base import Evaluation
from harness.methods.nasnet import Learner, NASNet
from harness.methods.random_search import RandomSearch
from harness.random_streams import stream
from tests.support.toy import NAS_BENCH_201 as SPACE
from tests.support.toy import OneEdge, TwoEdges, identical
from tests.methods.test_query import SMOOTH, assert_frequencies, search


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
    found = NASNet(clip=0.2, entropy_weight=0.1).objective(
        torch.tensor(now)[:, None].log(),
        torch.tensor(before)[:, None].log(),
        torch.tensor(chosen)[:, None],
        torch.tensor(advantage),
    )
    assert found.item() == pytest.approx(expected)
    assert expected - 0.1 * 0.5 * (1.0297 + 0.8979) == pytest.approx((1.2 * 2 - 0.8) / 2, abs=1e-3)


def test_an_update_is_adam_on_the_objective_with_the_average_of_earlier_rewards_as_baseline() -> None:
    method = NASNet(batch=4, updates=3, hidden=6, learning_rate=0.01, baseline_decay=0.5)
    history = search(RandomSearch(), SMOOTH, 11)
    reference = Learner(method, SPACE, 7).controller
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
    found = method.controller(SPACE, history, 7)
    for one, other in zip(found.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_cells_are_drawn_decision_by_decision_from_the_controller() -> None:
    method, space = NASNet(learning_rate=0.1, batch=2, updates=5, hidden=4), TwoEdges()
    history = [Evaluation((0, 1), 10.0), Evaluation((2, 1), 60.0)]
    cells = list(itertools.product(range(3), repeat=2))
    rng = stream(0, "method")
    controller = method.controller(space, history, rng.initial_seed())
    with torch.no_grad():
        p = controller(torch.tensor(cells)).exp()
    expected = {cell: float(p[row, 0, cell[0]] * p[row, 1, cell[1]]) for row, cell in enumerate(cells)}
    assert sum(expected.values()) == pytest.approx(1)
    assert_frequencies(Counter(method.ask(space, history, rng) for _ in range(500)), expected)


def test_the_initial_weights_are_uniform_and_follow_from_the_seed_alone() -> None:
    rng = stream(3, "method")
    before = rng.get_state()
    first, again, other = (Learner(NASNet(), SPACE, seed).controller for seed in (rng.initial_seed(), 3, 4))
    assert torch.equal(rng.get_state(), before)
    values = torch.cat([parameter.detach().flatten() for parameter in first.parameters()])
    assert 0.099 < values.max() <= 0.1
    assert -0.1 <= values.min() < -0.099
    assert abs(values.mean()) < 1e-3
    assert not identical(list(again.parameters()), list(other.parameters()))


def test_the_controller_is_the_same_however_its_history_came_about(monkeypatch: pytest.MonkeyPatch) -> None:
    method, history = NASNet(batch=5, hidden=8), search(RandomSearch(), SMOOTH, 32)
    batches: list[Sequence[Evaluation]] = []
    learn = Learner.learn

    def counting(self: Any, batch: Sequence[Evaluation]) -> None:
        batches.append(batch)
        learn(self, batch)

    monkeypatch.setattr(Learner, "learn", counting)
    for length in range(len(history) + 1):
        controller = method.controller(SPACE, history[:length], 0)
    step_by_step = [parameter.detach().clone() for parameter in controller.parameters()]
    assert [len(batch) for batch in batches] == [5] * 6  # each evaluation is learnt from once

    shorter = [parameter.detach().clone() for parameter in method.controller(SPACE, history[:20], 0).parameters()]
    assert not identical(step_by_step, shorter)
    method.controller(SPACE, history[::-1], 0)
    assert identical(step_by_step, list(method.controller(SPACE, history, 0).parameters()))


def test_the_controller_learns_what_is_rewarded() -> None:
    method = NASNet(learning_rate=0.02, batch=5, hidden=8)
    found = search(method, [10.0, 90.0, 20.0], 80, space=OneEdge())
    assert [seen.architecture for seen in found[-20:]].count((1,)) >= 18
