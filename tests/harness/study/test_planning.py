"""What a command line comes to: methods, identities, and where each run stands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from harness.config.protocol import load_protocol
from harness.data.training_set import TrainingSet, load_training_set
from harness.errors import HarnessError
from harness.methods.base import Method
from harness.methods.darts import DARTS
from harness.methods.gdas import GDAS
from harness.runs.folder import RunFolder
from harness.runs.identity import identity
from harness.study.configure import configure, split_overrides
from harness.study.folder import open_study
from harness.study.planned_run import PlannedRun
from harness.study.planning import plan_runs
from tests.support.toy import NAS_BENCH_201

TRAINING = load_training_set("digits")


def planned(
    study: Path,
    *methods: Method,
    seeds: tuple[int, ...] = (0,),
    protocol: tuple[str, ...] = (),
    training: TrainingSet = TRAINING,
    threads: int = 1,
) -> list[PlannedRun]:
    rules = load_protocol("quick", protocol)
    return plan_runs(study, methods or [DARTS()], seeds, NAS_BENCH_201, rules, training, threads)


def one_identity(study: Path, *methods: Method, **options: Any) -> str:
    return planned(study, *methods, **options)[0].config["identity"]


def test_the_identity_changes_with_what_can_change_the_result_and_with_nothing_else(tmp_path: Path) -> None:
    base = one_identity(tmp_path / "a")
    assert base == one_identity(tmp_path / "b", threads=7)
    other = TrainingSet("digits", TRAINING.images, TRAINING.labels, 10, "0" * 64, "")
    changed = [
        one_identity(tmp_path, DARTS(order=2)),
        one_identity(tmp_path, GDAS()),
        one_identity(tmp_path, seeds=(1,)),
        one_identity(tmp_path, protocol=("search.epochs=31",)),
        one_identity(tmp_path, protocol=("dataset=cifar10",)),
        one_identity(tmp_path, protocol=("supernet.implementation=reference",)),
        one_identity(tmp_path, training=other),
    ]
    assert len({base, *changed}) == 8


def test_every_field_but_four_enters_the_identity(tmp_path: Path) -> None:
    config = planned(tmp_path)[0].config
    for key in config:
        changed: Any = {**config, key: {} if key == "protocol" else "something else"}
        assert (identity(changed) == config["identity"]) == (key in {"identity", "study", "label", "threads"})


def test_a_run_by_the_fused_supernet_has_the_identity_that_it_had_without_the_setting(tmp_path: Path) -> None:
    config = planned(tmp_path)[0].config
    supernet = {key: value for key, value in config["protocol"]["supernet"].items() if key != "implementation"}
    assert config["protocol"]["supernet"]["implementation"] == "fused"
    without: Any = {**config, "protocol": {**config["protocol"], "supernet": supernet}}
    assert identity(without) == config["identity"]


def test_another_source_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = one_identity(tmp_path)
    monkeypatch.setattr("inspect.getsource", lambda module: "# edited")
    assert one_identity(tmp_path) != before


def test_an_interrupted_study_has_compared_all_methods_on_its_first_seeds(tmp_path: Path) -> None:
    runs = planned(tmp_path, DARTS(), GDAS(), seeds=(0, 1))
    assert [run.name for run in runs] == ["darts seed 0", "gdas seed 0", "darts seed 1", "gdas seed 1"]


@pytest.mark.parametrize(
    ("status", "state", "cached"),
    [
        (None, "goes on", False),
        ("failed", "goes on", False),
        ("timed out", "goes on", False),
        ("finished", "finished", True),
        ("diverged", "diverged", True),
    ],
)
def test_only_what_would_repeat_itself_is_cached(tmp_path: Path, status: str | None, state: str, cached: bool) -> None:
    run = planned(tmp_path, threads=3)[0]
    assert (run.state, run.cached) == ("new", False)
    run.folder.write_json("config.json", run.config)
    if status:
        run.folder.write_json("result.json", {"status": status})
    again = planned(tmp_path, threads=8)[0]
    assert (again.state, again.cached) == (state, cached)
    assert again.config["threads"] == 3  # a run that goes on keeps its threads


def test_overrides_go_to_methods_and_to_the_protocol() -> None:
    found = split_overrides(["gdas.tau_max=5", "search.epochs=3", "gdas.tau_min=0.1", "dataset=cifar10"])
    assert found == ({"gdas": {"tau_max": 5, "tau_min": 0.1}}, {"search.epochs": 3, "dataset": "cifar10"})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pcdarts.K=2", r"--set pcdarts\.K=2: unknown method or section 'pcdarts', did you mean 'pc-darts'\?"),
        ("serch.epochs=2", "unknown method or section 'serch', did you mean 'search'"),
        ("tau_max=5", r"unknown setting 'tau_max'.*; a hyper-parameter begins with its method, such as gdas\.tau_max"),
    ],
)
def test_overrides_of_nothing_are_told_what_they_could_be_of(override: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        split_overrides([override])


def test_hyper_parameters_are_validated_and_shown_in_the_label() -> None:
    darts, gdas = configure(["darts", "gdas"], {"gdas": {"tau_max": 5}})
    assert (darts.label(), gdas.label()) == ("darts", "gdas[tau_max=5.0]")


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        (["darst"], {}, r"unknown method 'darst', did you mean 'darts'\?.*gdas"),
        (
            ["gdas"],
            {"gdas": {"tau": 1}},
            r"unknown hyper-parameter of gdas 'tau'.*nonselected_grad, .*tau_max, tau_min",
        ),
        (["gdas"], {"gdas": {"tau_min": -1}}, r"gdas: tau_min: .*greater than 0 \(got -1\); see: harness info gdas"),
        (["darts"], {"gdas": {"tau_min": 1}}, r"changes gdas, which is not run; add --method gdas"),
    ],
)
def test_impossible_methods_are_refused(names: list[str], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        configure(names, changes)


def test_a_study_remembers_its_commands_and_holds_one_protocol(tmp_path: Path) -> None:
    study = tmp_path / "study"
    first = planned(study)
    open_study(study, first, "harness run --method darts", None)
    open_study(study, first, "harness run --method darts", None)
    open_study(study, planned(study, GDAS()), "harness run --method gdas", ("/a/table.csv", "0" * 64))
    info = RunFolder(study).read_json("study.json")
    assert info["commands"] == ["harness run --method darts", "harness run --method gdas"]
    assert info["table"] == "/a/table.csv"
    first[0].folder.write_json("config.json", first[0].config)
    other = planned(study, protocol=("search.epochs=3",))
    for _ in range(2):
        with pytest.raises(HarnessError, match=r"another protocol hash .* choose another name with --study"):
            open_study(study, other, "harness run", None)
        info.pop("common", None)  # a study from before that was recorded
        RunFolder(study).write_json("study.json", info)


def test_of_two_commands_that_start_a_study_at_once_under_two_protocols_one_is_refused(tmp_path: Path) -> None:
    study, together = tmp_path / "study", Barrier(2)

    def start(epochs: int) -> str:
        runs = planned(study, protocol=(f"search.epochs={epochs}",))
        together.wait()
        try:
            open_study(study, runs, f"harness run --set search.epochs={epochs}", None)
        except HarnessError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(start, (3, 4)))
    assert sorted(map(bool, said)) == [False, True]
    assert "was opened for runs of another protocol hash" in "".join(said)
    first = 3 if said[1] else 4
    assert RunFolder(study).read_json("study.json")["commands"] == [f"harness run --set search.epochs={first}"]
