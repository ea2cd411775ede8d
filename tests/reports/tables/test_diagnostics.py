"""The report's diagnostics: collapse on the way, supernets, and what was not recorded."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.figures.eigenvalues import eigenvalues_over_epochs
from harness.reports.results.comparison import Comparison, make_comparison
from harness.reports.results.diagnostics import identity_paths
from harness.reports.study_report import build_report
from harness.reports.tables.diagnostics import collapse_table, not_recorded, supernet_table
from harness.reports.tables.report_table import ReportTable
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies
from tests.support.studies import ALL_CONV3, ALL_SKIP, StudyWriter
from tests.support.toy import NAS_BENCH_201

MIXED = (encoding.CONV3, encoding.CONV3, encoding.SKIP, encoding.CONV1, encoding.POOL, encoding.CONV3)
POOR = (encoding.POOL,) * 6
SAMPLE = list(range(0, 100, 10))


def record(path: Path, rows: dict[int, dict[str, Any]], accuracies: list[float] | None = None) -> None:
    """Add diagnostics to a run: fields of rows by epoch, and the supernet's accuracies of the sample."""
    folder = RunFolder(path)
    trace = folder.read_trace()
    for epoch, fields in rows.items():
        trace[epoch - 1].update(fields)  # type: ignore[typeddict-item]
    folder.write_trace(trace)
    if accuracies is not None:
        folder.write_json("diagnostics.json", {"indices": SAMPLE, "accuracies": accuracies})
    folder.write_json("result.json", {**(folder.result or {}), "diagnostics_seconds": 7.5})


def measured(eigenvalue: float | None, mixture: float = 90.0, derived: float = 60.0) -> dict[str, Any]:
    return {
        "mixture_accuracy": mixture,
        "derived_accuracy": derived,
        "hessian_eigenvalue": eigenvalue,
        "diagnostics_seconds": 5.0,
    }


def read(writer: StudyWriter) -> Comparison:
    return make_comparison(load_study(writer.path))


def row(table: ReportTable | None, label: str) -> dict[str, Any]:
    assert table is not None
    keys = [column.key for column in table.columns]
    return next(dict(zip(keys, found, strict=True)) for found in table.rows if found[0] == label)


# --- derived cells


def test_the_epochs_of_a_collapse_are_told_from_a_passing_one(writer: StudyWriter) -> None:
    writer.add("darts", 0, [MIXED, POOR, MIXED, ALL_SKIP, ALL_SKIP])
    writer.add("darts", 1, [MIXED, MIXED, ALL_SKIP, ALL_SKIP, ALL_SKIP])
    writer.add("darts", 2, [ALL_SKIP, MIXED, MIXED, MIXED, MIXED])
    writer.add("darts", 3, [MIXED] * 5)
    writer.add("darts", 4, [ALL_SKIP] * 3, status="diverged")
    writer.add("gdas", 0, [MIXED] * 5)
    table = collapse_table(read(writer))
    darts, gdas = row(table, "darts"), row(table, "gdas")
    assert (darts["ever_collapsed"], darts["first_collapse"]) == ("3/4", "1 to 3")
    assert (darts["collapsed_to_the_end"], darts["collapsed_since"]) == ("2/4", "3 to 4")
    assert (gdas["ever_collapsed"], gdas["first_collapse"], gdas["collapsed_since"]) == ("0/1", None, None)


def test_a_cell_that_collapsed_from_the_first_epoch_on(writer: StudyWriter) -> None:
    writer.add("darts", 0, [ALL_SKIP] * 3)
    found = row(collapse_table(read(writer)), "darts")
    assert (found["first_collapse"], found["collapsed_since"], found["identity_paths"]) == (1, 1, 4)


def test_what_the_last_cell_lost_and_how_far_seeds_agree(writer: StudyWriter) -> None:
    writer.add("darts", 0, [ALL_CONV3, MIXED])
    writer.add("darts", 1, [MIXED, ALL_CONV3])
    found = row(collapse_table(read(writer)), "darts")
    lost = studies.accuracy(ALL_CONV3) - studies.accuracy(MIXED)
    assert found["lost_since_best_epoch"] == pytest.approx(max(lost, -lost) / 2)
    assert found["agreement_percent"] == pytest.approx(75)


def test_the_margin_is_that_of_the_last_alpha(writer: StudyWriter) -> None:
    path = writer.add("darts", 0, [MIXED, MIXED])
    alphas = [[[9.0, 0, 0, 0, 0]] * 6, [[1.0, 1.0, 0, 0, 0]] * 3 + [[0, 0, 1000.0, 0, 0]] * 3]
    (path / "alphas.json").write_text(json.dumps([{"alpha": alpha} for alpha in alphas]))
    other = writer.add("random-search", 0, [MIXED])
    (other / "alphas.json").write_text(json.dumps([{"evaluations": []}]))
    table = collapse_table(read(writer))
    assert row(table, "darts")["alpha_margin"] == pytest.approx(0.5)
    assert row(table, "random-search")["alpha_margin"] is None


@pytest.mark.parametrize(
    ("skips", "paths"),
    [((), 0), ((3,), 1), ((0, 2), 0), ((0, 2, 5), 1), ((1, 5), 1), ((0, 4, 1, 5), 2), (range(6), 4)],
)
def test_identity_paths_lead_from_input_to_output_by_skips_alone(skips: tuple[int, ...], paths: int) -> None:
    cell = tuple(encoding.SKIP if edge in skips else encoding.CONV3 for edge in range(6))
    assert identity_paths(NAS_BENCH_201, cell) == paths


