"""``harness estimate``: what is counted, what is extrapolated, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.execution.local import worker_environment
from harness.registry import get_method
from harness.runs.schema import RunResult
from harness.search.benchmark_query import BenchmarkQuery
from harness.study import estimating
from harness.study.estimating import Estimate, Measured, measure, prepare
from harness.study.planned_run import PlannedRun
from harness.study.planning import plan_runs
from tests.support.command_line import call, files, refusal
from tests.support.toy import NAS_BENCH_201

TINY = [
    *("search.epochs=4", "data.images=64", "data.image_size=4", "supernet.channels=4", "data.crop_padding=1"),
    *("diagnostics.ranking_cells=3", "diagnostics.images=16", "diagnostics.hessian=false"),
]
SETS = [option for setting in TINY for option in ("--set", setting)]
pytestmark = pytest.mark.usefixtures("work")


def planned(folder: Path, name: str, seeds: int = 1) -> list[PlannedRun]:
    rules, training = load_protocol("quick", TINY), load_training_set("digits")
    return plan_runs(folder, [get_method(name)()], range(seeds), NAS_BENCH_201, rules, training, 1)


def measured(run: PlannedRun) -> Measured:
    """A run measured in this process, by a few steps."""
    with tempfile.TemporaryDirectory() as path:
        return measure(prepare(run, Path(path), 1), b"", "cpu", None)


def test_a_method_is_measured_in_a_process_of_its_own_and_nothing_is_left(work: Path) -> None:
    result = call("estimate", "--method", "darts", "--seeds", "3", "--jobs", "3", *SETS)
    assert result.exit_code == 0, result.exception
    assert "3 runs, 3 of them to do; protocol quick, digits" in result.output
    assert re.search(r"darts +3 +3 +\d.* s +[\d,]+ MiB +\d.* s", result.output)
    assert re.search(r"total: \d+\.\d\d device-hours", result.output)
    assert re.search(r"by workers at once: 1: \d.* s, 2: \d.* s, 3 \(--jobs\): \d.* s", result.output)
    assert files(work) == []


@pytest.fixture
def no_other_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every run takes an hour; the labels of what was measured."""
    asked = []

    def measured(run: PlannedRun, *_: object) -> Measured:
        asked.append(run.config["label"])
        return Measured(3600.0, 1234.0)

    monkeypatch.setattr(estimating, "_measured", measured)
    return asked


def test_ended_runs_are_not_counted_again_and_begun_ones_by_what_is_left(
    work: Path, no_other_process: list[str]
) -> None:
    for run in [*planned(work / "runs" / "s", "darts", 4), *planned(work / "runs" / "s", "gdas", 4)]:
        run.folder.write_json("config.json", run.config)
        if run.config["seed"] < 2 or run.config["label"] == "gdas":
            ending = RunResult(
                status="finished", reason="", architecture=None, index=None,
                search_seconds=1.0, other_seconds=0.0, started="", ended="",
            )  # fmt: skip
            run.folder.write_json("result.json", ending)
        elif run.config["seed"] == 2:
            (run.folder.path / "trace.jsonl").write_text("{}\n")  # one of four epochs
    before = files(work)
    command = ("estimate", "--method", "darts", "--method", "gdas", "--seeds", "4", "--study", "s", "--jobs", "2")
    result = call(*command, *SETS)
    assert result.exit_code == 0, result.exception
    assert no_other_process == ["darts"]
    assert "study s: 8 runs, 2 of them to do" in result.output
    assert re.search(r"darts +4 +2 +1 h 00 min +1,234 MiB +1 h 45 min", result.output)
    assert re.search(r"gdas +4 +0 +0 s", result.output)
    assert "total: 1.75 device-hours" in result.output
    assert "by workers at once: 1: 1 h 45 min, 2 (--jobs): 1 h 00 min\n" in result.output
    estimate = harness.estimate(["darts", "gdas"], seeds=4, study="s", set=TINY)
    assert str(estimate).splitlines() == [
        "darts: 2 of 4 runs to do, 1 h 00 min each, 1,234 MiB",
        "gdas: 0 of 4 runs to do",
        "total: 1.75 device-hours",
    ]
    assert estimate.frame()[["method", "runs", "to_do", "seconds"]].values.tolist() == [
        ["darts", 4, 2, 6300.0],
        ["gdas", 4, 0, 0.0],
    ]
    assert files(work) == before

    finished = call("estimate", "--method", "gdas", "--seeds", "4", "--study", "s", *SETS)
    assert finished.output == "study s: 4 runs, 0 of them to do; protocol quick, digits\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--method darst", "unknown method 'darst', did you mean 'darts'"),
        ("--method darts --set search.epoch=3", "unknown setting 'search.epoch'"),
        ("--method darts --device tpu", "--device tpu cannot be used"),
        ("--method darts --study ..", r"--study '\.\.' is no name"),
        ("", "no method is named; add --method"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: str, message: str, work: Path) -> None:
    assert re.search(message, refusal(call("estimate", *arguments.split())))
    assert files(work) == []


