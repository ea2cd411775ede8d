"""Performance profiles over regret: their steps, and how failures and zero regret appear."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from harness.reports.figures.performance_profiles import profile, regret_profiles
from harness.reports.results import comparison
from harness.runs.results import load_study
from harness.spaces.nas_bench_201 import encoding
from tests.support import studies


def drawn(writer: studies.StudyWriter) -> Figure | None:
    return regret_profiles(comparison.make_comparison(load_study(writer.path)), "cifar10")


def heights(figure: Figure, place: int) -> tuple[list[float], list[float]]:
    """The curve of the method at a place: regrets and shares."""
    curves = [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
    return (np.asarray(curves[place].get_xdata()).tolist(), np.asarray(curves[place].get_ydata()).tolist())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 3))
def test_a_profile_counts_the_seeds_within_each_regret(regrets: list[int], failed: int) -> None:
    steps, shares = profile(regrets, len(regrets) + failed)
    assert steps.tolist() == sorted(set(regrets))
    for step, share in zip(steps, shares, strict=True):
        assert share == pytest.approx(100 * sum(regret <= step for regret in regrets) / (len(regrets) + failed))


def test_regrets_equal_but_for_rounding_are_one_step() -> None:
    assert profile([0.3, 0.1 + 0.2], 2)[0].tolist() == [0.3]


def test_failed_seeds_never_get_there_and_interrupted_ones_do_not_count(writer: studies.StudyWriter) -> None:
    best = max(range(15_625), key=lambda index: studies.table().test_accuracy("cifar10")[index])
    writer.add("gdas", 0, [encoding.cell_at(best)])
    writer.add("gdas", 1, [studies.ALL_SKIP])
    writer.add("gdas", 2, [studies.ALL_SKIP], status="diverged", reason="the loss became nan")
    writer.add("gdas", 3, [studies.ALL_SKIP], status=None)
    figure = drawn(writer)
    assert figure is not None
    regrets, shares = heights(figure, 0)
    assert regrets[:2] == [0, 0]  # the seed that found the best cell stands at zero, on the axis
    assert shares == pytest.approx([0, 100 / 3, 200 / 3, 200 / 3])
    assert figure.axes[0].get_xlim()[0] == 0
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["gdas (1 of 3 failed)", "random cell", "retraining noise"]


def test_a_method_that_always_failed_stays_at_zero(writer: studies.StudyWriter) -> None:
    writer.add("darts", 0, [], status="failed", reason="out of memory")
    writer.add("gdas", 0, [studies.ALL_CONV3])
    figure = drawn(writer)
    assert figure is not None
    assert set(heights(figure, 0)[1]) == {0}


def test_without_a_table_or_a_finished_run_there_is_no_profile(
    writer: studies.StudyWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.add("darts", 0, [], status="failed", reason="out of memory")
    assert drawn(writer) is None
    writer.add("gdas", 0, [studies.ALL_CONV3])
    studies.use_no_table(monkeypatch)
    assert drawn(writer) is None
