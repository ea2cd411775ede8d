"""The most important edge of each method's derived cells, and whether the search knew it, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.reports.results.ablation import (
    NONE,
    Ablation,
    ablations,
    alpha_agreements,
    mean_lost,
    perturbation_agreements,
)
from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.statistics.summary import summarize


def edge_importance_text(comparison: Comparison) -> list[str]:
    """Return a few sentences a method: its most important edge, and whether its search knew it."""
    if not any(method.finished for method in comparison.methods):
        return ["No run finished, so there is no cell to explain."]
    if comparison.headline is None or comparison.column(comparison.headline) is None:
        return ["There is no table, and the importance of edges needs one: it comes from looking up changed cells."]
    return [f"{method.label}: {_method_text(comparison, method)}" for method in comparison.methods]


def _method_text(comparison: Comparison, method: MethodResults) -> str:
    cells = ablations(comparison, method)
    if not cells:
        return "no run finished, so there is no cell to explain."
    sentences = [_most_important(comparison, cells)]
    for name, taus in (
        ("α", alpha_agreements(comparison, cells)),
        ("The supernet's perturbation", perturbation_agreements(comparison, cells)),
    ):
        if taus:
            sentences.append(_agreement(name, taus))
    if len(sentences) == 1:
        sentences.append("The search recorded nothing to compare with that.")
    return " ".join(sentences)


def _most_important(comparison: Comparison, cells: Sequence[Ablation]) -> str:
    lost = mean_lost(comparison, cells)
    edge = int(lost.argmax())
    noise = comparison.noise(comparison.headline) if comparison.headline else 0.0
    over = f"mean over {len(cells)} seeds" if len(cells) > 1 else "one seed"
    names = comparison.space.edge_names
    if lost[edge] <= noise:
        bound = f"more than the noise of retraining, {noise:.2f} points" if noise else "any accuracy"
        worst = int(lost.argmin())
        better = f"; without edge {names[worst]} the cell is {-lost[worst]:.1f} points better"
        return f"no single edge of the cell adds {bound}{better if -lost[worst] > noise else ''} ({over})."
    how = "without it" if NONE in comparison.space.operations else "with another operation on it"
    return f"edge {names[edge]} is the most important: {how} the cell loses {lost[edge]:.1f} points ({over})."


def _agreement(name: str, taus: Sequence[float]) -> str:
    """Say whether scores of the search agree with the table."""
    summary = summarize(taus)
    tau = f"τ {_signed(summary.mean)}"
    if summary.interval is None:
        return f"{name} agrees with the table to {tau} in one seed, which shows nothing."
    low, high = np.clip(summary.interval, -1, 1).tolist()
    interval = f"95 % interval {_signed(low)} to {_signed(high)}"
    if low > 0:
        return f"{name} agrees with the table: {tau}, {interval}."
    if high < 0:
        return f"{name} contradicts the table: {tau}, {interval}."
    return f"These seeds do not show that {name[0].lower() + name[1:]} agrees with the table: {tau}, {interval}."


def _signed(value: float) -> str:
    """Return two decimals with a sign, a typographic minus, and no minus before zero."""
    return f"{value + 0.0:+.2f}".replace("-0.00", "+0.00").replace("-", "−")
