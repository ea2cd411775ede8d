"""Two methods or two studies side by side: what is read, what is said first, the numbers, the page, the refusals."""

import re
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from harness.reports.comparison_report import ComparisonReport, build_comparison_report, compare_sides
from harness.reports.page.pair_text import pair_text
from harness.reports.results.sides import read_sides
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies
from tests.support.command_line import call, refusal

pytestmark = pytest.mark.usefixtures("work")

POOLS = (encoding.POOL,) * 6
OTHER: dict[str, Any] = {
    "protocol_hash": "fedcba987654",
    "protocol": {**studies.PROTOCOL, "search": {"epochs": 9, "batch_size": 64}},
}


def near(seed: int) -> studies.Cell:
    """One of the cells near the best, whose accuracies scatter."""
    return encoding.neighbours(studies.ALL_CONV3)[seed]


def study(name: str, seeds: int = 3, shift: int = 0, **config: Any) -> studies.StudyWriter:
    """A study of gdas, which scatters, and darts, which collapses, in the default folder."""
    writer = studies.StudyWriter(Path("runs"), name)
    for seed in range(seeds):
        writer.add("gdas", seed, [near(seed + shift)], seconds_per_epoch=3, **config)
        writer.add("darts", seed, [studies.ALL_SKIP], seconds_per_epoch=6, **config)
    return writer


def compared(a: str, b: str, dataset: str | None = None) -> ComparisonReport:
    return compare_sides(*read_sides(a, b), dataset)


def flat(text: str) -> str:
    """Output without its line breaks."""
    return " ".join(text.split())


def test_two_methods_of_the_latest_study_are_paired_by_seed() -> None:
    study("first", seeds=5)
    found = compared("gdas", "darts")
    (pair,) = found.pairs
    gdas = [studies.accuracy(near(seed)) for seed in range(5)]
    assert pair.differences == pytest.approx([value - 54.3 for value in gdas])
    assert [(row[0], row[2]) for row in found.seeds(pair).rows] == [(seed, 54.3) for seed in range(5)]
    interval = stats.ttest_rel(gdas, [54.3] * 5).confidence_interval()
    text = " ".join(pair_text(pair))
    assert f"95 % interval {interval.low:+.2f} to {interval.high:+.2f} (Student's t over 5 paired seeds)" in text
    assert "A is better in 100 % of all 5 × 5 pairs of runs" in text
    assert "permutation test: p = 0.0079; the smallest that these seeds can give: p = 0.0079." in text
    assert "(exact Wilcoxon signed-rank test): p = 0.062; the smallest: p = 0.062." in text
    assert "(0.17 points), A is better in 5 of 5 common seeds and worse in 0; 0 are ties." in text
    assert "3 s for A, 6 s for B; A costs 0.5 times as much." in text


def test_from_ten_seeds_the_interval_is_bootstrapped() -> None:
    study("first", seeds=10)
    assert "(bootstrap over 10 paired seeds)" in " ".join(pair_text(compared("gdas", "darts").pairs[0]))


def test_the_sign_follows_the_order() -> None:
    study("first")
    there, back = compared("gdas", "darts").pairs[0], compared("darts", "gdas").pairs[0]
    assert there.differences == [-value for value in back.differences]
    assert (there.outcomes, back.outcomes) == ((3, 0, 0), (0, 0, 3))


def test_a_difference_within_the_retraining_noise_is_a_tie() -> None:
    writer = studies.StudyWriter(Path("runs"), "first")
    rows = {round(studies.accuracy(encoding.cell_at(row)), 6): encoding.cell_at(row) for row in range(3000)}
    base = studies.accuracy(encoding.cell_at(0))
    for seed, (low, high) in enumerate([(0.05, 0.16), (0.2, 5.0), (-5.0, -0.2)]):
        cell = next(cell for value, cell in rows.items() if low < value - base < high)
        writer.add("gdas", seed, [cell])
        writer.add("snas", seed, [encoding.cell_at(0)])
    assert compared("gdas", "snas").pairs[0].outcomes == (1, 1, 1)


