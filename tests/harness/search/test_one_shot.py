"""The one-shot accuracy that candidates are scored by, and what the methods that score them share."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from harness.data.batches import AT_ONCE
from harness.methods.base import WeightSharingMethod
from harness.methods.darts import DARTS
from harness.methods.darts_pt import DARTSPT
from harness.methods.enas import ENAS
from harness.methods.random_search_ws import RandomSearchWS
from harness.methods.setn import SETN
from harness.search.weight_sharing import WeightSharingSearch
from harness.spaces.base import Architecture, Mixture
from tests.support.one_shot import scores
from tests.support.small_search import gradient_search, quiet
from tests.support.toy import NAS_BENCH_201, TwoEdges, build_search, copies, identical, step

METHODS: list[WeightSharingMethod] = [
    RandomSearchWS(candidates=5),
    SETN(candidates=5),
    DARTSPT(selection=0.5),
    ENAS(candidates=5, hidden=4),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
every_scoring_method = pytest.mark.parametrize(
    "method", [method for method in METHODS if not isinstance(method, DARTSPT)], ids=lambda method: method.name
)


def search_of(method: WeightSharingMethod, *overrides: str) -> WeightSharingSearch:
    """A search with 24 images in each half."""
    return gradient_search(method, "data.images=48", *overrides)


# The accuracy


@pytest.mark.parametrize("images", [48, 2 * AT_ONCE + 100])
def test_the_accuracy_is_that_of_a_plain_loop_over_the_whole_validation_half(images: int) -> None:
    found = search_of(SETN(), f"data.images={images}")
    search, valid = found.state, found.data.valid
    for epoch, mixture in enumerate([SETN().mixture(search), Mixture.of((1, 2, 3, 0, 1, 3), 5)]):
        search.epoch = epoch
        pixels = (valid.images.float() - valid.mean) / valid.sd
        parts = pixels.chunk(-(-len(valid) // AT_ONCE))
        with torch.no_grad():
            guessed = torch.cat([search.supernet(part, mixture).argmax(dim=1) for part in parts])
        assert search.validate(mixture) == 100 * (guessed == valid.labels).sum().item() / (images // 2)


def test_measuring_an_accuracy_changes_nothing_but_the_counts() -> None:
    found = search_of(DARTS(), "supernet.batch_norm=running", f"data.images={2 * AT_ONCE + 2}")
    search = found.state
    before = {name: value.clone() for name, value in search.supernet.state_dict().items()}
    assert any("running" in name for name in before)
    streams, alphas = found.streams.state_dict(), copies(search)[1]
    search.validate(DARTS().mixture(search))
    after = search.supernet.state_dict()
    assert identical(list(before.values()), list(after.values()))
    assert identical(alphas, list(search.alphas.values()))
    assert identical(list(streams.values()), list(found.streams.state_dict().values()))
    assert all(parameter.grad is None for parameter in search.supernet.parameters())
    assert vars(search.passes) == {"forward": 2, "backward": 0, "examples": len(found.data.valid)}


def test_the_accuracy_is_the_same_however_the_training_batches_are_cut() -> None:
    mixture = Mixture.of((3, 1, 3, 1, 3, 1), 5)
    accuracies = [search_of(DARTS(), f"search.batch_size={size}").state.validate(mixture) for size in (5, 24)]
    assert accuracies[0] == accuracies[1]


@every_method
def test_selection_is_charged_as_derivation_and_its_passes_are_counted(method: WeightSharingMethod) -> None:
    found = search_of(method)
    rows = [found.run_epoch(epoch, quiet) for epoch in range(3)]
    training = [0] + [row["examples"] for row in rows]
    per_epoch = [after - before for before, after in itertools.pairwise(training)]
    plain = (2 if method.bilevel else 1) * len(found.data.train)
    selected = [(examples - plain) // len(found.data.valid) for examples in per_epoch]
    assert all((examples - plain) % len(found.data.valid) == 0 for examples in per_epoch)
    if isinstance(method, DARTSPT):
        assert selected == [0, 5, 25]
    else:
        assert selected[:2] == [0, 0]
        assert 1 < selected[2] <= 5
    assert rows[2]["derivation_seconds"] > rows[1]["derivation_seconds"] > 0


@every_method
def test_a_search_goes_on_bit_for_bit_from_any_epoch(method: WeightSharingMethod) -> None:
    whole = search_of(method)
    rows, states = [], []
    for epoch in range(3):
        rows.append(whole.run_epoch(epoch, quiet))
        states.append(copy.deepcopy(whole.state_dict()))
    for stop in (1, 2):
        second = search_of(method)
        second.load_state_dict(states[stop - 1])
        resumed = [second.run_epoch(epoch, quiet) for epoch in range(stop, 3)]
        assert [row["architecture"] for row in resumed] == [row["architecture"] for row in rows[stop:]]
        assert [row["examples"] for row in resumed] == [row["examples"] for row in rows[stop:]]
        assert identical(list(second.state.supernet.parameters()), list(whole.state.supernet.parameters()))
        assert identical(list(second.state.alphas.values()), list(whole.state.alphas.values()))


# The selection


@every_scoring_method
def test_only_the_last_epoch_scores_candidates_and_keeps_the_best(method: WeightSharingMethod) -> None:
    search = build_search(method, epochs=3)
    asked = scores(search)
    for epoch in range(2):
        search.epoch = epoch
        step(method, search, epoch)
        assert NAS_BENCH_201.validate(method.derive(search))
    assert not asked
    search.epoch = 2
    rng = search.rng.get_state()
    cell = method.derive(search)
    assert 1 < len(asked) <= 5
    assert NAS_BENCH_201.index(cell) == max(NAS_BENCH_201.index(m.selected) for m in asked if m.selected)
    assert torch.equal(search.rng.get_state(), rng)


def test_of_equally_good_cells_the_first_is_kept_and_each_is_scored_once() -> None:
    search = build_search(RandomSearchWS(), TwoEdges())
    asked: list[Architecture | None] = []
    accuracies = {(0, 0): 10.0, (1, 2): 50.0, (2, 1): 50.0}

    def validate(mixture: Mixture) -> float:
        asked.append(mixture.selected)
        return accuracies[mixture.selected or ()]

    search.validate = validate
    assert search.best_by_validation([(0, 0), (1, 2), (2, 1), (1, 2), (0, 0)]) == (1, 2)
    assert asked == [(0, 0), (1, 2), (2, 1)]
