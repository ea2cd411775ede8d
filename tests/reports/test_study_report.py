"""The written report: its rankings, files and page, and the command."""

import csv
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.report_command import report_command
from harness.reports.figures.cells import cell_png
from harness.reports.figures.registry import draw_all
from harness.reports.results import comparison
from harness.reports.study_report import Report, build_report
from harness.reports.tables.rankings import accuracy_table
from harness.runs.results import load_study
from harness.spaces.base import InvalidArchitecture
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies

PNG = b"\x89PNG\r\n\x1a\n"


def rows(report: Report, name: str) -> dict[str, dict[str, str]]:
    """A table as written, by its first column."""
    with open(report.folder / "tables" / f"{name}.csv", newline="") as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of the study with every trait."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        studies.use_made_up_table(patch)
        return build_report(load_study(studies.five_methods(tmp_path_factory.mktemp("runs"))))


def test_the_accuracy_ranking(full: Report) -> None:
    found = rows(full, "accuracy-cifar10")
    methods = [name for name, row in found.items() if row["reference"] == "no"]
    means = [float(found[name]["mean"]) for name in methods]
    assert sorted(methods) == ["darts", "gdas", "pc-darts", "random-search", "snas"]
    assert means == sorted(means, reverse=True)
    assert found["darts"]["finished"] == "5/5"
    assert [float(found["darts"][key]) for key in ("mean", "std", "worst", "best")] == [54.3, 0, 54.3, 54.3]
    assert found["pc-darts"]["finished"] == "4/5"
    column = studies.table().test_accuracy("cifar10")
    imputed = (4 * float(found["pc-darts"]["mean"]) + column.mean()) / 5
    assert float(found["pc-darts"]["mean_failures_as_random"]) == pytest.approx(imputed)


def test_reference_rows_are_always_there(full: Report) -> None:
    found = rows(full, "accuracy-cifar10")
    column = studies.table().test_accuracy("cifar10")
    references = [name for name, row in found.items() if row["reference"] == "yes"]
    expected = ["uniformly random cell", "all nor_conv_3x3", "all skip_connect", "best cell of the table"]
    assert references == expected
    assert float(found["uniformly random cell"]["mean"]) == pytest.approx(column.mean())
    assert float(found["uniformly random cell"]["std"]) == pytest.approx(column.std())
    assert float(found["uniformly random cell"]["normalized"]) == 0
    assert float(found["all skip_connect"]["mean"]) == 54.3
    assert float(found["best cell of the table"]["regret"]) == 0


def test_the_cost_ranking_is_by_seconds_and_marks_the_pareto_front(full: Report) -> None:
    found = rows(full, "cost")
    assert list(found) == ["random-search", "pc-darts", "darts", "snas", "gdas"]
    darts = found["darts"]
    assert float(darts["seconds"]) == pytest.approx(100)
    parts = [float(darts[part]) for part in ("weight_seconds", "alpha_seconds", "derivation_seconds")]
    assert parts == pytest.approx([60, 39, 1])
    assert (float(darts["seconds_per_epoch"]), int(float(darts["examples"]))) == (2, 2_500_000)
    assert found["random-search"]["pareto_front"] == "yes"
    assert darts["pareto_front"] == "no"


def test_a_collapsed_method_is_last_in_stability_though_its_std_is_0(full: Report) -> None:
    found = rows(full, "stability")
    assert list(found)[-1] == "darts"
    keys = ("std", "distinct_cells", "agreement_percent", "parameter_free_edges")
    assert [float(found["darts"][key]) for key in keys] == [0, 1, 100, 6]
    assert float(found["darts"]["lost_since_best_epoch"]) > 5


def test_collapse_is_counted_by_its_rule(full: Report) -> None:
    found = rows(full, "stability")
    assert (found["darts"]["collapse_percent"], found["darts"]["collapse_interval"]) == ("100.0", "48 to 100")
    assert float(found["snas"]["collapse_percent"]) == 0
    assert any("Collapsed: 5 of 5 seeds of darts" in paragraph for paragraph in full.opening)


def test_every_pair_has_its_p_and_what_the_design_could_give(full: Report) -> None:
    with open(full.folder / "tables" / "pairs-cifar10.csv", newline="") as file:
        pairs = list(csv.DictReader(file))
    assert len(pairs) == 10
    for pair in pairs:
        assert float(pair["smallest_p"]) <= float(pair["p"]) <= float(pair["p_holm"]) <= 1
        assert float(pair["difference"]) >= 0
    against_darts = next(pair for pair in pairs if (pair["method"], pair["against"]) == ("snas", "darts"))
    assert float(against_darts["superiority"]) == 1
    assert float(against_darts["p"]) == pytest.approx(2 / 252)
    assert against_darts["verdict"] == "different"
    assert "p (Holm)" in Page(full.page.read_text()).text


