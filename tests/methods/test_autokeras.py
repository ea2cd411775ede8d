"""Auto-Keras: its distance, its kernel, its Gaussian process against another, and its annealing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from harness.methods.autokeras import AutoKeras, Process, edit_distance, kernel
from harness.methods.base import Evaluation
from harness.methods.random_search import RandomSearch
from harness.random_streams import stream
from harness.spaces.base import Architecture
from tests.support.toy import NAS_BENCH_201 as SPACE
from tests.support.toy import TwoEdges
from tests.methods.test_query import CELLS, SMOOTH, search

cells = st.tuples(*[st.integers(0, 4)] * 6)


def distance(one: Architecture, other: Architecture) -> int:
    return int(edit_distance(np.array([one]), np.array([other]))[0, 0])


@given(cells, cells, cells)
def test_the_edit_distance_is_a_metric_that_counts_steps_to_neighbours(
    one: Architecture, other: Architecture, third: Architecture
) -> None:
    assert distance(one, other) == distance(other, one) >= 0
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, third) <= distance(one, other) + distance(other, third)
    assert (distance(one, other) == 1) == (other in SPACE.neighbours(one))
    if one != other:
        assert min(distance(step, other) for step in SPACE.neighbours(one)) == distance(one, other) - 1


def test_the_kernel_is_positive_definite_where_the_squared_distance_is_not() -> None:
    cube = np.array(list(itertools.product([0, 3], repeat=6)))
    assert np.linalg.eigvalsh(kernel(cube, cube, 1.0)).min() > 0.06  # (1 - 1/e)^6
    assert np.linalg.eigvalsh(np.exp(-(edit_distance(cube, cube) ** 2.0))).min() < -0.9
    one_hot = np.eye(5)[CELLS[:300]].reshape(300, -1)
    squared = ((one_hot[:, None] - one_hot) ** 2).sum(axis=2)
    np.testing.assert_allclose(kernel(CELLS[:300], CELLS[:300], 2.0), np.exp(-squared / 2 / 2.0))


def test_predictions_are_those_of_a_gaussian_process_on_one_hot_codes() -> None:
    history = search(RandomSearch(), SMOOTH, 30)
    history += [Evaluation(history[0].architecture, history[0].valid_accuracy + 2.0)]
    process = Process(history, scale=3.0, noise_variance=0.1)
    known = np.array([*process.known.values()])
    assert len(known) == 30
    assert known.mean() == pytest.approx(0, abs=1e-12)
    assert known.std() == pytest.approx(1)

    rng = np.full(30, 0.1)
    rng[0] = 0.05  # evaluated twice
    reference = GaussianProcessRegressor(RBF(np.sqrt(3.0), "fixed"), alpha=rng, optimizer=None)
    reference.fit(np.eye(5)[np.array([*process.known])].reshape(30, -1), known)
    mean, deviation = process.predict([tuple(cell) for cell in CELLS[:50].tolist()])
    expected = reference.predict(np.eye(5)[CELLS[:50]].reshape(50, -1), return_std=True)
    np.testing.assert_allclose(mean, expected[0], atol=1e-8)
    np.testing.assert_allclose(deviation, expected[1], atol=1e-8)
    np.testing.assert_allclose(process.upper_bound([SPACE.architecture(0)], 2.0), mean[:1] + 2.0 * deviation[:1])


def test_annealing_finds_the_highest_bound_of_a_small_space() -> None:
    space, method = TwoEdges(), AutoKeras()
    history = [Evaluation((0, 1), 10.0), Evaluation((2, 1), 60.0), Evaluation((1, 0), 20.0)]
    process = Process(history, method.scale, method.noise_variance)
    left = [cell for cell in map(space.architecture, range(9)) if cell not in process.known]
    best = left[int(np.argmax(process.upper_bound(left, method.beta)))]
    assert {method.anneal(space, process, stream(seed, "method")) for seed in range(5)} == {best}


def test_annealing_climbs_and_takes_no_cell_that_was_evaluated() -> None:
    method, history = AutoKeras(beta=0.0), search(RandomSearch(), SMOOTH, 60)
    process = Process(history, 3.0, 0.01)
    found = method.anneal(SPACE, process, stream(0, "method"))
    assert found is not None
    assert found not in process.known
    predicted = process.predict([tuple(cell) for cell in CELLS.tolist()])[0]
    assert process.predict([found])[0][0] > np.quantile(predicted, 0.99)


def test_equal_accuracies_and_cells_that_are_all_known_are_no_obstacle() -> None:
    space, method = TwoEdges(), AutoKeras(initial=1)
    history = search(method, [50.0] * 9, 12, space=space)
    assert len({seen.architecture for seen in history[:9]}) == 9
