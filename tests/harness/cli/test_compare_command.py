"""``harness compare`` of two studies that were searched by the two implementations of the supernet."""

from __future__ import annotations

import re

import pytest

from tests.support.command_line import call, refusal

REFERENCE = "supernet.implementation=reference"
TINY = [
    *("--set", "search.epochs=1", "--set", "data.images=16", "--set", "data.image_size=4"),
    *("--set", "supernet.channels=2", "--set", "data.crop_padding=1", "--set", "diagnostics.hessian=false"),
    "--no-mlflow",
]


@pytest.mark.usefixtures("work", "inline")
def test_two_studies_one_by_each_can_be_compared() -> None:
    for study, overrides in (("fused", []), ("reference", ["--set", REFERENCE])):
        result = call("run", "--method", "darts", "--seeds", "2", "--study", study, *TINY, *overrides)
        assert result.exit_code == 0, result.exception
    mixed = call("run", "--method", "darts", "--study", "fused", *TINY, "--set", REFERENCE)
    assert "runs of another supernet implementation (fused, now reference)" in refusal(mixed)

    compared = call("compare", "fused", "reference")
    assert compared.exit_code == 0, compared.exception
    assert re.search(r"supernet\.implementation +fused +reference", compared.output)
    assert "protocol_hash" not in compared.output
    assert "darts" in compared.output