@pytest.mark.parametrize(
    ("cell", "seeds", "sentence"),
    [
        (studies.ALL_SKIP, 3, "All 3 common seeds have the same accuracy on both sides on cifar10; with an std of 0"),
        (POOLS, 3, f"differ by the same {studies.accuracy(POOLS) - 54.3:+.2f} points on cifar10; with an std of 0"),
        (POOLS, 1, "Only one seed is common: the difference is"),
    ],
)
def test_degenerate_differences_give_a_sentence(cell: studies.Cell, seeds: int, sentence: str) -> None:
    writer = studies.StudyWriter(Path("runs"), "first")
    for seed in range(seeds):
        writer.add("darts", seed, [studies.ALL_SKIP])
        writer.add("pools", seed, [cell])
    found = compared("pools", "darts")
    text = " ".join(pair_text(found.pairs[0]))
    assert sentence in text
    assert not re.search(r"\b(nan|None|inf)\b", text)
    assert found.summary.rows[0][5:7] == [None, None]


def test_failures_and_missing_seeds_are_rows() -> None:
    writer = study("first", seeds=2)
    writer.add("gdas", 2, [POOLS], status="diverged", reason="the loss became nan")
    writer.add("darts", 3, [POOLS], status=None)
    found = compared("gdas", "darts")
    rows = found.seeds(found.pairs[0]).rows
    assert [row[:3] for row in rows[2:]] == [[2, "diverged", "not run"], [3, "not run", "interrupted"]]
    assert [row[3] for row in rows[2:]] == [None, None]
    assert len(found.pairs[0].differences) == 2


def test_a_method_without_a_finished_run_is_said() -> None:
    writer = study("first")
    writer.add("snas", 0, [], status="failed", reason="out of memory")
    found = compared("gdas", "snas")
    text = " ".join(pair_text(found.pairs[0]))
    assert "No seed was finished on both sides" in text
    assert "B has no finished run, so there is nothing to test" in text
    assert build_comparison_report(found, "out").is_file()


def test_protocols_that_differ_are_said_first_and_shown_side_by_side() -> None:
    study("first", seeds=3)
    study("second", seeds=4, shift=1, **OTHER)
    result = call("compare", "first", "second")
    assert result.exit_code == 0, result.output
    text = flat(result.output)
    warning = "The protocols of A and B differ: test-protocol v1 (abcdef012345) and test-protocol v1 (fedcba987654)."
    assert text.startswith(f"{warning} Such runs are never ranked together")
    assert re.search(r"^search\.epochs +3 +9$", result.output, re.MULTILINE)
    assert re.search(r"^search\.order +alpha-first +–$", result.output, re.MULTILINE)
    assert "darts, seed by seed" in text
    assert "gdas, seed by seed" in text


def test_everything_else_that_differs_is_listed() -> None:
    study("first")
    study(
        "second",
        dataset="digits",
        dataset_digest="e" * 64,
        method_source="edited",
        hyperparameters={"tau": 5},
        environment={"cpu": "another", "python": "3.12.0"},
    )
    found = compared("first", "second")
    assert found.settings is not None
    rows = {str(row[0]): row[1:] for row in found.settings.rows}
    assert rows["searched on"] == ["cifar10", "digits"]
    assert rows["cpu"] == ["a processor", "another"]
    assert rows["gdas source"] == ["source-gdas", "edited"]
    assert rows["darts tau"] == ["–", "5"]
    assert not {"python", "protocol", "table name"} & set(rows)
    assert "these differ: dataset, environment, darts: source or settings, gdas: source or settings" in found.notice[1]


def test_different_tables_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    study("first")
    folder = study("second").path
    for file in folder.glob("*/*/evaluation.json"):
        studies.edit_json(file, table={"name": "another"})
    studies.use_no_table(monkeypatch)
    found = compared("first", "second")
    assert found.settings is not None
    assert ["table name", "made-up", "another"] in found.settings.rows
    assert "the noise of retraining is not known" in " ".join(pair_text(found.pairs[0]))