def test_a_study_under_other_rules_is_refused_before_anything_is_measured(
    work: Path, no_other_process: list[str]
) -> None:
    (run,) = planned(work / "runs" / "s", "darts")
    run.folder.write_json("config.json", run.config)
    command = (
        "estimate",
        "--method",
        "darts",
        "--study",
        "s",
        *(word.replace("epochs=4", "epochs=5") for word in SETS),
    )
    assert "holds runs of another protocol hash" in refusal(call(*command))
    assert no_other_process == []


def test_a_method_is_measured_as_workers_run_and_where_that_fails_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def no_memory(command: list[str], *, input: bytes, env: dict[str, str], **_: object) -> SimpleNamespace:
        """In the place of a process: one that dies."""
        seen.update(env)
        assert input == b""
        return SimpleNamespace(returncode=-9)

    monkeypatch.setattr(subprocess, "run", no_memory)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    before = dict(os.environ)
    message = r"^darts cannot be measured: its process died with code -9, perhaps because memory ran out"
    with pytest.raises(HarnessError, match=message):
        estimating.measure_runs(planned(tmp_path, "darts"), 1, "cpu", None)
    assert seen == worker_environment() != before == os.environ


@pytest.mark.parametrize("name", ["pc-darts", "random-search"])
def test_every_kind_of_method_is_measured_without_a_trace_in_its_folder(name: str, tmp_path: Path) -> None:
    (run,) = planned(tmp_path, name)
    found = measured(run)
    assert found.memory_mib > 50  # PyTorch alone
    assert found.seconds >= 0
    assert files(tmp_path) == []


def test_a_curvature_counts_for_each_epoch_that_asks_for_it_and_not_for_each_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = planned(tmp_path, "darts-es")
    monkeypatch.setattr(estimating, "_seconds", lambda work: 1000.0)
    found = measured(run)
    assert 3000 <= found.seconds < 3500  # between any two of four epochs


def test_a_search_that_a_table_answers_is_measured_by_its_own_seconds(tmp_path: Path) -> None:
    answers = BenchmarkQuery(np.linspace(10, 90, NAS_BENCH_201.size), np.full(NAS_BENCH_201.size, 1000.0))
    rules = load_protocol("quick", [*TINY, "queries.answers=table", "queries.seconds=20000"])
    method = get_method("random-search")()
    (run,) = plan_runs(tmp_path, [method], [0], NAS_BENCH_201, rules, load_training_set("digits"), 1, answers)
    found = measured(run)
    assert 0 < found.seconds < 20000  # twenty look-ups, and not the seconds they stand for
    assert files(tmp_path) == []


def test_what_fails_in_a_measurement_is_told_with_its_reason(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "darts")
    elsewhere = replace(run, config={**run.config, "dataset": "cifar10"})
    with pytest.raises(HarnessError, match=r"^darts cannot be measured: cifar10 is neither in .*$"):
        estimating.measure_runs([elsewhere], 1, "cpu", tmp_path)


@given(st.lists(st.floats(0.1, 1e5), min_size=1, max_size=12), st.integers(1, 14))
def test_workers_need_no_less_than_their_share_and_no_more_than_one_alone(queue: list[float], workers: int) -> None:
    found = Estimate([], queue)
    makespan = found.makespan(workers)
    assert found.makespan(1) == pytest.approx(sum(queue))
    assert makespan >= max([*queue, sum(queue) / workers]) * (1 - 1e-9)
    assert makespan <= sum(queue) / workers + max(queue)
    if workers >= len(queue):
        assert makespan == max(queue)
