"""The search loops: pairing, cost counts, divergence, and searches that go on bit for bit where they broke off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from filelock import FileLock

from harness import registry
from harness.errors import Diverged, HarnessError
from harness.methods.base import Batch, QueryMethod
from harness.methods.darts import DARTS
from harness.methods.random_search import RandomSearch
from harness.runs import process
from harness.runs.folder import RunFolder
from harness.runs.process import Event
from harness.search.query_by_training import TrainingQuerySearch
from harness.search.training import cosine
from harness.spaces.base import Mixture
from tests.support.small_search import (
    CPU,
    TIMING,
    Killed,
    data,
    gradient_search,
    outcome,
    protocol,
    quiet,
    run,
    start,
    without,
)
from tests.support.toy import NAS_BENCH_201, identical

STEPS = 2


def untimed(row: Any) -> dict[str, Any]:
    return without(row, TIMING)


# --- pairing and the loop


class Spy(DARTS):
    """DARTS that keeps what it was shown."""

    name = "spy"
    shown: ClassVar[list[tuple[str, Batch]]] = []

    def alpha_step(self, search: Any, train: Batch, valid: Batch) -> Any:
        self.shown.append(("alpha", valid))
        return super().alpha_step(search, train, valid)

    def weight_step(self, search: Any, train: Batch) -> Any:
        self.shown.append(("weight", train))
        return super().weight_step(search, train)


class NoisySpy(Spy):
    """Draws noise of its own, from both streams it could reach."""

    name = "noisy-spy"

    def mixture(self, search: Any) -> Mixture:
        torch.rand(7, generator=search.rng)
        torch.rand(3)
        return super().mixture(search)


def shown(method: Spy, *overrides: str) -> list[tuple[str, Batch]]:
    Spy.shown.clear()
    gradient_search(method, *overrides).run_epoch(0, quiet)
    return list(Spy.shown)


def test_methods_see_the_same_batches_and_initial_weights_whatever_noise_they_draw() -> None:
    plain, noisy = shown(Spy()), shown(NoisySpy())
    assert [kind for kind, _ in plain] == [kind for kind, _ in noisy]
    for (_, one), (_, other) in zip(plain, noisy, strict=True):
        assert identical(one, other)
    starts = [list(gradient_search(method).state.supernet.parameters()) for method in (Spy(), NoisySpy())]
    assert identical(*starts)


def test_the_protocol_decides_which_step_comes_first() -> None:
    assert [kind for kind, _ in shown(Spy())] == ["alpha", "weight"] * STEPS
    assert [kind for kind, _ in shown(Spy(), "search.order=weights-first")] == ["weight", "alpha"] * STEPS


def test_training_and_validation_batches_come_from_their_own_halves() -> None:
    rules = protocol("data.crop_padding=0")
    halves = data(rules)
    for kind, batch in shown(Spy(), "data.crop_padding=0"):
        half = halves.train if kind == "weight" else halves.valid
        known = {tuple(image.flatten().tolist()) for part in half.in_order() for image in part.images}
        assert {tuple(image.flatten().tolist()) for image in batch.images} <= known


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [("darts", 2, 2), ("darts-2nd", 5, 5), ("snas", 1, 1), ("snas-bilevel", 2, 2), ("gdas", 2, 2)],
)
def test_passes_and_examples_are_counted(name: str, forward: int, backward: int) -> None:
    search = gradient_search(registry.get_method(name)())
    row = search.run_epoch(0, quiet)
    assert (row["forward_passes"], row["backward_passes"]) == (forward * STEPS, backward * STEPS)
    assert row["examples"] == 8 * forward * STEPS
    assert search.run_epoch(1, quiet)["examples"] == 2 * row["examples"]


def test_pc_darts_pays_for_no_alpha_step_while_it_warms_up() -> None:
    search = gradient_search(registry.get_method("pc-darts")(warmup=0.5), "search.epochs=4")
    rows = [search.run_epoch(epoch, quiet) for epoch in range(4)]
    assert [row["forward_passes"] for row in rows] == [2, 4, 8, 12]
    assert [row["valid_loss"] is None for row in rows] == [True, True, False, False]


def test_the_learning_rate_falls_by_a_cosine() -> None:
    assert [cosine(0.05, 0.001, epoch, 4) for epoch in (0, 2, 4)] == pytest.approx([0.05, 0.0255, 0.001])
    search = gradient_search(DARTS(), "weights.learning_rate=0.5", "weights.learning_rate_min=0")
    search.run_epoch(2, quiet)
    assert search.state.weight_optimizer.param_groups[0]["lr"] == pytest.approx(0.125)  # 3/4 of the way, cos 120 deg


def test_a_row_tells_what_the_epoch_came_to() -> None:
    fractions: list[float] = []
    search = gradient_search(DARTS())
    row = search.run_epoch(0, fractions.append)
    assert fractions == [0.5, 1.0]
    assert row["epoch"] == 1
    assert NAS_BENCH_201.parse(row["architecture"]) == NAS_BENCH_201.architecture(row["index"])
    assert sum(row["operations"].values()) == 6
    assert row["alpha_entropy"] == pytest.approx(1.609, abs=0.01)  # ln 5: α is nearly uniform
    assert row["weight_seconds"] > 0
    assert row["alpha_seconds"] > 0
    assert search.alphas()["alpha"] == search.state.alpha.tolist()


@pytest.mark.parametrize("setting", ["weights.learning_rate=1e30", "alpha.learning_rate=1e38"])
def test_a_search_that_diverges_says_what_was_not_finite(setting: str) -> None:
    search = gradient_search(DARTS(), setting, "weights.clip_norm=null")
    with pytest.raises(Diverged, match=r"(training loss|validation loss|parameter alpha) .* in epoch \d"):
        _ = [search.run_epoch(epoch, quiet) for epoch in range(3)]


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("mixture", "must return a Mixture: this is None"),
        *(
            (hook, f"{hook} lacks a return")
            for hook in ("supernet_options", "initial_alphas", "alpha_optimizer", "initial_memory")
        ),
        *((hook, f"{hook} lacks a return") for hook in ("weight_step", "derive", "operation_weights")),
    ],
)
def test_a_hook_that_forgets_to_return_is_named(hook: str, message: str) -> None:
    forgetful = type("Forgetful", (DARTS,), {hook: lambda self, *arguments: None})

    def searched() -> None:
        search = gradient_search(forgetful())
        search.run_epoch(0, quiet)
        search.alphas()

    with pytest.raises(TypeError, match=message):
        searched()


# --- query-based methods


def query_search(epochs_per_cell: int, epochs: int) -> TrainingQuerySearch:
    rules = protocol(f"search.epochs={epochs}")
    return TrainingQuerySearch(RandomSearch(epochs_per_cell=epochs_per_cell), NAS_BENCH_201, data(rules), rules, 0, CPU)


def test_random_search_spends_no_more_than_a_gradient_search_and_keeps_the_best_cell() -> None:
    search = query_search(epochs_per_cell=3, epochs=7)
    rows = [search.run_epoch(epoch, quiet) for epoch in range(7)]
    assert [len(search.history), rows[0]["valid_accuracy"]] == [3, None]  # 7 epochs pay for 14 halves, a cell takes 4
    for row in rows:
        assert row["examples"] <= 32 * row["epoch"]
    assert rows[-1]["examples"] == 3 * 4 * 16
    best = max(search.history, key=lambda seen: seen.valid_accuracy)
    assert rows[-1]["architecture"] == NAS_BENCH_201.format(best.architecture)
    assert rows[-1]["valid_accuracy"] == best.valid_accuracy
    assert rows[0]["architecture"] == NAS_BENCH_201.format(search.history[0].architecture)


def test_a_query_method_that_asks_for_what_is_no_cell_is_stopped() -> None:
    class Lost(QueryMethod):
        name = "lost"

        def ask(self, state: Any) -> Any:
            return (9, 9, 9)

    rules = protocol()
    search = TrainingQuerySearch(Lost(), NAS_BENCH_201, data(rules), rules, 0, CPU)
    with pytest.raises(ValueError, match="6 edges"):
        search.run_epoch(0, quiet)


# --- whole runs in a folder


def in_the_midst(epochs: int) -> Callable[[Event], bool]:
    """Kills a run in the epoch after so many."""
    return lambda event: event["kind"] == "progress" and event["done"] > epochs


@pytest.mark.parametrize("name", ["darts", "gdas", "random-search"])  # of every method, see harness/contract
def test_a_broken_run_goes_on_and_ends_bit_for_bit_as_an_unbroken_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.Pace, "due", lambda self: True)
    whole, broken = (start(tmp_path / study, name, "search.epochs=12") for study in ("whole", "broken"))
    run(whole)
    for epochs in (0, 2, 7):
        with pytest.raises(Killed):
            run(broken, in_the_midst(epochs))
        assert len(broken.read_trace()) == epochs
    seconds = broken.read_trace()[-1]["weight_seconds"]
    run(broken)
    assert outcome(broken) == outcome(whole)
    assert broken.read_trace()[-1]["weight_seconds"] > seconds
    assert not (broken.path / "checkpoint.pt").exists()


def test_other_seeds_give_other_runs(tmp_path: Path) -> None:
    one, other = start(tmp_path, "darts"), start(tmp_path, "darts", seed=1)
    run(one)
    run(other)
    assert outcome(one)["alphas"] != outcome(other)["alphas"]


def test_a_diverged_run_is_recorded_with_its_reason(tmp_path: Path) -> None:
    folder = start(tmp_path, "darts", "weights.learning_rate=1e30", "weights.clip_norm=null")
    run(folder)
    result = folder.result
    assert result is not None
    assert (result["status"], result["architecture"]) == ("diverged", None)
    assert "in epoch" in result["reason"]


def test_a_damaged_checkpoint_is_named_and_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.Pace, "due", lambda self: True)
    folder = start(tmp_path, "darts")
    with pytest.raises(Killed):
        run(folder, in_the_midst(1))
    checkpoint = folder.path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(HarnessError, match=r"checkpoint\.pt cannot be read .*; delete .* and run again"):
        run(folder)
    assert folder.result is None


def test_two_processes_never_search_the_same_run(tmp_path: Path) -> None:
    folder = start(tmp_path, "darts")
    with FileLock(folder.path / ".lock"), pytest.raises(HarnessError, match="another process"):
        run(folder)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(HarnessError, match=r"cannot read .*result\.json: .*; make it readable and run again"):
        _ = RunFolder(tmp_path).result
