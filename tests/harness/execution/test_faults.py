"""Faults that are not the method's: damaged checkpoints, data and folders that are taken away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.config.protocol import load_protocol
from harness.data.info import DatasetInfo
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.registry import get_method
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.study.planning import plan_runs
from tests.support.data_files import store
from tests.support.small_search import Killed, outcome
from tests.support.small_search import run as search
from tests.support.toy import NAS_BENCH_201
from tests.support.undisturbed import TINY, planned


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed after three of its five epochs."""

    run = planned(tmp_path_factory.mktemp("half"))
    run.folder.write_json("config.json", run.config)
    with pytest.raises(Killed):
        search(run.folder, lambda event: event["kind"] == "epoch" and event["done"] == 3)
    return run.folder.path


@pytest.fixture
def broken(half: Path, tmp_path: Path) -> RunFolder:
    """A copy of :func:`half`."""
    return RunFolder(Path(shutil.copytree(half, tmp_path / half.name)))


# --- checkpoints


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def fill_with_something_else(file: Path) -> None:
    torch.save({"epochs": 3}, file)


DAMAGES = [truncate, flip_a_bit, fill_with_something_else]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_costs_an_epoch_and_no_bit(
    damage: Callable[[Path], None], broken: RunFolder, whole: dict[str, Any]
) -> None:
    damage(broken.path / "checkpoint.pt")
    told = []

    def listen(event: process.Event) -> None:
        if event["kind"] == "note":
            told.append(event["note"])
            assert [row["epoch"] for row in broken.read_trace()] == [1, 2]
            assert len(broken.read_json("alphas.json")) == 2
            assert [file.name for file in broken.path.glob("checkpoint*")] == ["checkpoint-previous.pt"]

    search(broken, listen)
    (note,) = told
    assert note.startswith("checkpoint.pt cannot be read (")
    assert note.endswith("; goes on from checkpoint-previous.pt, after epoch 2")
    assert outcome(broken) == whole
    assert list(broken.path.glob("checkpoint*")) == []


def test_a_crash_between_the_two_renames_leaves_a_checkpoint_to_go_on_from(
    broken: RunFolder, whole: dict[str, Any]
) -> None:
    (broken.path / "checkpoint.pt").rename(broken.path / "checkpoint-new.pt")
    begun: list[float] = []
    search(broken, lambda event: begun.append(event["done"]) if event["kind"] == "epoch" else None)
    assert begun == [3, 4, 5]
    assert outcome(broken) == whole
    assert list(broken.path.glob("checkpoint*")) == []


def test_where_both_checkpoints_are_damaged_one_line_says_so_and_nothing_is_changed(broken: RunFolder) -> None:
    truncate(broken.path / "checkpoint.pt")
    flip_a_bit(broken.path / "checkpoint-previous.pt")
    before = {file.name: file.read_bytes() for file in broken.path.iterdir()}
    with pytest.raises(HarnessError) as caught:
        search(broken)
    message = str(caught.value)
    assert message.startswith("checkpoint.pt cannot be read (")
    assert " and checkpoint-previous.pt cannot be read (" in message
    assert message.endswith(f"; delete {broken.path} and run again")
    assert "\n" not in message
    assert {file.name: file.read_bytes() for file in broken.path.iterdir()} == before


# --- data that is gone, or is another than what was planned on


def test_a_run_whose_data_is_taken_away_goes_on_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cifar10: DatasetInfo, contents: dict[str, bytes]
) -> None:
    data = store(tmp_path / "data" / cifar10.folder, contents)
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path / "data"))
    settings = ["dataset=cifar10", *TINY, "search.epochs=2", "data.images=20", "search.batch_size=4"]
    rules, training = load_protocol("quick", settings), load_training_set("cifar10")
    runs = []
    for study in ("whole", "broken"):
        (run,) = plan_runs(tmp_path / study, [get_method("gdas")()], [0], NAS_BENCH_201, rules, training, 1)
        run.folder.write_json("config.json", run.config)
        runs.append(run.folder)
    whole, broken = runs
    search(whole)
    with pytest.raises(Killed):
        search(broken, lambda event: event["kind"] == "epoch")
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(HarnessError, match=r"cifar10 is neither in .*--data-dir"):
        search(broken)
    assert broken.result is None
    (tmp_path / "elsewhere").rename(data)
    search(broken)
    assert outcome(broken) == outcome(whole)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("dataset_digest", "digits on this machine .* is not what the run was planned on .*; put the same files there"),
        ("method_source", "the source of gdas is no longer what the run was planned with; run again"),
    ],
)
def test_a_run_is_not_begun_with_other_images_or_source_than_planned(field: str, said: str, tmp_path: Path) -> None:
    run = planned(tmp_path / "study")
    run.folder.write_json("config.json", {**run.config, field: "0" * 64})
    with pytest.raises(HarnessError, match=said):
        search(run.folder)
    assert run.folder.result is None
    assert run.folder.read_trace() == []


# --- run folders that are taken away


def test_a_run_whose_folder_is_taken_away_writes_no_other_and_goes_on_once_it_is_back(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    run = planned(tmp_path / "study").folder
    run.write_json("config.json", planned(tmp_path / "study").config)
    elsewhere = tmp_path / "elsewhere"

    def take(event: process.Event) -> None:
        if event["kind"] == "epoch" and event["done"] == 2:
            (tmp_path / "study").rename(elsewhere)

    with pytest.raises(HarnessError, match=r"is gone or cannot be reached; bring it back and run the same command$"):
        search(run, take)
    assert not (tmp_path / "study").exists()
    elsewhere.rename(tmp_path / "study")
    search(run)
    assert outcome(run) == whole
