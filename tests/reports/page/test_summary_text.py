"""What the opening of a report claims, and what it refuses to compare."""

import re

import pytest

from harness.errors import HarnessError
from harness.reports.page import summary_text
from harness.reports.results import comparison
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies

POOLS = (encoding.POOL,) * 6
CONV1S = (encoding.CONV1,) * 6


def near(cell: studies.Cell, seed: int) -> studies.Cell:
    """One of the cells a single change away, whose accuracies scatter."""
    return encoding.neighbours(cell)[seed]


def opening(writer: studies.StudyWriter) -> str:
    compared = comparison.make_comparison(load_study(writer.path))
    text = "\n".join([summary_text.scope(compared), *summary_text.opening(compared)])
    assert not re.search(r"\b(nan|None|inf)\b", text)
    return text


def test_a_collapse_is_significantly_worse_and_named(writer: studies.StudyWriter) -> None:
    for seed in range(5):
        writer.add("darts", seed, [POOLS, studies.ALL_SKIP])
        writer.add("gdas", seed, [near(studies.ALL_CONV3, seed)])
    text = opening(writer)
    assert "Two methods, five seeds each, searched nas-bench-201 on cifar10 under protocol test-protocol v1" in text
    assert "It is significantly better than darts (54.30 %)" in text
    assert "darts: all 5 seeds derived the same cell, all skip_connect" in text
    assert "it does not mean precision" in text
    assert "darts ends below a uniformly random cell" in text
    assert "five common seeds: the smallest p that an exact paired test can give is 0.0625 (2/2^5)" in text
    assert "gdas: all" not in text


def test_of_many_methods_a_sentence_names_the_first(writer: studies.StudyWriter) -> None:
    for seed in range(3):
        writer.add("gdas", seed, [near(studies.ALL_CONV3, seed)])
        for number in range(9):
            writer.add(f"poor-{number}", seed, [POOLS, studies.ALL_SKIP])
    text = opening(writer)
    assert "significantly better than poor-0 (54.30 %), poor-1 (54.30 %), poor-2 (54.30 %)" in text
    assert "poor-4 (54.30 %) and 4 others." in text
    assert "9 methods end below a uniformly random cell" in text
    assert "Collapsed: seeds of 9 methods" in text


def test_overlapping_intervals_are_a_tie(writer: studies.StudyWriter) -> None:
    for seed in range(5):
        writer.add("gdas", seed, [near(studies.ALL_CONV3, seed)])
        writer.add("snas", seed, [near(studies.ALL_CONV3, (seed + 2) % 5 + seed % 2)])
    assert "On cifar10, no two methods differ significantly: all are tied" in opening(writer)


def test_a_difference_below_the_retraining_noise_is_a_tie(writer: studies.StudyWriter) -> None:
    pairs = [(cell, studies.accuracy(cell)) for cell in map(encoding.cell_at, range(2000))]
    first, accuracy = pairs[0]
    second = next(cell for cell, other in pairs if 0.05 < abs(other - accuracy) < 0.16)
    for seed in range(5):
        writer.add("gdas", seed, [first])
        writer.add("snas", seed, [second])
    text = opening(writer)
    assert "On cifar10, no two methods differ significantly" in text
    assert "0.17 points on cifar10 and 0.31 points on cifar100" in text


def test_one_seed_each_tells_nothing(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP])
    writer.add("gdas", 0, [studies.ALL_CONV3])
    text = opening(writer)
    assert "one seed each" in text
    assert "so differences may be due to the seed alone" in text


def test_one_method(writer: studies.StudyWriter) -> None:
    for seed in range(3):
        writer.add("gdas", seed, [near(studies.ALL_CONV3, seed)])
    text = opening(writer)
    assert "One method, three seeds" in text
    assert "there is no other method to compare it with" in text
    assert "paired test" not in text


def test_all_equal(writer: studies.StudyWriter) -> None:
    for seed in range(3):
        for method in ("darts", "snas"):
            writer.add(method, seed, [studies.ALL_SKIP])
    assert "Every finished run of every method reaches 54.30 % on cifar10: all are tied" in opening(writer)


def test_all_failed(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [POOLS], status="diverged", reason="the loss became nan")
    writer.add("gdas", 0, [], status="failed", reason="out of memory")
    text = opening(writer)
    assert text.count("No run finished, so there is nothing to rank") == 1  # not once for each data set
    assert "2 of 2 runs failed: darts seed 0 (diverged) and gdas seed 0 (failed)" in text


def test_failures_are_named_and_counted_as_random_cells(writer: studies.StudyWriter) -> None:
    for seed in range(4):
        writer.add("gdas", seed, [studies.ALL_CONV3], status="finished" if seed else "timed out")
        writer.add("snas", seed, [CONV1S])
    text = opening(writer)
    random = studies.table().test_accuracy("cifar10").mean()
    mean = (3 * studies.accuracy(studies.ALL_CONV3) + random) / 4
    assert "1 of 8 runs failed: gdas seed 0 (timed out)" in text
    assert f"the mean on cifar10 is gdas {mean:.2f} %, and the order becomes snas, gdas" in text
    assert "three common seeds" in text


