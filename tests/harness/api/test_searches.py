"""The Python door: the same names, defaults and results as the command line."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pandas as pd
import pytest
import yaml

import harness
from harness.cli.run_command import run_command
from harness.config.study_options import StudyOptions
from harness.methods.darts import DARTS
from harness.methods.gdas import GDAS
from tests.support.command_line import call, folders, refusal
from tests.support.custom import Sharp

TINY = {
    "search.epochs": 2,
    "data.images": 64,
    "data.image_size": 4,
    "supernet.channels": 4,
    "data.crop_padding": 1,
    "diagnostics.hessian": False,
}
SETS = [word for key, value in TINY.items() for word in ("--set", f"{key}={str(value).lower()}")]


def test_functions_take_the_options_of_the_command_with_their_defaults() -> None:
    options = {
        parameter.name: parameter
        for parameter in run_command.params
        if parameter.name not in {"dry_run", "config", "help"}
    }
    for function in (harness.run, harness.plan, harness.estimate):
        parameters = inspect.signature(function).parameters
        assert {*parameters} - {"config"} == {*options} == {*StudyOptions.model_fields}
    defaults = StudyOptions.read({"methods": "darts"})
    context = click.Context(run_command)
    for name, option in options.items():
        default = option.get_default(context)
        if name != "methods" and isinstance(default, str | int | bool):
            assert StudyOptions.read({"methods": "darts", name: default}) == defaults, name


@pytest.mark.usefixtures("inline")
def test_a_call_and_a_command_are_the_same_study(work: Path) -> None:
    study = harness.run(["darts", "GDAS"], seeds=2, study="s", set=TINY, no_mlflow=True)
    assert [(run.label, run.seed, run.status) for run in study.runs] == [
        (label, seed, "finished") for label in ("darts", "gdas") for seed in (0, 1)
    ]
    again = call("run", "--method", "darts", "--method", "gdas", "--seeds", "2", "--study", "s", *SETS, "--no-mlflow")
    assert again.output.count("(cached)") == 4 or "4 of 4 runs finished" in again.output
    assert len(folders(work)) == 4
    frame = study.frame()
    assert len(frame) == 8
    assert frame["test_cifar10"].between(0, 100).all()
    assert frame["table"].str.startswith("embedded ").all()
    pd.testing.assert_frame_equal(frame, harness.load_results("s"))
    pd.testing.assert_frame_equal(frame, harness.load_study(study.path).frame())
    assert "harness.run(methods=['darts', 'GDAS'], seeds=[0, 1]" in study.info["commands"][0]


def test_a_plan_writes_nothing_and_an_object_keeps_its_settings(work: Path) -> None:
    plan = harness.plan([DARTS, GDAS(tau_max=5.0)], seeds="7,", set={**TINY, "gdas.tau_min": 0.5})
    assert plan.frame()[["method", "seed", "state"]].values.tolist() == [
        ["darts", 7, "new"],
        ["gdas[tau_max=5.0,tau_min=0.5]", 7, "new"],
    ]
    assert "2 of 2 runs to do" in str(plan)
    assert list(work.iterdir()) == []


def test_groups_of_methods_are_names(work: Path) -> None:
    every = {run.config["method"] for run in harness.plan("all", seeds=1).runs}
    parts = [
        {run.config["method"] for run in harness.plan(name, seeds=1).runs}
        for name in ("gradient", "weight-sharing", "query")
    ]
    assert every == set.union(*parts)
    assert sum(map(len, parts)) == len(every) >= 29


def test_errors_are_exceptions_with_the_line_of_the_command(work: Path) -> None:
    for options, words in (
        ({"methods": "darst"}, ["--method", "darst"]),
        ({"methods": "darts", "seeds": 777}, ["--method", "darts", "--seeds", "777"]),
        ({"methods": "darts", "set": {"search.epoch": 3}}, ["--method", "darts", "--set", "search.epoch=3"]),
        ({"methods": "darts", "jobs": 0}, None),
        ({"methods": "darts", "evaluate": "none"}, None),
        ({"methods": "darts", "seed": 3}, None),
    ):
        with pytest.raises(harness.HarnessError) as error:
            harness.run(**options)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)
        if words is not None:
            assert str(error.value) == refusal(call("run", *words))
    assert list(work.iterdir()) == []


def test_no_module_has_the_name_of_a_public_function() -> None:
    import pkgutil

    names = {module.name.rpartition(".")[2] for module in pkgutil.walk_packages(harness.__path__, "harness.")}
    names |= {
        path.stem
        for folder in ("methods", "spaces", "reports")
        for path in Path(harness.__path__[0]).parent.glob(f"{folder}/**/*.py")
    }
    assert names & set(harness.__all__) == set()


# --- files of options


@pytest.mark.usefixtures("inline")
def test_a_dry_run_prints_a_file_that_runs_the_same(work: Path) -> None:
    command = ("--method", "gdas", "--seeds", "3-4", "--study", "s", *SETS, "--set", "gdas.tau_max=5", "--no-mlflow")
    printed = call("run", *command, "--dry-run").output
    (work / "study.yaml").write_text(printed)
    assert yaml.safe_load(printed)["method"] == ["gdas"]
    assert "# gdas[tau_max=5.0] seed 3: 2 epochs, new" in printed
    assert call("run", "--config", "study.yaml", "--dry-run").output == printed
    done = call("run", "--config", "study.yaml", "--seeds", "4,", "--set", "gdas.tau_max=6")
    assert done.exit_code == 0, done.exception
    assert [run.config["label"] for run in folders(work)] == ["gdas[tau_max=6.0]"]
    assert [run.label for run in harness.run(config="study.yaml").runs] == ["gdas[tau_max=5.0]"] * 2 + [
        "gdas[tau_max=6.0]"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("method: darts\nseed: 3\n", "unknown option 'seed', did you mean 'seeds'"),
        ("- darts\n", "must be a mapping of options"),
        ("method: [", "is not valid YAML"),
        ("seeds: 3\n", "no method is named"),
        ("method: darts\njobs: many\n", "jobs: .* valid integer"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(content: str, message: str, work: Path) -> None:
    (work / "study.yaml").write_text(content)
    with pytest.raises(harness.HarnessError, match=message):
        harness.plan(config="study.yaml")
    assert refusal(call("run", "--config", "study.yaml"))


# --- methods of one's own


def test_a_class_reaches_its_worker_by_value_and_goes_on_when_handed_in_again(work: Path) -> None:
    study = harness.run([Sharp, Sharp(power=3)], seeds=1, study="mine", set=TINY, no_mlflow=True)
    assert [(run.label, run.status) for run in study.runs] == [("sharp", "finished"), ("sharp[power=3]", "finished")]
    (run, _) = folders(work)
    source = (run.path / "method_source.txt").read_text()
    assert "class Sharp(WeightSharingMethod)" in source
    assert "def sharpened(" in source
    assert "SHIFT = 0.5" in source
    assert run.config["by_value"]
    assert [path for path in run.path.rglob("*") if path.suffix in {".py", ".pkl", ".pickle"}] == []
    result = run.path / "result.json"
    result.unlink()
    with pytest.raises(harness.HarnessError, match="hand the class in again"):
        harness.retry("mine", no_mlflow=True)
    again = harness.run(Sharp, seeds=1, study="mine", set=TINY, no_mlflow=True)
    assert [run.status for run in again.runs] == ["finished", "finished"]
    assert len(folders(work)) == 2
