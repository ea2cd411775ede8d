"""The three rankings of a study: accuracy, search cost and stability. They are never combined into one."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Literal

import numpy as np
import pandas as pd

from harness.errors import HarnessError
from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.results.ranking import (
    COLLAPSE,
    RANKED_FROM,
    by_accuracy,
    collapsed,
    mean_with_failures,
    on_front,
    parameter_free,
    uncertain_ranks,
)
from harness.reports.statistics.significance import rate_interval
from harness.reports.statistics.summary import (
    BOOTSTRAP_FROM,
    Floats,
    agreement,
    interquartile_mean,
    normalized,
    percentile,
    summarize,
)
from harness.reports.tables.report_table import MEAN_STD_INTERVAL, METHOD, Column, ReportTable, Value
from harness.runs.schema import TraceRow

Ranking = Literal["accuracy", "cost", "stability"]


def ranking_frame(comparison: Comparison, by: Ranking = "accuracy", dataset: str | None = None) -> pd.DataFrame:
    """Return a ranking of the methods as a frame, a row a method, best first.

    The columns are those of the report's table of the same name (unrounded), with ``dataset`` and ``table`` added: the
    dataset of the accuracies, and the name of the table that they were looked up in (both missing where there are no
    accuracies). Accuracies are in %, costs in seconds.

    Args:
        comparison: as made by :func:`harness.reports.results.comparison.make_comparison`.
        by: accuracy: by mean accuracy; cost: by mean search seconds; stability: by the accuracy of the worst seed.
        dataset: the dataset of the accuracies; default: the headline dataset of the comparison.

    Raises:
        HarnessError: there is no such ranking, or there are no accuracies on ``dataset``.
    """
    if by not in _RANKINGS:
        raise HarnessError(f"no ranking by {by!r}; rank by one of: {', '.join(_RANKINGS)}")
    if dataset is not None and dataset not in comparison.datasets:
        known = ", ".join(comparison.datasets) or "none"
        raise HarnessError(f"no accuracies on dataset {dataset!r}; there are accuracies on: {known}")
    if dataset is None and by == "accuracy" and comparison.headline is None:
        raise HarnessError("there are no accuracies to rank by: no run was looked up in a table; rank by cost")
    first = [dataset] if dataset is not None else []
    comparison = replace(comparison, datasets=list(dict.fromkeys([*first, *comparison.datasets])))
    frame = _RANKINGS[by](comparison).frame()
    frame["dataset"] = comparison.headline
    frame["table"] = (comparison.table_provenance or {}).get("name") if comparison.headline else None
    return frame


def accuracy_table(comparison: Comparison, dataset: str) -> ReportTable:
    """Return the accuracy ranking on one dataset, with reference rows where there is a table."""
    column = comparison.column(dataset)
    seeds = max(len(method.finals(dataset)) for method in comparison.methods)
    interval = "Student t" if seeds < BOOTSTRAP_FROM else f"Student t, or bootstrap over seeds from {BOOTSTRAP_FROM} on"
    ranks = uncertain_ranks(comparison, dataset)
    rows: list[list[Value]] = []
    for method in _ranked_first(comparison, dataset):
        finals = method.finals(dataset)
        measures: list[Value] = _measures(finals, column) if finals else [None] * 11
        tail = None if column is None else mean_with_failures(method, finals, float(column.mean()))
        rank = ranks.get(method.label)
        resampled: list[Value] = [f"{rank.low:g} to {rank.high:g}", rank.first] if rank else [None, None]
        runs = f"{len(finals)}/{len(method.seeds)}"
        rows.append([method.label, runs, *measures[:4], *resampled, *measures[4:], tail])
    return ReportTable(
        f"accuracy-{dataset}",
        f"Accuracy on {dataset}",
        f"Test accuracy (%) of the final derived cell, sorted by the mean over finished runs; protocol "
        f"{comparison.protocol_name}.",
        "std: standard deviation with ddof = 1 (of the random cell: of the population). Interval: 95 %, "
        f"{interval}; with few seeds no interval is reliable for a method that sometimes collapses, and Student's may "
        "pass 0 or 100 %. IQM: mean of the middle half of the seeds. Percentile: share of the table's cells that are "
        "worse, mean over seeds. Regret: points below the best cell of the table. Normalised: 0 is the table's mean "
        "cell, 1 its best. Rank: 95 % of the ranks that the mean takes when seeds are drawn again with replacement. "
        f"First: how often (%) it is then the highest. Both need {RANKED_FROM} seeds of every method, since fewer "
        "would look more certain than they are. Failed = random: the mean with each failed run counted as a uniformly "
        "random cell.",
        [
            METHOD,
            Column("finished", "Runs"),
            *MEAN_STD_INTERVAL,
            Column("rank_interval", "Rank", text=True),
            Column("first_percent", "First %", 0),
            Column("median", "Median", 2),
            Column("iqm", "IQM", 2),
            Column("worst", "Worst", 2),
            Column("best", "Best", 2),
            Column("percentile", "Percentile", 1),
            Column("regret", "Regret", 2),
            Column("normalized", "Normalised", 3),
            Column("mean_failures_as_random", "Failed = random", 2),
        ],
        rows,
        [] if column is None else _reference_rows(comparison, column),
    )


def _ranked_first(comparison: Comparison, dataset: str) -> list[MethodResults]:
    """Return the methods by mean accuracy, then those without an accuracy."""
    ranked = [one.method for one in by_accuracy(comparison, dataset)]
    labels = {method.label for method in ranked}
    return ranked + [method for method in comparison.methods if method.label not in labels]


def _reference_rows(comparison: Comparison, column: Floats) -> list[list[Value]]:
    """Return rows of the random cell, the space's named cells and the best cell of the table."""
    measures = {"uniformly random cell": _random_cell(column)}
    indices = {name: comparison.space.index(cell) for name, cell in comparison.space.reference_cells().items()}
    for name, index in (indices | {"best cell of the table": int(column.argmax())}).items():
        measures[name] = _measures([float(column[index])], column)
    return [[name, None, *values[:4], None, None, *values[4:], None] for name, values in measures.items()]


