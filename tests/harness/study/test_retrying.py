"""``harness retry``: what is begun again, from where, what stays, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.execution.local import Listener, LocalExecutor
from harness.methods.base import SearchState
from harness.methods.gdas import GDAS
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.runs.schema import Status
from harness.spaces.base import Mixture
from harness.study.folder import open_study
from harness.study.planning import plan_runs
from tests.support.command_line import call, folders, refusal
from tests.support.small_search import outcome
from tests.support.toy import NAS_BENCH_201

TINY = [
    *("--set", "search.epochs=3", "--set", "data.images=64", "--set", "data.image_size=4"),
    *("--set", "supernet.channels=4", "--set", "data.crop_padding=1", "--set", "diagnostics.hessian=false"),
    *("--set", "diagnostics.gap=false", "--set", "diagnostics.ranking_cells=0"),
    *("--set", "diagnostics.perturbation=false", "--no-mlflow"),
]
pytestmark = pytest.mark.usefixtures("work", "inline")


class Fault:
    """An error of a method's own, until it is repaired."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch, self.repaired = monkeypatch, False

    def put_into(self, method: type[Any], epoch: int) -> None:
        """Make a method raise from an epoch on."""
        whole = method.mixture

        def mixture(of: Any, state: SearchState) -> Mixture:
            if state.epoch >= epoch and not self.repaired:
                raise LookupError("its own fault")
            found: Mixture = whole(of, state)
            return found

        self.patch.setattr(method, "mixture", mixture)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


def search(*names: str) -> Result:
    methods = [option for name in names for option in ("--method", name)]
    return call("run", *methods, "--seeds", "1", "--study", "s", *TINY)


def by_label(work: Path) -> dict[str, RunFolder]:
    return {run.config["label"]: run for run in folders(work)}


def contents(folder: RunFolder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.path.iterdir()}


def test_failed_runs_go_on_and_end_bit_for_bit_and_finished_ones_stay(work: Path, fault: Fault) -> None:
    assert call("run", "--method", "gdas", "--seeds", "1", "--runs", "whole", *TINY).exit_code == 0
    (whole,) = (outcome(RunFolder(file.parent)) for file in work.glob("whole/*/*/*/config.json"))
    fault.put_into(GDAS, 2)
    assert search("gdas", "snas").exit_code == 1
    runs = by_label(work)
    finished = contents(runs["snas"])
    assert runs["gdas"].result is not None
    first = runs["gdas"].result["ended"]

    again = call("retry", "s", "--failed", "--no-mlflow")  # the fault is still there
    assert again.exit_code == 1
    assert "gdas seed 0: goes on after epoch 2 of 3" in again.output
    assert "study s: 0 of 1 retried runs finished" in again.output
    fault.repaired = True

    again = call("retry", "s", "--failed", "--no-mlflow")
    assert again.exit_code == 0, again.exception
    assert "study s: 1 of 1 retried runs finished" in again.output
    assert "snas" not in again.output
    assert outcome(runs["gdas"]) == whole
    assert runs["gdas"].evaluation is not None
    attempts = runs["gdas"].read_json("attempts.json")
    assert [(attempt["status"], attempt["epochs"]) for attempt in attempts] == [("failed", 2)] * 2
    assert all("its own fault" in attempt["reason"] for attempt in attempts)
    assert attempts[0]["ended"] == first
    assert contents(runs["snas"]) == finished
    assert "nothing to retry; 2 of 2 runs finished" in call("retry", "s").output


def test_a_run_that_failed_before_its_first_checkpoint_starts_again(work: Path, fault: Fault) -> None:
    fault.put_into(GDAS, 0)
    assert search("gdas").exit_code == 1
    again = call("retry", "--no-mlflow")  # the latest study
    assert "gdas seed 0: started" in again.output
    ((run),) = folders(work)
    (attempt,) = run.read_json("attempts.json")
    assert attempt["epochs"] == 0