def test_the_same_study_differs_in_nothing() -> None:
    study("first")
    found = compared("gdas", "first:darts")
    assert found.settings is None
    assert "Protocol, search space, dataset, table and environment are the same." in found.notice


def test_methods_that_only_one_study_has_are_named() -> None:
    study("first").add("snas", 0, [POOLS])
    study("second")
    found = compared("first", "second")
    assert [pair.label for pair in found.pairs] == ["darts", "gdas"]
    assert "Only in first, and not compared: snas." in found.notice


def test_one_method_in_two_studies() -> None:
    study("first")
    study("second", shift=1, **OTHER)
    found = compared("first:gdas", "second:gdas")
    assert [pair.label for pair in found.pairs] == ["gdas"]
    names = [column.heading for column in found.seeds(found.pairs[0]).columns]
    assert names == ["Seed", "first:gdas", "second:gdas", "A − B"]


def test_methods_of_a_study_that_must_not_be_ranked_can_stand_side_by_side() -> None:
    writer = study("first")
    writer.add("snas", 0, [POOLS], **OTHER)
    assert "are never ranked together" in " ".join(compared("gdas", "snas").notice)


def test_another_dataset_of_the_table() -> None:
    study("first")
    assert compared("gdas", "darts", "cifar100").pairs[0].differences[0] == pytest.approx(
        studies.accuracy(near(0), "cifar100") - studies.accuracy(studies.ALL_SKIP, "cifar100")
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["first", "gdas"], "'first' is a study and 'gdas' a method; compare two studies or two methods, such as"),
        (["gdas", "first:gdas"], "both sides are first:gdas; name two different ones"),
        (["first", "first"], "both sides are first; name two different ones"),
        (["gdas", "snas"], "'snas' is no study, and no method of study 'first', which has: darts, gdas"),
        (["gdas", "first:snas"], "study 'first' has no method 'snas'; it has: darts, gdas"),
        (["gdas", "third:snas"], "no study 'third' in runs; there are: first"),
        (["gdas", "darts", "--study", "third"], "no study 'third'"),
        (["gdas", "darts", "--dataset", "digits"], "do not both have accuracies on dataset 'digits'"),
        (["gdas", ""], "'' is no study"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(arguments: list[str], told: str) -> None:
    study("first")
    assert told in refusal(call("compare", *arguments))


def test_studies_without_a_common_method_are_refused() -> None:
    study("first")
    studies.StudyWriter(Path("runs"), "second").add("snas", 0, [POOLS])
    assert "have no method in common" in refusal(call("compare", "first", "second"))


def test_a_name_that_is_study_and_method_is_refused_unless_the_study_is_named() -> None:
    study("darts")
    study("later")
    Path("runs/later/study.json").touch()
    assert "'darts' is a study, and a method of the latest study; write later:darts" in refusal(
        call("compare", "gdas", "darts")
    )
    assert call("compare", "gdas", "darts", "--study", "later").exit_code == 0


def test_without_any_study_there_is_nothing_to_compare() -> None:
    assert "no study in" in refusal(call("compare", "gdas", "darts"))


def test_the_report_of_two_studies_is_one_page_that_stands_alone() -> None:
    study("first")
    study("second", shift=1, **OTHER)
    result = call("report", "--compare", "first", "second")
    assert result.exit_code == 0, result.output
    assert "Such runs are never ranked together" in flat(result.output)
    page = Path("runs/first/compared/compared.html")
    assert str(page) in result.output
    source = page.read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', source)
    assert len([address for address in addresses if address.startswith("data:image/svg+xml")]) == 1
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert source.index("Such runs are never ranked together") < source.index("<table")
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<[^>]*>", "", source))
    assert "gdas, seed by seed" in source


def test_the_commands_are_listed() -> None:
    assert "side by side" in flat(call("--help").output)
    assert "--compare" in call("report", "--help").output