def test_an_interrupted_run_is_no_failure(writer: studies.StudyWriter) -> None:
    writer.add("gdas", 0, [studies.ALL_CONV3])
    writer.add("gdas", 1, [studies.ALL_CONV3], status=None)
    text = opening(writer)
    assert "1 of 2 runs have not ended and are left out: gdas seed 1" in text
    assert "failed" not in text


def test_without_a_table_the_stored_accuracies_are_ranked(
    writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies.use_no_table(monkeypatch)
    writer.add("gdas", 0, [studies.ALL_CONV3])
    text = opening(writer)
    assert f"gdas reaches {studies.accuracy(studies.ALL_CONV3):.2f} % on cifar10" in text
    assert "no table at gone.csv; give its path with --table" in text
    assert "random cell" not in text


def test_without_table_and_look_up_there_is_nothing_to_rank(
    writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies.use_no_table(monkeypatch)
    writer.add("gdas", 0, [studies.ALL_CONV3], datasets=())
    assert "No finished run was looked up in a table" in opening(writer)


def test_a_table_given_by_the_user_must_be_readable(
    writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies.use_no_table(monkeypatch)
    writer.add("gdas", 0, [studies.ALL_CONV3])
    with pytest.raises(HarnessError, match="no table at"):
        comparison.make_comparison(load_study(writer.path), "gone.csv")


def test_the_table_wins_over_stored_accuracies(writer: studies.StudyWriter) -> None:
    folder = writer.add("gdas", 0, [studies.ALL_CONV3])
    studies.edit_json(folder / "evaluation.json", accuracy={"cifar10": [12.34]})
    assert "12.34" not in opening(writer)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"protocol_hash": "fedcba987654"}, ["protocols", "test-protocol abcdef012345 (darts)", "fedcba987654 (gdas)"]),
        ({"dataset": "digits"}, ["search datasets", "cifar10 (darts)", "digits (gdas)"]),
        ({"space": "another-space"}, ["search spaces", "another-space (gdas)"]),
        ({"dataset_digest": "e" * 64}, ["versions of the search dataset"]),
    ],
)
def test_what_must_not_be_mixed_is_refused(writer: studies.StudyWriter, other: dict[str, str], told: list[str]) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP])
    writer.add("gdas", 0, [studies.ALL_CONV3], **other)
    with pytest.raises(HarnessError) as refusal:
        comparison.make_comparison(load_study(writer.path))
    message = str(refusal.value)
    assert all(part in message for part in [*told, "harness run --study NAME"])
    assert "\n" not in message


def test_look_ups_in_different_tables_are_refused(writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    studies.use_no_table(monkeypatch)
    writer.add("darts", 0, [studies.ALL_SKIP])
    folder = writer.add("gdas", 0, [studies.ALL_CONV3])
    studies.edit_json(folder / "evaluation.json", table={"name": "another"})
    with pytest.raises(HarnessError, match=r"2 different tables.*--table PATH"):
        comparison.make_comparison(load_study(writer.path))


def test_an_empty_study_is_refused(writer: studies.StudyWriter) -> None:
    with pytest.raises(HarnessError, match="has no runs"):
        comparison.make_comparison(load_study(writer.path))


def test_differing_environments_and_sources_are_said(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP], environment={"cpu": "old", "python": "3.12"})
    writer.add("darts", 1, [studies.ALL_SKIP], environment={"cpu": "new", "python": "3.12"}, method_source="edited")
    text = opening(writer)
    assert "environments differ in cpu:" in text
    assert "The seeds of darts ran with different versions of the method's source" in text


def test_superseded_runs_are_counted(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [POOLS], identity="0ld")
    writer.add("darts", 0, [studies.ALL_SKIP], identity="new")
    assert "One run left out, because a newer run has the same method and seed" in opening(writer)


def test_simulated_seconds_are_called_so(writer: studies.StudyWriter) -> None:
    for method, cell in (("random-search", CONV1S), ("reinforce", studies.ALL_CONV3)):
        path = writer.add(method, 0, [cell])
        folder = RunFolder(path)
        folder.write_trace([{**row, "evaluations": 5, "simulated_seconds": 9.5} for row in folder.read_trace()])
    text = opening(writer)
    assert "Search costs are not compared: their seconds are simulated" in text
    assert "lowest search cost" not in text
    writer.add("darts", 0, [studies.ALL_SKIP])
    assert "The seconds of random-search and reinforce are simulated" in opening(writer)


def test_a_leader_tied_with_many_is_not_followed_by_the_list_of_all(writer: studies.StudyWriter) -> None:
    conv3, conv1, pool, none = encoding.CONV3, encoding.CONV1, encoding.POOL, encoding.NONE
    poorer = {
        "darts": (conv3, conv3, conv3, conv3, conv3, none),
        "snas": (conv3, conv3, conv3, conv1, pool, pool),
        "setn": (conv3, conv3, conv3, pool, pool, pool),
    }
    for seed in range(5):
        writer.add("gdas", seed, [studies.ALL_CONV3 if seed else (conv3, conv3, conv1, pool, pool, pool)])
        for method, cell in poorer.items():
            writer.add(method, seed, [cell])
    text = opening(writer)
    assert "has the highest mean accuracy" in text
    assert "It is tied with all other methods." in text