def _measures(values: list[float], column: Floats | None) -> list[Value]:
    """Return the measures of the accuracy table for some seeds, from mean to normalised score."""
    summary = summarize(values)
    low, high = summary.interval or (None, None)
    spread: list[Value] = [summary.mean, summary.std, low, high, summary.median, summary.iqm]
    spread += [summary.worst, summary.best]
    if column is None:
        return [*spread, None, None, None]
    regret = float(column.max()) - summary.mean
    return [*spread, percentile(column, values), regret, normalized(column, summary.mean)]


def _random_cell(column: Floats) -> list[Value]:
    """Return the same measures of a uniformly random cell; exact, since its distribution is the table's column."""
    mean, best = float(column.mean()), float(column.max())
    spread: list[Value] = [mean, float(column.std()), None, None, float(np.median(column)), interquartile_mean(column)]
    spread += [float(column.min()), best]
    return [*spread, percentile(column, column.tolist()), best - mean, normalized(column, mean)]


def cost_table(comparison: Comparison) -> ReportTable:
    """Return the search-cost ranking, without the columns that no method of the study uses."""
    dataset = comparison.headline
    front = on_front(comparison, dataset) if dataset else []
    rows = sorted((_cost_row(method, method.label in front) for method in comparison.methods), key=lambda row: row[0])
    on = f"mean accuracy on {dataset}" if dataset else "accuracy"
    simulated = (
        "Simulated: seconds that the looked-up trainings took on the table's machine; the method did not run them. "
        "Cells: number of cells looked up. "
    )
    queried = any(
        "evaluations" in row for method in comparison.methods for seed in method.finished for row in seed.run.trace
    )
    table = ReportTable(
        "cost",
        "Search cost",
        f"Means over finished runs, sorted by seconds; protocol {comparison.protocol_name}.",
        "Seconds: the method's own work, that is weight steps, α steps and derivation, without evaluation, logging and "
        f"checkpoints. {simulated if queried else ''}Examples: images passed forward. Memory: of the largest seed, "
        f"above what the process held before the search. Front: on the Pareto front of {on} and mean seconds.",
        [
            METHOD,
            Column("finished", "Runs"),
            Column("seconds", "Seconds", 1),
            Column("weight_seconds", "Weights", 1),
            Column("alpha_seconds", "α", 1),
            Column("derivation_seconds", "Derivation", 2),
            Column("simulated_seconds", "Simulated", 0),
            Column("epochs", "Epochs", 0),
            Column("seconds_per_epoch", "Seconds/epoch", 2),
            Column("evaluations", "Cells"),
            Column("examples", "Examples"),
            Column("forward_passes", "Forward"),
            Column("backward_passes", "Backward"),
            Column("peak_memory_mib", "Memory MiB"),
            Column("pareto_front", "Front"),
        ],
        [row for _, row in rows],
    )
    used = [any(row[index] for row in table.rows) for index in range(len(table.columns))]
    always = {"method", "finished", "seconds"}
    keys = [column.key for column, use in zip(table.columns, used, strict=True) if use or column.key in always]
    return table.select(keys)