def test_ranks_have_their_uncertainty(full: Report) -> None:
    found = rows(full, "accuracy-cifar10")
    assert found["darts"]["rank_interval"] == "5 to 5"
    assert sum(float(row["first_percent"] or 0) for row in found.values()) == pytest.approx(100)


def test_few_seeds_claim_no_rank(writer: studies.StudyWriter) -> None:
    for seed in range(3):
        writer.add("gdas", seed, [studies.ALL_CONV3])
        writer.add("darts", seed, [studies.ALL_SKIP])
    table = accuracy_table(comparison.make_comparison(load_study(writer.path)), "cifar10")
    assert [row[0] for row in table.rows] == ["gdas", "darts"]
    assert all(row == [None, None] for row in table.select(["rank_interval", "first_percent"]).rows)


def test_outcomes_are_counted(full: Report) -> None:
    collapsed = rows(full, "outcomes")["darts"]
    assert collapsed["cell"] == encoding.to_string(studies.ALL_SKIP)
    assert (collapsed["count"], collapsed["seeds"], collapsed["cifar10"]) == ("5", "0, 1, 2, 3, 4", "54.3")


def test_every_run_is_a_row(full: Report) -> None:
    with open(full.folder / "tables" / "runs.csv", newline="") as file:
        runs = list(csv.DictReader(file))
    assert len(runs) == 25
    failed = [run for run in runs if run["status"] != "finished"]
    assert [(run["method"], run["seed"], run["status"], run["cifar10"]) for run in failed] == [
        ("pc-darts", "3", "diverged", "")
    ]
    assert "became nan in epoch 18" in failed[0]["reason"]


