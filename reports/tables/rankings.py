"""The three rankings of a study, accuracy, search cost and stability, as tables. They are never blended."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from harness.reports.results.comparison import Comparison
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
from harness.reports.tables.report_table import Column, Sheet, Value
from harness.runs.schema import TraceRow


def accuracy_sheet(comparison: Comparison, dataset: str) -> Sheet:
    """The accuracy ranking on one dataset, with reference rows where there is a table."""
    column = comparison.column(dataset)
    seeds = max(len(method.finals(dataset)) for method in comparison.methods)
    interval = "Student t" if seeds < BOOTSTRAP_FROM else f"Student t, or bootstrap over seeds from {BOOTSTRAP_FROM} on"

    ranks = uncertain_ranks(comparison, dataset)
    rows: list[list[Value]] = []
    ranked = [one.method for one in by_accuracy(comparison, dataset)]
    labels = {method.label for method in ranked}
    for method in ranked + [method for method in comparison.methods if method.label not in labels]:
        finals = method.finals(dataset)
        measures: list[Value] = _measures(finals, column) if finals else [None] * 11
        tail = None if column is None else mean_with_failures(method, finals, float(column.mean()))
        rank = ranks.get(method.label)
        place: list[Value] = [f"{rank.low:g} to {rank.high:g}", rank.first] if rank else [None, None]
        rows.append([method.label, f"{len(finals)}/{len(method.seeds)}", *measures[:4], *place, *measures[4:], tail])
    known: dict[str, list[Value]] = {}
    if column is not None:
        known["uniformly random cell"] = _random_cell(column)
        named = {name: comparison.space.index(cell) for name, cell in comparison.space.reference_cells().items()}
        for name, row in (named | {"best cell of the table": int(column.argmax())}).items():
            known[name] = _measures([float(column[row])], column)
    references = [[name, None, *measures[:4], None, None, *measures[4:], None] for name, measures in known.items()]
    return Sheet(
        f"accuracy-{dataset}",
        f"Accuracy on {dataset}",
        f"Test accuracy (%) of the final derived cell, sorted by the mean over finished runs; protocol "
        f"{comparison.protocol_name}.",
        "sd with ddof = 1 (of the random cell: population). Interval: 95 %, " + interval + "; "
        "with few seeds none is reliable for a method that sometimes collapses, and Student's may pass 0 or 100 %. "
        "IQM: mean of the middle half of the seeds. Percentile: share of the table's cells that are worse, mean over "
        "seeds. Regret: points below the best cell of the table. Normalised: 0 is the table's mean cell, 1 its best. "
        "Rank: 95 % of the mean's ranks when seeds are drawn again, and First: how often (%) it is the highest; from "
        f"{RANKED_FROM} seeds of every method on, since fewer would look surer than they are. Last column: the mean "
        "with each failed run counted as a uniformly random cell.",
        [
            Column("method", "Method", text=True),
            Column("finished", "Runs"),
            Column("mean", "Mean", 2),
            Column("sd", "sd", 2),
            Column("interval_low", "95 % low", 2),
            Column("interval_high", "95 % high", 2),
            Column("rank_interval", "Rank", text=True),
            Column("first_percent", "First %", 0),
            Column("median", "Median", 2),
            Column("iqm", "IQM", 2),
            Column("worst", "Worst", 2),
            Column("best", "Best", 2),
            Column("percentile", "Percentile", 1),
            Column("regret", "Regret", 2),
            Column("normalised", "Normalised", 3),
            Column("mean_failures_as_random", "Failed = random", 2),
        ],
        rows,
        references,
    )


def _measures(values: list[float], column: Floats | None) -> list[Value]:
    """The accuracy sheet's measures of some seeds, from mean to normalised score."""
    summary = summarize(values)
    low, high = summary.interval or (None, None)
    spread: list[Value] = [summary.mean, summary.sd, low, high, summary.median, summary.iqm]
    spread += [summary.worst, summary.best]
    if column is None:
        return [*spread, None, None, None]
    regret = float(column.max()) - summary.mean
    return [*spread, percentile(column, values), regret, normalized(column, summary.mean)]


def _random_cell(column: Floats) -> list[Value]:
    """The same measures of a uniformly random cell, exact: its distribution is the table's column."""
    mean, best = float(column.mean()), float(column.max())
    spread: list[Value] = [mean, float(column.std()), None, None, float(np.median(column)), interquartile_mean(column)]
    spread += [float(column.min()), best]
    return [*spread, percentile(column, column.tolist()), best - mean, normalized(column, mean)]


