"""The reference supernet as users choose it: same start, same searches up to rounding, refusals."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.methods.base import WeightSharingMethod
from harness.methods.darts import DARTS
from harness.spaces.nas_bench_201.reference import ReferenceSupernet, paired_weights
from harness.spaces.nas_bench_201.supernet import NASBench201Supernet
from harness.study.configure import check_possible
from tests.support import small_search
from tests.support.small_search import gradient_search
from tests.support.toy import gradient_methods

REFERENCE = "supernet.implementation=reference"


def test_a_search_by_the_reference_starts_with_the_weights_of_one_by_the_fused_supernet() -> None:
    fused, reference = (gradient_search(DARTS(), *overrides).state.supernet for overrides in ([], [REFERENCE]))
    assert isinstance(fused, NASBench201Supernet)
    assert isinstance(reference, ReferenceSupernet)
    pairs = list(paired_weights(fused, reference))
    assert {id(weight) for _, _, weight in pairs} == set(map(id, reference.parameters()))
    assert all(torch.equal(parameter[rows], weight) for parameter, rows, weight in pairs)


@pytest.mark.parametrize("name", gradient_methods())
def test_every_weight_sharing_method_searches_alike_by_both(name: str) -> None:
    method = registry.get_method(name)(**small_search.CHEAPER.get(name, {}))
    assert isinstance(method, WeightSharingMethod)
    fused, reference = (
        gradient_search(method, "search.epochs=1", "data.images=16", *overrides).run_epoch(0, small_search.quiet)
        for overrides in ([], [REFERENCE])
    )
    for key in ("train_loss", "valid_loss", "alpha_entropy"):
        if (value := reference[key]) is None:  # type: ignore[literal-required]
            assert fused[key] is None  # type: ignore[literal-required]
        else:
            assert fused[key] == pytest.approx(value, rel=1e-4)  # type: ignore[literal-required]
    for key in ("architecture", "forward_passes", "backward_passes", "examples"):
        assert fused[key] == reference[key]  # type: ignore[literal-required]


def test_a_space_without_a_reference_refuses_it_in_one_line() -> None:
    protocol = load_protocol("quick", [REFERENCE])
    with pytest.raises(HarnessError, match=r"darts under protocol quick: space darts has no reference supernet; leave"):
        check_possible(DARTS(), registry.get_space("darts"), protocol, load_training_set("digits"))
