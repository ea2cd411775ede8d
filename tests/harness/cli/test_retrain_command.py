"""Training cells from scratch by the two commands, ``retrain`` and ``run --evaluate``."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean, stdev

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import harness
from harness.execution.local import Listener, LocalExecutor
from harness.retraining import worker
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.runs.results import load_results
from harness.search import worker as searching
from tests.support.small_training import CELL, TINY
from tests.support.toy import NAS_BENCH_201 as SPACE

pytestmark = pytest.mark.usefixtures("small_digits")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and workers that work in this process."""

    def execute(self: LocalExecutor, runs: list[RunFolder], listener: Listener) -> None:
        for run in runs:

            def emit(event: process.Event, run: RunFolder = run) -> None:
                if event["kind"] == "ended":
                    listener.ended(run, event["status"], event["reason"])

            listener.started(run)
            work = worker.train if self.program == "harness.retraining.worker" else searching.search
            process.run(run, self.data_directory, self.device, emit, work)

    for name in ("HARNESS_RUNS_DIR", "HARNESS_DATA_DIR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(LocalExecutor, "execute", execute)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(harness, arguments)


def sets(prefix: str = "") -> list[str]:
    return [option for setting in TINY for option in ("--set", f"{prefix}{setting}")]


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


@pytest.mark.usefixtures("work")
def test_retrain_reports_mean_and_sd_over_training_seeds_and_repeats_nothing() -> None:
    command = ("retrain", SPACE.format(CELL), "--seeds", "2", "--no-mlflow", *sets())
    first = call(*command)
    assert first.exit_code == 0, first.output or first.exception
    single = [float(found) for found in re.findall(r"seed \d: test accuracy ([\d.]+) %", first.output)]
    assert len(single) == 2
    printed = re.search(
        r"recipe short v1 \(\w{12}\): ([\d.]+) ± ([\d.]+) %, mean ± sd of 2 training seeds", first.output
    )
    assert printed
    assert [float(value) for value in printed.groups()] == pytest.approx([fmean(single), stdev(single)], abs=0.011)
    assert "C=2, N=1, 10 classes: " in first.output

    again = call("retrain", str(SPACE.index(CELL)), "--seeds", "3", "--no-mlflow", *sets())
    assert again.output.count("(cached)") == 2
    assert again.output.count(": started") == 1
    (folder,) = Path("runs/.retrained").iterdir()
    assert len(list(folder.glob("seed-*"))) == 3


@pytest.mark.usefixtures("work")
def test_a_search_is_evaluated_on_the_data_it_searched_on() -> None:
    search = ("--set", "search.epochs=1", "--set", "data.images=40", "--set", "supernet.channels=4")
    command = ("run", "--method", "darts", "--method", "gdas", "--seeds", "2", "--study", "both", "--no-mlflow")
    command += (*search, "--training-seeds", "2", "--evaluate")
    done = call(*command, "both", *sets("recipe."))
    assert done.exit_code == 0, done.output or done.exception
    assert len(re.findall(r"darts seed \d: retrained on digits, [\d.]+ ± [\d.]+ %", done.output)) == 2
    frame = load_results("both").set_index(["method", "seed"])
    assert frame[["test_cifar10", "retrained_digits"]].notna().all(axis=None)

    files = list(Path("runs").glob("both/*/*/evaluation.json"))
    assert len(files) == 4
    for file in files:
        evaluation = RunFolder(file.parent).evaluation
        assert evaluation is not None
        values = [value for value in evaluation["retrained"]["digits"] if value is not None]
        assert len(values) == 2
        row = frame.loc[tuple(RunFolder(file.parent).config[key] for key in ("label", "seed"))]
        assert row.retrained_digits == pytest.approx(fmean(values))
        assert evaluation["recipe"].startswith("short v1 (")
    before = [file.read_bytes() for file in files]
    assert call(*command, "both", *sets("recipe.")).exit_code == 0
    assert [file.read_bytes() for file in files] == before

    report = call("report", "--study", "both")
    assert report.exit_code == 0, report.exception
    written = Path("runs/both/report")
    assert (written / "tables" / "accuracy-retrained-digits.csv").is_file()
    page = written.joinpath("report.html").read_text()
    assert "Accuracy on digits, retrained" in page
    assert "oo few distinct cells to correlate the accuracy retrained on digits" in page


@pytest.mark.usefixtures("work")
def test_a_training_that_fails_is_told_and_the_search_stands() -> None:
    options = ["--set", "recipe.training.learning_rate=1e30", "--no-mlflow", *sets("recipe.")]
    command = ("run", "--method", "random-search", "--seeds", "1", "--set", "search.epochs=1", "--evaluate", "retrain")
    done = call(*command, "--set", "data.images=40", *options)
    assert done.exit_code == 1
    assert "1 of 1 runs finished" in done.output
    assert "diverged: the training loss became" in done.output
    assert "random-search seed 0: retrained on digits, none of 3 trainings finished" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("retrain 99999", "15624"),
        ("retrain 5 --recipe shrot", r"unknown recipe 'shrot', did you mean 'short'\?"),
        ("retrain 5 --dataset mnist", "unknown dataset 'mnist'"),
        ("retrain 5 --dataset imagenet16-120", "imagenet16-120 is neither in .*--data-dir"),
        ("retrain 5 --set training.lr=1", "unknown setting 'training.lr'"),
        ("retrain 5 --device tpu", "--device tpu cannot be used"),
        ("run --method darts --recipe short", "a recipe is for retraining; add --evaluate retrain or"),
        ("run --method darts --set recipe.training.epochs=2", "a recipe is for retraining; add --evaluate"),
        ("run --method darts --evaluate both --set recipe.training.epochs=0", "training.epochs"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_creates_nothing(arguments: str, message: str, work: Path) -> None:
    result = call(*arguments.split())
    assert result.exception is not None
    assert re.search(message, str(result.exception))
    assert "\n" not in str(result.exception)
    assert list(work.iterdir()) == []
