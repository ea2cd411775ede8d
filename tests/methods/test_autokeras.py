"""Auto-Keras: its kernel, its Gaussian process by hand, and its annealing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.methods.autokeras import AutoKeras, Process
from harness.methods.base import Evaluation
from harness.methods.random_search import RandomSearch
from harness.random_streams import stream
from harness.spaces.base import Architecture
from tests.methods.test_query import CELLS, SMOOTH, search
from tests.support.toy import NAS_BENCH_201 as SPACE
from tests.support.toy import TwoEdges

cells = st.tuples(*[st.integers(0, 4)] * 6)


def edit_distance(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Edges whose operations differ, (ones, others), of cells (cells, edges)."""
    return np.asarray((ones[:, None, :] != others[None, :, :]).sum(axis=2))


@settings(deadline=None)
@given(cells, cells)
def test_the_kernel_falls_with_the_steps_between_neighbours(one: Architecture, other: Architecture) -> None:
    process = Process([Evaluation(one, 50.0)], 5, scale=2.0, noise_variance=1e-9)
    distance = int(edit_distance(np.array([one]), np.array([other]))[0, 0])
    assert (distance == 1) == (other in SPACE.neighbours(one))
    _, deviation = process.predict([other])
    assert deviation[0] ** 2 == pytest.approx(1 - np.exp(-distance / 2.0) ** 2, abs=1e-6)


def test_the_kernel_is_positive_definite_where_that_of_the_squared_distance_is_not() -> None:
    cube = np.array(list(itertools.product([0, 3], repeat=6)))
    assert np.linalg.eigvalsh(np.exp(-edit_distance(cube, cube).astype(float))).min() > 0.06  # (1 - 1/e)^6
    assert np.linalg.eigvalsh(np.exp(-(edit_distance(cube, cube) ** 2.0))).min() < -0.9


def test_predictions_are_those_of_a_gaussian_process_by_hand() -> None:
    history = search(RandomSearch(), SMOOTH, 30)
    history += [Evaluation(history[0].architecture, history[0].valid_accuracy + 2.0)]
    process = Process(history, 5, scale=3.0, noise_variance=0.1)
    known = np.array([*process.known.values()])
    assert len(known) == 30
    assert known.mean() == pytest.approx(0, abs=1e-12)
    assert known.std() == pytest.approx(1)

    noise = np.full(30, 0.1)
    noise[0] = 0.05  # evaluated twice
    seen = np.array([*process.known])
    covariance = np.exp(-edit_distance(seen, seen) / 3.0) + np.diag(noise)
    shared = np.exp(-edit_distance(CELLS[:50], seen) / 3.0)
    mean, deviation = process.predict([tuple(cell) for cell in CELLS[:50].tolist()])
    np.testing.assert_allclose(mean, shared @ np.linalg.solve(covariance, known), atol=1e-8)
    explained = (shared * np.linalg.solve(covariance, shared.T).T).sum(axis=1)
    np.testing.assert_allclose(deviation, np.sqrt(1 - explained), atol=1e-8)
    np.testing.assert_allclose(process.upper_bound([SPACE.architecture(0)], 2.0), mean[:1] + 2.0 * deviation[:1])


def test_annealing_finds_the_highest_bound_of_a_small_space() -> None:
    space, method = TwoEdges(), AutoKeras()
    history = [Evaluation((0, 1), 10.0), Evaluation((2, 1), 60.0), Evaluation((1, 0), 20.0)]
    process = Process(history, 3, method.scale, method.noise_variance)
    left = [cell for cell in map(space.architecture, range(9)) if cell not in process.known]
    best = left[int(np.argmax(process.upper_bound(left, method.beta)))]
    assert {method.anneal(space, process, stream(seed, "method")) for seed in range(5)} == {best}


def test_annealing_climbs_and_takes_no_cell_that_was_evaluated() -> None:
    method, history = AutoKeras(beta=0.0), search(RandomSearch(), SMOOTH, 60)
    process = Process(history, 5, 3.0, 0.01)
    found = method.anneal(SPACE, process, stream(0, "method"))
    assert found is not None
    assert found not in process.known
    predicted = process.predict([tuple(cell) for cell in CELLS.tolist()])[0]
    assert process.predict([found])[0][0] > np.quantile(predicted, 0.99)


def test_equal_accuracies_and_cells_that_are_all_known_are_no_obstacle() -> None:
    space, method = TwoEdges(), AutoKeras(initial=1)
    history = search(method, [50.0] * 9, 12, space=space)
    assert len({seen.architecture for seen in history[:9]}) == 9
