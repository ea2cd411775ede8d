"""What carried the cells of each method: its edges by the table, and whether the search knew; as a table and in words.

See :mod:`harness.reports.results.ablation` for what is computed and :mod:`harness.reports.figures.edge_heatmaps` for
the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from harness.reports.results.ablation import (
    NONE,
    Ablation,
    ablations,
    alpha_agreement,
    lost_without,
    perturbation_agreement,
)
from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.statistics.summary import Floats, summarize
from harness.reports.tables.report_table import Column, Sheet, Value


def explanation_sheet(comparison: Comparison) -> Sheet | None:
    """What each edge is worth to each method's derived cells; None where no cell could be looked up."""
    space, rows = comparison.space, list[list[Value]]()
    for method in comparison.methods:
        found = ablations(comparison, method)
        runs = f"{len(found)}/{len(method.seeds)}"
        if not found:
            rows.append([method.label, runs, *[None] * (len(space.edges) + 3)])
            continue
        best = fmean(float(one.change.max()) for one in found)
        taus = [_mean(_alpha_taus(comparison, found)), _mean(_perturbation_taus(comparison, found))]
        rows.append([method.label, runs, *_mean_lost(comparison, found).tolist(), best, *taus])
    if all(row[2] is None for row in rows):
        return None
    removed = "taken away" if NONE in space.operations else "replaced, on average over the other operations"
    return Sheet(
        "explanation",
        "Edges of the derived cells",
        f"Means over finished runs, on {comparison.headline}; protocol {comparison.protocol_name}.",
        f"Of each edge: the points of test accuracy that the derived cell loses when it is {removed}, looked up in the "
        "table; below 0 the cell is better without it. Best change: what the best single substitute of one operation "
        "would add; 0: there is no better neighbour. Agreement, τ: Kendall's τ-b between what the search says of the "
        "operations of an edge and the table's accuracies of the cell with each of them, mean over the edges where "
        "both tell operations apart; 1 is the table's own order, 0 what chance gives, −1 the reverse. Of α: by its "
        "last values; of perturbation: by what the supernet loses without the operation. A dash: not there.",
        [
            Column("method", "Method", text=True),
            Column("ablated", "Runs"),
            *[
                Column(f"lost_without_{source}_{target}", name, 1)
                for (source, target), name in zip(space.edges, space.edge_names, strict=True)
            ],
            Column("best_change", "Best change", 2),
            Column("alpha_tau", "τ of α", 2),
            Column("perturbation_tau", "τ of perturbation", 2),
        ],
        rows,
    )


def explanation_words(comparison: Comparison) -> list[str]:
    """What carried each method's cells, and whether its search knew: a sentence or two a method."""
    if not any(method.finished for method in comparison.methods):
        return ["No run finished, so there is no cell to explain."]
    if comparison.headline is None or comparison.column(comparison.headline) is None:
        return ["Edges are ablated by looking their substitutes up, and there is no table to look them up in."]
    return [f"{method.label}: {_of_method(comparison, method)}" for method in comparison.methods]


def _of_method(comparison: Comparison, method: MethodResults) -> str:
    found = ablations(comparison, method)
    if not found:
        return "no run finished, so there is no cell to explain."
    sentences = [_carries(comparison, found)]
    for name, taus in (
        ("α", _alpha_taus(comparison, found)),
        ("the supernet's perturbation", _perturbation_taus(comparison, found)),
    ):
        if taus:
            sentences.append(_says(name, taus))
    if len(sentences) == 1:
        sentences.append("Nothing was recorded of the search that could be set against that.")
    return " ".join(sentences)


def _carries(comparison: Comparison, found: Sequence[Ablation]) -> str:
    """Which edge carries most."""
    lost = _mean_lost(comparison, found)
    most = int(lost.argmax())
    noise = comparison.noise(comparison.headline) if comparison.headline else 0.0
    over = f"mean over {len(found)} seeds" if len(found) > 1 else "one seed"
    if lost[most] <= noise:
        than = f"more than retraining alone moves the accuracy, {noise:.2f} points" if noise else "anything"
        least = int(lost.argmin())
        better = f"; without edge {comparison.space.edge_names[least]} it is {-lost[least]:.1f} points better"
        return f"no edge of the cell alone carries {than}{better if -lost[least] > noise else ''} ({over})."
    how = "without it" if NONE in comparison.space.operations else "with another operation on it"
    return f"edge {comparison.space.edge_names[most]} carries most: {how} {lost[most]:.1f} points less ({over})."


def _says(name: str, taus: Sequence[float]) -> str:
    """Whether a judgement of the search agrees with the table."""
    summary = summarize(taus)
    tau = f"τ {_signed(summary.mean)}"
    if summary.interval is None:
        return f"{_first(name)} agrees with the table to {tau} in one seed, from which nothing follows."
    low, high = np.clip(summary.interval, -1, 1).tolist()
    interval = f"95 % interval {_signed(low)} to {_signed(high)}"
    if low > 0:
        return f"{_first(name)} says something of what matters: {tau}, {interval}."
    if high < 0:
        return f"{_first(name)} points away from what matters: {tau}, {interval}."
    return f"These seeds do not show that {name} says what matters: {tau}, {interval}."


def _mean_lost(comparison: Comparison, found: Sequence[Ablation]) -> Floats:
    """(edges,) points lost without each edge, mean over seeds."""
    mean: Floats = np.mean([lost_without(comparison.space, one) for one in found], axis=0)
    return mean


def _alpha_taus(comparison: Comparison, found: Sequence[Ablation]) -> list[float]:
    return [tau for one in found if (tau := alpha_agreement(comparison, one)) is not None]


def _perturbation_taus(comparison: Comparison, found: Sequence[Ablation]) -> list[float]:
    return [tau for one in found if (tau := perturbation_agreement(comparison, one)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _first(name: str) -> str:
    """A name at the beginning of a sentence; α stays small."""
    return name[0].upper() + name[1:] if name[0].isascii() else name


def _signed(value: float) -> str:
    """Two decimals with a sign, a true minus, and no minus before zero."""
    return f"{value + 0.0:+.2f}".replace("-0.00", "+0.00").replace("-", "−")