class Page(HTMLParser):
    """Collects what a page would fetch and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.images = 0
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.images += tag == "img"
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone(full: Report) -> None:
    source = full.page.read_text()
    page = Page(source)
    assert page.images == len(list((full.folder / "figures").glob("*.png")))
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe"}
    assert "@import" not in source
    assert "url(" not in source


def test_the_page_says_what_the_command_says_and_how_to_repeat_it(full: Report) -> None:
    text = Page(full.page.read_text()).text
    for paragraph in [full.scope, *full.opening]:
        assert paragraph in text
    assert "harness run --study example --seeds 5" in text
    assert "Made-up accuracies." in text
    assert "search.batch_size" in text
    assert text.count("test-protocol v1 (abcdef012345)") >= 4  # beside every ranking
    assert "pc-darts seed 3, diverged after 17 of 50 epochs: architecture parameters became nan" in text
    assert not re.search(r"\b(nan %|None|inf)\b", text)


def test_the_contents_line_reaches_every_section_from_the_ranking_to_the_reproduction(full: Report) -> None:
    page = Page(full.page.read_text())
    within = [address[1:] for address in page.addresses if address.startswith("#")]
    assert within[: len(page.ids)] == page.ids
    assert within.count("cells") == 2  # from the explanation, which does not repeat how α came about
    assert set(within) == set(page.ids)
    order = ["ranking", "differences", "evidence", "cells", "failures", "protocol", "checklist", "published"]
    assert [anchor for anchor in page.ids if anchor in order] == order
    assert page.ids[-1] == "reproduction"


def test_the_answer_is_two_sentences_at_most(full: Report) -> None:
    assert full.opening[0].startswith("On cifar10, ")
    assert len(re.findall(r"\.(?= |$)", full.opening[0])) == 2
    assert "Of the 10 pairs of methods" in full.opening[1]


def test_data_set_and_table_are_named_by_their_digests(full: Report) -> None:
    text = Page(full.page.read_text()).text
    assert f"cifar10, {'d' * 64}" in text
    assert f"made-up, {'0' * 64}" in text


def test_figures_and_tables_lie_beside_the_page(full: Report) -> None:
    names = {
        "accuracy-over-epochs",
        "accuracy-and-cost",
        "accuracy-and-flops",
        "table-distribution",
        "derived-cells",
        "operations-over-epochs",
        "rank-intervals",
    }
    for name in names:
        assert (full.folder / "figures" / f"{name}.png").read_bytes().startswith(PNG)
        assert (full.folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    latex = (full.folder / "tables" / "accuracy-cifar100.tex").read_text()
    assert latex.count(r"\midrule") == 2
    assert r"all skip\_connect" in latex
    markdown = (full.folder / "tables" / "cost.md").read_text().splitlines()
    widths = {line.count("|") for line in markdown if line.startswith("|")}
    assert len(widths) == 1


def test_the_same_study_gives_the_same_bytes(writer: studies.StudyWriter, tmp_path: Path) -> None:
    for seed in range(3):
        writer.add("gdas", seed, studies.wander(seed, 5, studies.ALL_CONV3))
    contents = []
    for name in ("first", "second"):
        folder = build_report(load_study(writer.path), tmp_path / name).folder
        contents.append({file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()})
    assert contents[0] == contents[1]


def test_a_study_without_a_finished_run_reports_its_failures(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP] * 3, status="diverged", reason="the loss became nan", epochs=50)
    writer.add("gdas", 0, [], status="failed", reason="<out> of memory & patience")
    writer.add("snas", 0, [], status=None)
    report = build_report(load_study(writer.path))
    source = report.page.read_text()
    assert "No run finished, so there is nothing to rank" in source
    assert "darts seed 0, diverged after 3 of 50 epochs: the loss became nan" in source
    assert "&lt;out&gt; of memory &amp; patience" in source
    assert rows(report, "accuracy-cifar10")["darts"]["mean"] == ""


@pytest.mark.parametrize("looked_up", [True, False])
def test_without_the_table_there_is_a_report_all_the_same(
    writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch, looked_up: bool
) -> None:
    studies.use_no_table(monkeypatch)
    for seed in range(2):
        writer.add("gdas", seed, studies.wander(seed, 4, studies.ALL_CONV3), datasets=("cifar10",) if looked_up else ())
    report = build_report(load_study(writer.path))
    assert not (report.folder / "figures" / "table-distribution.png").exists()
    assert (report.folder / "figures" / "accuracy-over-epochs.png").exists() == looked_up
    assert (report.folder / "figures" / "operations-over-epochs.png").exists()
    if looked_up:
        assert list(rows(report, "accuracy-cifar10")) == ["gdas"]
    else:
        assert report.ranking is None


def test_one_seed_of_one_method(writer: studies.StudyWriter) -> None:
    writer.add("gdas", 7, [studies.ALL_CONV3])
    report = build_report(load_study(writer.path))
    row = rows(report, "accuracy-cifar10")["gdas"]
    assert (row["std"], row["interval_low"], row["finished"]) == ("", "", "1/1")
    assert "there is no other method to compare it with" in report.opening[0]


def test_twelve_methods_with_ten_seeds_get_bootstrap_intervals(writer: studies.StudyWriter) -> None:
    for method in range(12):
        for seed in range(10):
            writer.add(f"method-{method:02}", seed, [encoding.neighbours(studies.ALL_CONV3)[seed + method]])
    compared = comparison.make_comparison(load_study(writer.path))
    assert {"accuracy-over-epochs", "rank-intervals"} <= draw_all(compared).keys()
    table = accuracy_table(compared, "cifar10")
    assert "bootstrap over seeds" in table.notes
    for worst, low, high, best in table.select(["worst", "interval_low", "interval_high", "best"]).rows:
        assert float(worst or 0) <= float(low or 0) < float(high or 0) <= float(best or 0)


def test_a_table_of_very_many_rows_is_folded(writer: studies.StudyWriter) -> None:
    for method in range(12):
        writer.add(f"method-{method:02}", 0, [encoding.neighbours(studies.ALL_CONV3)[method]])
    page = build_report(load_study(writer.path)).page.read_text()
    (folded,) = re.findall(r"<details>(.*?)</details>", page, re.DOTALL)
    assert "<summary>66 rows, also in tables/pairs-cifar10.csv</summary>" in folded
    assert folded.count("<tr>") == 1 + 66


def test_the_command_prints_the_answer_the_ranking_and_the_files(writer: studies.StudyWriter, tmp_path: Path) -> None:
    for seed in range(2):
        writer.add("gdas", seed, [studies.ALL_CONV3])
        writer.add("darts", seed, [studies.ALL_SKIP])
    arguments = ["--runs", str(tmp_path), "--study", "example", "--out", str(tmp_path / "elsewhere")]
    result = CliRunner().invoke(report_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "gdas has the highest mean accuracy" in result.output
    assert re.search(r"^darts +2/2 +54\.30 +0\.00", result.output, re.MULTILINE)
    assert re.search(r"^uniformly random cell +– ", result.output, re.MULTILINE)
    page = tmp_path / "elsewhere" / "report.html"
    assert str(page) in result.output
    assert page.is_file()


def test_a_cell_as_png() -> None:
    skips, pools = (encoding.to_string((operation,) * 6) for operation in (encoding.SKIP, encoding.POOL))
    assert cell_png("nas-bench-201", skips).startswith(PNG)
    assert cell_png("nas-bench-201", skips) != cell_png("nas-bench-201", pools)
    with pytest.raises(InvalidArchitecture):
        cell_png("nas-bench-201", "|skip_connect~0|")
