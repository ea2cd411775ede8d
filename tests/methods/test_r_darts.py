"""R-DARTS and DARTS-ES: the rule by hand, what stopping does to a search, and that a resumed one is the same."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from harness.methods.darts import DARTS
from harness.methods.r_darts import DARTSES, RDARTS, has_risen
from harness.spaces.base import Mixture
from tests.support.diagnosed import hessian
from tests.support.small_search import TIMING, gradient_search, quiet, without
from tests.support.toy import OneEdge, build_search, identical

STOPS = DARTSES(window=1, threshold=1e9, earliest=0.3)
"""Stops as soon as it may: of six epochs, after the third."""


@pytest.mark.parametrize(
    ("eigenvalues", "risen"),
    [
        ([1, 1, 1, 1, 1, 1], False),
        ([3, 3, 3, 4, 4, 4], False),  # 3 / 4 is not below 0.75
        ([3, 3, 3, 4, 4, 4.1], True),
        ([9, 3, 3, 3, 4, 4, 4.1], True),  # only the last six count
        ([0, 1, 2, 3, 4, 5], True),
        ([5, 4, 3, 2, 1, 0], False),
        ([3, 4.1, 4.1, 4.1], False),  # too few
        ([-1, -1, -1, 1, 1, 1], True),
        ([-3, -3, -3, -1, -1, -1], False),  # risen, but no curvature upwards
        ([1, 1, math.nan, 9, 9, 9], False),
        ([1, 1, 1, 9, 9, math.nan], False),
    ],
)
def test_the_curvature_has_risen_where_the_mean_of_three_epochs_is_a_third_larger(
    eigenvalues: list[float], risen: bool
) -> None:
    assert has_risen(eigenvalues, window=3, threshold=0.75) is risen


def test_it_goes_back_to_the_alpha_of_the_epoch_k_before_the_last_one_measured() -> None:
    method = DARTSES(window=2, earliest=0.0)
    search = build_search(method, OneEdge(), epochs=20)
    made_up = iter([1.0, 1.0, 1.0, 1.2, 2.0, 9.0])
    search.curvature = lambda: next(made_up)
    method.begin_epoch(search)  # of the first epoch: nothing to measure yet
    for epoch in range(1, 6):
        with torch.no_grad():
            search.alpha.fill_(epoch)  # α after so many epochs
        search.epoch = epoch
        method.begin_epoch(search)
    # means of two after 4 epochs: 1 and 1.1; after 5: 1 and 1.6, and 1 / 1.6 < 0.75
    assert search.memory["eigenvalues"] == [1.0, 1.0, 1.0, 1.2, 2.0]
    assert search.stopped
    assert (search.alpha == 3).all()


@pytest.mark.parametrize(("earliest", "stops"), [(0.15, True), (0.2, False)])
def test_no_epoch_before_the_earliest_is_gone_back_to(earliest: float, stops: bool) -> None:
    method = DARTSES(window=1, earliest=earliest)
    search = build_search(method, OneEdge(), epochs=20)
    made_up = iter([1.0, 1.0, 1.0, 5.0])
    search.curvature = lambda: next(made_up)
    for search.epoch in range(1, 5):
        method.begin_epoch(search)
    assert search.stopped is stops  # after 4 epochs, for the third


def test_weight_decay_is_that_of_w_alone_and_null_is_the_protocols() -> None:
    for method, decay in ((RDARTS(weight_decay=0.0243), 0.0243), (RDARTS(), 0.0027), (DARTSES(), 5e-4)):
        search = build_search(method)
        method.begin_epoch(search)
        assert search.weight_optimizer.param_groups[0]["weight_decay"] == decay
        assert search.alpha_optimizer.param_groups[0]["weight_decay"] == 1e-3


def test_without_either_it_is_darts() -> None:
    found = []
    for method in (RDARTS(weight_decay=None), DARTS()):
        search = gradient_search(method)
        rows = [without(search.run_epoch(epoch, quiet), TIMING) for epoch in range(2)]
        found.append((rows, [*search.state.supernet.parameters(), search.state.alpha]))
    assert found[0][0] == found[1][0]
    assert identical(found[0][1], found[1][1])


def test_the_curvature_is_the_eigenvalue_of_the_dense_hessian_and_changes_nothing_but_the_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grad = torch.autograd.grad
    found = gradient_search(DARTS(), "supernet.batch_norm=running", "search.batch_size=16")  # all images in a batch
    found.run_epoch(0, quiet)
    search, before = found.state, copy.deepcopy(found.state_dict())
    backward = []
    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "grad", lambda *args, **options: backward.append(args) or grad(*args, **options))
        value = search.curvature()
    after = copy.deepcopy(found.state_dict())
    ((images, labels),) = found.data.valid.in_order()
    loss = cross_entropy(search.supernet(images, Mixture(search.alpha.softmax(dim=1))), labels)
    dense = hessian(loss, search.alpha)
    assert value == pytest.approx(float(torch.linalg.eigvalsh((dense + dense.T) / 2)[-1]), rel=1e-3)
    passes, earlier = after.pop("passes"), before.pop("passes")
    assert passes == {
        "forward": earlier["forward"] + 1,
        "backward": earlier["backward"] + len(backward),
        "examples": earlier["examples"] + 16,
    }
    assert identical(list(before["supernet"].values()), list(after["supernet"].values()))
    assert identical([before["alphas"]["alpha"]], [after["alphas"]["alpha"]])
    assert str(before["streams"]) == str(after["streams"])


def test_a_search_that_stopped_costs_nothing_more_keeps_its_cell_and_goes_on_bit_for_bit_after_a_break() -> None:
    whole = gradient_search(STOPS, "search.epochs=6")
    rows, states = [], []
    for epoch in range(6):
        rows.append(whole.run_epoch(epoch, quiet))
        states.append(copy.deepcopy(whole.state_dict()))
    assert whole.state.stopped
    assert [row["train_loss"] is None for row in rows] == [False, False, False, True, True, True]
    for row in rows[3:]:
        assert (row["train_loss"], row["valid_loss"], row["architecture"]) == (None, None, rows[3]["architecture"])
        assert row["forward_passes"] == rows[2]["forward_passes"] + 1  # the last measurement
        assert row["weight_seconds"] == rows[2]["weight_seconds"]
    assert torch.equal(whole.state.alpha, states[1]["alphas"]["alpha"])  # measured after three epochs, back by one

    for done in (2, 4):  # before and after the stop
        resumed = gradient_search(STOPS, "search.epochs=6")
        resumed.load_state_dict(states[done - 1])
        again = [without(resumed.run_epoch(epoch, quiet), TIMING) for epoch in range(done, 6)]
        assert again == [without(row, TIMING) for row in rows[done:]]
        assert torch.equal(resumed.state.alpha, whole.state.alpha)
