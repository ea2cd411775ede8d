"""The checklist of best practices: its answers follow from the records."""

from __future__ import annotations

import pytest

from harness._version import __version__
from harness.reports.results import comparison
from harness.reports.tables.checklist import AUTHOR, NO, NOT_APPLICABLE, YES, checklist_table
from harness.runs.folder import RunFolder
from harness.runs.results import load_study
from tests.support import studies

pytestmark = pytest.mark.usefixtures("no_table")


def answer(writer: studies.StudyWriter, words: str) -> tuple[str, str]:
    """Answer and evidence of the item that holds these words."""
    table = checklist_table(comparison.make_comparison(load_study(writer.path)))
    keys = [column.key for column in table.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    (row,) = [row for row in rows if words in str(row["item"])]
    return str(row["answer"]), str(row["evidence"])


def test_random_search_has_to_have_finished(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP])
    writer.add("random-search", 0, [studies.ALL_CONV3], status="failed", reason="out of memory")
    given, evidence = answer(writer, "Random search")
    assert given == NO
    assert "--method random-search" in evidence
    writer.add("random-search", 1, [studies.ALL_CONV3], seconds_per_epoch=30)
    expected = "Finished seeds: 1, at a mean search cost of 30 s (other methods: 2 to 2 s)."
    assert answer(writer, "Random search") == (YES, expected)


@pytest.mark.parametrize(("second", "given"), [("a processor", YES), ("another", NO)])
def test_timings_need_one_kind_of_machine(writer: studies.StudyWriter, second: str, given: str) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP], environment={"cpu": "a processor", "jobs": 2})
    writer.add("gdas", 0, [studies.ALL_SKIP], environment={"cpu": second, "jobs": 2})
    found, evidence = answer(writer, "Hardware")
    assert found == given
    assert ("differ in cpu" if given == NO else "2 runs at a time") in evidence


def test_a_method_changed_between_seeds_is_a_confounder(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP])
    writer.add("darts", 1, [studies.ALL_SKIP], method_source="changed")
    assert answer(writer, "Hardware") == (NO, "Runs of one method had different versions of its source: darts.")


def test_one_seed_is_no_repetition(writer: studies.StudyWriter) -> None:
    writer.add("darts", 3, [studies.ALL_SKIP])
    assert answer(writer, "repeated")[0] == NO
    writer.add("darts", 4, [studies.ALL_SKIP])
    assert answer(writer, "repeated") == (YES, "At least 2 finished seeds a method. Seeds: 3, 4.")


def test_final_training_applies_only_where_cells_were_trained(writer: studies.StudyWriter) -> None:
    folder = RunFolder(writer.add("darts", 0, [studies.ALL_SKIP]))
    assert answer(writer, "trains the final")[0] == NOT_APPLICABLE
    assert answer(writer, "tabular")[0] == YES
    assert folder.evaluation is not None
    trained = {**folder.evaluation, "retrained": {"digits": [97.0]}, "recipe": "short v1 (abc)"}
    folder.write_json("evaluation.json", trained)
    assert answer(writer, "trains the final")[0] == YES
    assert answer(writer, "seeds of the final training") == (YES, "Recipe short v1 (abc); training seeds count from 0.")


def test_what_records_cannot_show_is_left_to_the_author(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [studies.ALL_SKIP], datasets=())
    writer.add("mine[beta=2]", 0, [studies.ALL_SKIP], datasets=())
    given, evidence = answer(writer, "Code of the search methods")
    assert given == AUTHOR
    assert f"Part of nas-harness {__version__}" in evidence
    assert "mine[beta=2] is not installed here" in evidence
    given, evidence = answer(writer, "Tuning")
    assert given == AUTHOR
    assert "differ from their defaults for mine[beta=2]" in evidence
    assert answer(writer, "tabular") == (NO, "No cell was looked up.")
