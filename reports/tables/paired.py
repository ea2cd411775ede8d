"""Tables of ``harness compare``: differing settings, a row a pair of methods, and a pair seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.results.comparison import SeedResult
from harness.reports.results.pair import Pair
from harness.reports.results.sides import DifferingSetting, Side
from harness.reports.statistics.significance import permutation_p, smallest_p, superiority
from harness.reports.statistics.summary import summarize
from harness.reports.tables.report_table import (
    DIFFERENCE,
    INTERVAL,
    METHOD,
    SMALLEST_P,
    Column,
    P,
    ReportTable,
    Value,
)


def settings_table(a: Side, b: Side, settings: Sequence[DifferingSetting]) -> ReportTable:
    """Return the settings in which two sides differ, with both values."""
    return ReportTable(
        "differing-settings",
        "Differences besides the methods",
        f"A is {a.name}, B is {b.name}. A dash: the side has no such setting.",
        "",
        [Column("setting", "Setting", text=True), Column("a", "A", text=True), Column("b", "B", text=True)],
        [[setting.name, setting.a, setting.b] for setting in settings],
    )


def seeds_table(a: Side, b: Side, pair: Pair) -> ReportTable:
    """Return every seed of either side of a pair; the run's status stands where it has no accuracy."""
    names = [a.name, b.name] if a.method is not None else [f"{side.name}:{pair.label}" for side in (a, b)]
    rows: list[list[Value]] = []
    for seed, run_a, run_b in pair.seeds:
        x, y = _accuracy(run_a, pair.dataset), _accuracy(run_b, pair.dataset)
        rows.append([seed, x, y, x - y if isinstance(x, float) and isinstance(y, float) else None])
    return ReportTable(
        f"seeds-{pair.label}",
        f"{pair.label}, seed by seed",
        f"Test accuracy (%) on {pair.dataset} of the final derived cell, and the difference in points.",
        "",
        [Column("seed", "Seed"), Column("a", names[0], 2), Column("b", names[1], 2), Column("difference", "A − B", 2)],
        rows,
    )


def _accuracy(seed: SeedResult | None, dataset: str) -> Value:
    if seed is None:
        return "not run"
    value = seed.final(dataset)
    return value if value is not None else "not looked up" if seed.finished else seed.run.status


def paired_table(a: Side, b: Side, pairs: Sequence[Pair]) -> ReportTable:
    """Return a row a pair of methods."""
    return ReportTable(
        "side-by-side",
        "Side by side",
        f"Test accuracy (%) on {pairs[0].dataset}; A is {a.name}, B is {b.name}.",
        "Means over all finished runs. Difference: mean of A minus B over the seeds that both finished, in points, "
        "with its 95 % interval. Superiority: share of all pairs of runs in which A is better; a tie counts half. p: "
        "exact unpaired permutation test of superiority, not corrected for several methods. Smallest p: the smallest "
        "that these seeds can give. Won, tied, lost: seeds in which A is better, within the noise of retraining, or "
        "worse. Cost: mean search seconds of A divided by those of B.",
        [
            METHOD,
            Column("runs", "Runs", text=True),
            Column("mean_a", "A", 2),
            Column("mean_b", "B", 2),
            DIFFERENCE,
            *INTERVAL,
            Column("superiority", "Superiority", 2),
            P,
            SMALLEST_P,
            Column("outcomes", "Won/tied/lost", text=True),
            Column("cost_ratio", "Cost", 2),
        ],
        [_pair_row(pair) for pair in pairs],
    )


def _pair_row(pair: Pair) -> list[Value]:
    x, y = pair.finals
    means = [summarize(values).mean if values else None for values in (x, y)]
    summary = pair.summary
    low, high = (summary.interval or (None, None)) if summary and summary.std else (None, None)
    row: list[Value] = [pair.label, f"{len(x)} and {len(y)}", *means]
    row += [summary.mean if summary else None, low, high]
    row += [superiority(x, y), permutation_p(x, y), smallest_p(len(x), len(y))] if x and y else [None] * 3
    return [*row, "/".join(map(str, pair.outcomes)) if pair.differences else None, pair.cost_ratio]