def _cost_row(method: MethodResults, on_the_front: bool) -> tuple[float, list[Value]]:
    """Return a method's mean seconds, by which rows are sorted, and its row."""
    done = [(seed.seconds, seed.run.trace) for seed in method.finished if seed.seconds is not None]
    ends = [trace[-1] for _, trace in done if trace]
    if not done or not ends:
        return float("inf"), [method.label, f"0/{len(method.seeds)}", *[None] * 12, "no"]
    seconds = fmean(total for total, _ in done)
    epochs = fmean(end["epoch"] for end in ends)
    row: list[Value] = [method.label, f"{len(done)}/{len(method.seeds)}", seconds]
    row += [fmean(end["weight_seconds"] for end in ends), fmean(end["alpha_seconds"] for end in ends)]
    row += [fmean(end["derivation_seconds"] for end in ends), _mean_where(ends, "simulated_seconds")]
    row += [epochs, seconds / epochs, _mean_where(ends, "evaluations")]
    row += [fmean(end["examples"] for end in ends), fmean(end["forward_passes"] for end in ends)]
    row += [fmean(end["backward_passes"] for end in ends), max(end["peak_memory_mib"] for end in ends)]
    return seconds, [*row, "yes" if on_the_front else "no"]


def _mean_where(rows: list[TraceRow], field: str) -> Value:
    """Return the mean of a field that not every search has; None where none of the rows has it."""
    values = [row[field] for row in rows if field in row]  # type: ignore[literal-required]
    return fmean(values) if values else None


def stability_table(comparison: Comparison) -> ReportTable:
    """Return the stability ranking on the headline dataset.

    The best worst seed comes first: a method that always collapses to one cell has a standard deviation of 0.
    """
    dataset = comparison.headline
    rows = sorted((_stability_row(comparison, method) for method in comparison.methods), key=lambda row: row[0])
    return ReportTable(
        "stability",
        "Stability",
        f"Over finished runs, sorted by the worst seed{f' on {dataset}' if dataset else ''}; protocol "
        f"{comparison.protocol_name}.",
        "An std of 0 is no merit: a method that always collapses to one cell has it. Collapse: % of seeds that "
        f"collapsed, with its exact 95 % interval; a seed has collapsed if its {COLLAPSE}. Agreement: share of seeds "
        "that chose the edge's most frequent operation, mean over edges. Parameter-free: edges of the derived cell, of "
        f"{comparison.kept_edges}, that are none, skip or pooling. Lost: points by which the last cell is below the "
        "best cell of its trajectory; only hindsight shows it, so a search cannot use it.",
        [
            METHOD,
            Column("finished", "Runs"),
            Column("worst", "Worst seed", 2),
            Column("std", "std", 2),
            Column("collapse_percent", "Collapse %", 0),
            Column("collapse_interval", "95 %", text=True),
            Column("distinct_cells", "Distinct cells"),
            Column("agreement_percent", "Agreement %", 0),
            Column("parameter_free_edges", "Parameter-free", 1),
            Column("lost_since_best_epoch", "Lost since best", 2),
        ],
        [row for _, row in rows],
    )


def _stability_row(comparison: Comparison, method: MethodResults) -> tuple[float, list[Value]]:
    """Return the negative accuracy of a method's worst seed, by which rows are sorted, and its row."""
    dataset = comparison.headline
    cells = [seed.cell for seed in method.finished if seed.cell is not None]
    finals = method.finals(dataset) if dataset else []
    head: list[Value] = [method.label, f"{len(cells)}/{len(method.seeds)}"]
    if not cells:
        return float("inf"), [*head, *[None] * 8]
    parsed = [comparison.space.parse(cell) for cell in cells]
    free = fmean(parameter_free(comparison.space, cell) for cell in parsed)
    trajectories = [seed.accuracy[dataset] for seed in method.finished if dataset in seed.accuracy]
    lost = [max(values) - values[-1] for values in trajectories]
    spread: list[Value] = [min(finals), summarize(finals).std] if finals else [None, None]
    known = [one for seed in method.finished if (one := collapsed(comparison, seed)) is not None]
    if known:
        low, high = rate_interval(sum(known), len(known))
        spread += [100 * sum(known) / len(known), f"{low:.0f} to {high:.0f}"]
    else:
        spread += [None, None]
    row = [*head, *spread, len(set(cells)), 100 * agreement(parsed), free, fmean(lost) if lost else None]
    return -min(finals) if finals else float("inf"), row


_RANKINGS = {
    "accuracy": lambda comparison: accuracy_table(comparison, comparison.headline),
    "cost": cost_table,
    "stability": stability_table,
}