@given(st.tuples(*[st.integers(0, 4)] * 6), st.integers(0, 5))
def test_one_more_skip_never_takes_an_identity_path_away(cell: tuple[int, ...], edge: int) -> None:
    more = (*cell[:edge], encoding.SKIP, *cell[edge + 1 :])
    assert identity_paths(NAS_BENCH_201, cell) <= identity_paths(NAS_BENCH_201, more) <= 4


# --- supernets


def true_order() -> list[float]:
    column = studies.table().test_accuracy("cifar10")
    return [float(column[index]) for index in SAMPLE]


def test_measures_of_the_supernets(writer: StudyWriter) -> None:
    for seed, (last, order) in enumerate([(0.2, 1.0), (0.6, -1.0)]):
        path = writer.add("darts", seed, [MIXED] * 4)
        rows = {2: measured(0.8), 4: measured(last, 90, 60 - 20 * seed)}
        record(path, rows, [order * value for value in true_order()])
    found = row(supernet_table(read(writer)), "darts")
    assert found["recorded"] == "2/2"
    assert (found["mixture_accuracy"], found["derived_accuracy"], found["discretization_gap"]) == (90, 50, 40)
    assert found["hessian_eigenvalue"] == pytest.approx(0.4)
    assert found["largest_hessian_eigenvalue"] == pytest.approx(0.8)
    assert found["ranked_cells"] == len(SAMPLE)
    assert found["kendall_tau"] == pytest.approx(0)
    assert found["top_fifth_percent"] == 50
    assert found["diagnostics_seconds"] == 7.5


@pytest.mark.parametrize(("sign", "tau", "top"), [(1, 1.0, 100), (-1, -1.0, 0)])
def test_a_supernet_that_ranks_as_the_table_does_or_the_other_way_round(
    sign: int, tau: float, top: float, writer: StudyWriter
) -> None:
    record(writer.add("darts", 0, [MIXED]), {}, [sign * value for value in true_order()])
    found = row(supernet_table(read(writer)), "darts")
    assert found["kendall_tau"] == pytest.approx(tau)
    assert found["top_fifth_percent"] == top


def test_a_supernet_that_says_the_same_of_all_cells_has_no_tau(writer: StudyWriter) -> None:
    record(writer.add("darts", 0, [MIXED]), {}, [10.0] * len(SAMPLE))
    assert row(supernet_table(read(writer)), "darts")["kendall_tau"] is None


# --- what was not recorded


def test_old_studies_say_that_nothing_was_recorded(writer: StudyWriter, tmp_path: Path) -> None:
    writer.add("darts", 0, [MIXED] * 2)
    found = read(writer)
    assert supernet_table(found) is None
    assert eigenvalues_over_epochs(found) is None
    assert not_recorded(found) == "Not recorded: all diagnostics of darts."
    report = build_report(load_study(writer.path), tmp_path / "out")
    assert "Not recorded: all diagnostics of darts." in report.page.read_text()
    assert not (report.folder / "figures" / "eigenvalues-over-epochs.png").exists()


def test_a_mixture_of_old_new_switched_off_and_failed_runs(writer: StudyWriter, tmp_path: Path) -> None:
    record(writer.add("darts", 0, [MIXED] * 4), {2: measured(0.1), 4: measured(None)}, true_order())
    writer.add("darts", 1, [MIXED] * 4)
    gap_only = {key: value for key, value in measured(0.0).items() if key != "hessian_eigenvalue"}
    record(writer.add("gdas", 0, [MIXED] * 4), {4: gap_only})
    record(writer.add("snas", 0, [MIXED] * 2, status="diverged"), {2: measured(3.0)})
    writer.add("random-search", 0, [MIXED] * 4)
    found = read(writer)
    darts, gdas = row(supernet_table(found), "darts"), row(supernet_table(found), "gdas")
    assert (darts["recorded"], darts["hessian_eigenvalue"], darts["largest_hessian_eigenvalue"]) == ("1/2", None, 0.1)
    assert (gdas["discretization_gap"], gdas["kendall_tau"], gdas["ranked_cells"]) == (30, None, None)
    sentence = not_recorded(found)
    assert "all diagnostics of random-search, snas" in sentence
    assert "eigenvalue, largest eigenvalue of the run, Kendall's τ, top fifth of gdas" in sentence
    figure = eigenvalues_over_epochs(found)
    assert figure is not None
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes if ax.lines] == ["darts", "snas"]
    report = build_report(load_study(writer.path), tmp_path / "out")
    with open(report.folder / "tables" / "diagnostics-supernet.csv", newline="") as file:
        written = {line["method"]: line for line in csv.DictReader(file)}
    assert written["random-search"]["hessian_eigenvalue"] == ""
    assert (report.folder / "figures" / "eigenvalues-over-epochs.png").exists()
    page = report.page.read_text()
    assert 'id="diagnostics"' in page
    assert ">nan<" not in page


def test_without_a_table_what_needs_one_is_left_out(writer: StudyWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    studies.use_no_table(monkeypatch)
    record(writer.add("darts", 0, [ALL_SKIP] * 2, datasets=()), {2: measured(0.1)}, true_order())
    found = read(writer)
    assert row(supernet_table(found), "darts")["kendall_tau"] is None
    cells = row(collapse_table(found), "darts")
    assert (cells["ever_collapsed"], cells["lost_since_best_epoch"], cells["identity_paths"]) == (None, None, 4)