def cost_sheet(comparison: Comparison) -> Sheet:
    """The search-cost ranking."""
    dataset = comparison.headline
    front = on_front(comparison, dataset) if dataset else []
    rows: list[tuple[float, list[Value]]] = []
    for method in comparison.methods:
        done = [(seed.seconds, seed.run.trace) for seed in method.finished if seed.seconds is not None]
        ends = [trace[-1] for _, trace in done if trace]
        if not done or not ends:
            rows.append((float("inf"), [method.label, f"0/{len(method.seeds)}", *[None] * 12, "no"]))
            continue
        seconds = fmean(total for total, _ in done)
        epochs = fmean(end["epoch"] for end in ends)
        row: list[Value] = [method.label, f"{len(done)}/{len(method.seeds)}", seconds]
        row += [fmean(end["weight_seconds"] for end in ends), fmean(end["alpha_seconds"] for end in ends)]
        row += [fmean(end["derivation_seconds"] for end in ends), _mean_where(ends, "simulated_seconds")]
        row += [epochs, seconds / epochs, _mean_where(ends, "evaluations")]
        row += [fmean(end["examples"] for end in ends), fmean(end["forward_passes"] for end in ends)]
        row += [fmean(end["backward_passes"] for end in ends), max(end["peak_memory_mib"] for end in ends)]
        rows.append((seconds, [*row, "yes" if method.label in front else "no"]))
    on = f"mean accuracy on {dataset} and" if dataset else "accuracy and"
    simulated = (
        "Simulated: the seconds that the trainings took which the method looked up in a table instead of running them, "
        "on the table's machine; Cells: how many it looked up. "
    )
    queried = any(
        "evaluations" in row for method in comparison.methods for seed in method.finished for row in seed.run.trace
    )
    sheet = Sheet(
        "cost",
        "Search cost",
        f"Means over finished runs, sorted by seconds; protocol {comparison.protocol_name}.",
        "Seconds are the method's own work: weight steps, α steps and derivation, not evaluation, logging or "
        f"checkpoints. {simulated if queried else ''}Examples are images passed forward. Memory is the largest seed's, "
        f"above what the process held before the search. Front: on the Pareto front of {on} mean seconds.",
        [
            Column("method", "Method", text=True),
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
        [row for _, row in sorted(rows, key=lambda pair: pair[0])],
    )
    needed = {"method", "finished", "seconds"}
    used = [any(row[place] for row in sheet.rows) for place in range(len(sheet.columns))]  # by a method of the study
    return sheet.select(
        [column.key for column, use in zip(sheet.columns, used, strict=True) if use or column.key in needed]
    )


def _mean_where(rows: list[TraceRow], field: str) -> Value:
    """Mean of a field that not every search has; None where none of these has it."""
    values = [row[field] for row in rows if field in row]  # type: ignore[literal-required]
    return fmean(values) if values else None


def stability_sheet(comparison: Comparison) -> Sheet:
    """The stability ranking, on the headline dataset: the best worst seed first, since a collapsed method has sd 0."""
    dataset = comparison.headline
    rows: list[tuple[float, list[Value]]] = []
    for method in comparison.methods:
        cells = [seed.cell for seed in method.finished if seed.cell is not None]
        finals = method.finals(dataset) if dataset else []
        head: list[Value] = [method.label, f"{len(cells)}/{len(method.seeds)}"]
        if not cells:
            rows.append((float("inf"), [*head, *[None] * 8]))
            continue
        parsed = [comparison.space.parse(cell) for cell in cells]
        free = fmean(parameter_free(comparison.space, cell) for cell in parsed)
        trajectories = [seed.accuracy[dataset] for seed in method.finished if dataset in seed.accuracy]
        lost = [max(values) - values[-1] for values in trajectories]
        spread: list[Value] = [min(finals), summarize(finals).sd] if finals else [None, None]
        verdicts = [verdict for seed in method.finished if (verdict := collapsed(comparison, seed)) is not None]
        if verdicts:
            low, high = rate_interval(sum(verdicts), len(verdicts))
            spread += [100 * sum(verdicts) / len(verdicts), f"{low:.0f} to {high:.0f}"]
        else:
            spread += [None, None]
        row = [*head, *spread, len(set(cells)), 100 * agreement(parsed), free, fmean(lost) if lost else None]
        rows.append((-min(finals) if finals else float("inf"), row))
    return Sheet(
        "stability",
        "Stability",
        f"Over finished runs, sorted by the worst seed{f' on {dataset}' if dataset else ''}; protocol "
        f"{comparison.protocol_name}.",
        f"An sd of 0 is no virtue: a method that collapses to one cell has it. Collapse: % of seeds whose {COLLAPSE}; "
        "with its exact 95 % interval. Agreement: "
        "mean over edges of the share of seeds that chose the edge's most frequent operation. Parameter-free: edges "
        f"of the derived cell, of {comparison.kept_edges}, that are none, skip or pooling. Lost: points by which "
        "the last cell is below the best on its own trajectory; a diagnosis with hindsight, of no use to a search.",
        [
            Column("method", "Method", text=True),
            Column("finished", "Runs"),
            Column("worst", "Worst seed", 2),
            Column("sd", "sd", 2),
            Column("collapse_percent", "Collapse %", 0),
            Column("collapse_interval", "95 %", text=True),
            Column("distinct_cells", "Distinct cells"),
            Column("agreement_percent", "Agreement %", 0),
            Column("parameter_free_edges", "Parameter-free", 1),
            Column("lost_since_best_epoch", "Lost since best", 2),
        ],
        [row for _, row in sorted(rows, key=lambda pair: pair[0])],
    )