class Elsewhere:
    """A backend whose runs end as soon as they come."""

    def __init__(self) -> None:
        self.asked: list[tuple[int | None, int]] = []

    def allocate(self, jobs: int | None, runs: int) -> tuple[int, int]:
        self.asked.append((jobs, runs))
        return runs, 4

    def check(self, device: str) -> None:
        assert device == "cuda:7"

    def environment(self, device: str, jobs: int, threads: int) -> dict[str, Any]:
        return {"jobs": jobs}

    def executor(self, local: LocalExecutor) -> Elsewhere:
        assert local.retries == 9
        return self

    def execute(self, runs: Sequence[RunFolder], listener: Listener) -> None:
        for run in runs:
            listener.started(run)
            run.write_json("result.json", process.result("diverged", "elsewhere", [], process.now(), 1.0))
            listener.ended(run, "diverged", "elsewhere")


def test_a_cluster_retries_what_was_run_on_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, place, options = ended(work, "failed"), Elsewhere(), []

    @contextmanager
    def open_backend(*given: Any) -> Iterator[Elsewhere]:
        options.append(given)
        yield place

    monkeypatch.setattr("harness.api.searches.open_backend", open_backend)
    dask = ("--executor", "dask", "--scheduler", "tcp://127.0.0.1:9", "--worker-resources", "GPU=1")
    again = call("retry", "s", "--device", "cuda:7", "--retries", "9", *dask, "--no-mlflow")
    assert "gdas seed 0: diverged: elsewhere\n" in again.output
    assert options == [("dask", "tcp://127.0.0.1:9", {"GPU": 1.0}, Path("runs"))]
    assert place.asked == [(None, 1)]  # no bound by the memory of this machine
    assert run.read_json("environment.json") == {"jobs": 1, "threads": 1}
    assert run.result is not None
    assert run.result["reason"] == "elsewhere"


def test_interrupted_runs_go_on_unless_failed_ones_alone_are_asked_for(work: Path) -> None:
    assert search("darts").exit_code == 0
    (run,) = folders(work)
    (run.path / "result.json").unlink()
    assert "nothing to retry; 0 of 1 runs finished" in call("retry", "s", "--failed").output
    again = call("retry", "s", "--no-mlflow")
    assert again.exit_code == 0, again.exception
    assert run.result is not None
    assert run.read_json("attempts.json") is None  # it had not ended


def ended(work: Path, status: Status, **config: Any) -> RunFolder:
    """A study ``s`` of one run that ended so, without the search."""
    rules = load_protocol("quick", TINY[1:-1:2])
    (run,) = plan_runs(work / "runs" / "s", [GDAS()], [0], NAS_BENCH_201, rules, load_training_set("digits"), 1)
    open_study(work / "runs" / "s", [run], "harness run", None)
    run.folder.write_json("config.json", {**run.config, **config})
    run.folder.write_json("result.json", process.result(status, "its own fault", [], process.now(), 1.0))
    return run.folder


def test_a_run_that_diverged_is_left_as_it_is(work: Path) -> None:
    run = ended(work, "diverged")
    before = contents(run)
    assert "nothing to retry; 0 of 1 runs finished" in call("retry", "s").output
    assert contents(run) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method_source": "0" * 64}, "the source of gdas has changed since gdas seed 0 began"),
        ({"schema": 1}, "gdas seed 0 is of another version of the harness"),
        ({"dataset_digest": "0" * 64}, "the images of digits are not those that gdas seed 0 searched on"),
        ({"method": "gdsa"}, "unknown method 'gdsa', did you mean 'gdas'"),
    ],
)
def test_a_run_that_could_not_go_on_as_what_it_is_is_refused(change: dict[str, Any], message: str, work: Path) -> None:
    run = ended(work, "failed", **change)
    before = contents(run)
    assert message in refusal(call("retry", "s"))
    assert contents(run) == before


def test_bad_input_is_refused_in_one_line(work: Path) -> None:
    assert "no study in" in refusal(call("retry"))
    RunFolder(work / "runs" / "empty").write_json("study.json", {"table": None})
    assert "study 'empty' has no runs" in refusal(call("retry", "empty"))
    run = ended(work, "timed out")
    before = contents(run)
    assert "no study 't' in runs; there are: empty, s" in refusal(call("retry", "t"))
    assert "--device tpu cannot be used" in refusal(call("retry", "s", "--device", "tpu"))
    assert "is not in the range" in refusal(call("retry", "s", "--jobs", "0"))
    assert "add --executor dask" in refusal(call("retry", "s", "--scheduler", "tcp://127.0.0.1:9"))
    assert "add --scheduler tcp://HOST:PORT" in refusal(call("retry", "s", "--executor", "dask"))
    assert contents(run) == before
