"""A search of a few seconds, and what it comes to when nothing happens to it, for tests of faults."""

from __future__ import annotations

from pathlib import Path

from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.registry import get_method
from harness.study.planned_run import PlannedRun
from harness.study.planning import plan_runs
from tests.support.toy import NAS_BENCH_201

TINY = [
    *("search.epochs=5", "data.images=64", "data.image_size=4", "supernet.channels=4", "data.crop_padding=1"),
    *("diagnostics.hessian=false", "diagnostics.gap=false", "diagnostics.ranking_cells=0"),
    "diagnostics.perturbation=false",
]


def planned(study: Path) -> PlannedRun:
    rules, training = load_protocol("quick", TINY), load_training_set("digits")
    (run,) = plan_runs(study, [get_method("gdas")()], [0], NAS_BENCH_201, rules, training, 1)
    return run
