"""Diagnoses of each method's searches: how their cells collapse, and what was measured of their supernets.

What was recorded is in the run folders (see :mod:`harness.search.diagnostics`); the table is joined in here, after the
search. Old runs, runs with diagnostics switched off and query-based methods have recorded less, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from statistics import fmean

import numpy as np
from scipy import stats

from harness.reports.results.alphas import last_margin
from harness.reports.results.comparison import Comparison, MethodResults, SeedResult
from harness.reports.results.ranking import COLLAPSE, collapse_history
from harness.reports.statistics.summary import agreement
from harness.reports.tables.report_table import Column, Sheet, Value
from harness.runs.folder import RunFolder
from harness.runs.schema import TraceRow
from harness.spaces.base import Architecture, SearchSpace

SKIP = "skip_connect"
"""The operation that hands its input on as it is."""


def collapse_sheet(comparison: Comparison) -> Sheet:
    """How the derived cells of each method collapse, and how sure of them α was; needs no recorded diagnostics."""
    dataset = comparison.headline
    rows: list[list[Value]] = []
    for method in comparison.methods:
        cells = [comparison.space.parse(seed.cell) for seed in method.finished if seed.cell is not None]
        histories = [history for seed in method.finished if (history := collapse_history(comparison, seed))]
        ever = [history for history in histories if any(history)]
        stayed = [start for history in ever if (start := _since(history)) is not None]
        lost = [
            max(values) - values[-1] for seed in method.finished if dataset and (values := seed.accuracy.get(dataset))
        ]
        row: list[Value] = [method.label, f"{len(cells)}/{len(method.seeds)}"]
        row += [f"{len(ever)}/{len(histories)}" if histories else None, _range([h.index(True) + 1 for h in ever])]
        row += [f"{len(stayed)}/{len(histories)}" if histories else None, _range(stayed)]
        row += [_mean([identity_paths(comparison.space, cell) for cell in cells]), _mean(lost)]
        row += [100 * agreement(cells) if cells else None, _mean([last_margin(comparison, s) for s in method.finished])]
        rows.append(row)
    paths = _paths(comparison.space, comparison.space.edges)
    return Sheet(
        "diagnostics-cells",
        "Derived cells on their way",
        f"Over finished runs{f', accuracies on {dataset}' if dataset else ''}; protocol {comparison.protocol_name}.",
        f"Ever collapsed: seeds with an epoch after which the {COLLAPSE}; first: the earliest such epoch of each of "
        "these seeds. A cell can meet the rule for a while and leave it again, above all in the first epochs. To the "
        "end: seeds that ended so; since: the epoch from which on they did. Identity paths: paths from the cell's "
        f"input to its output that hold {SKIP} alone, of {paths}. Lost: points by which the last cell is "
        "below the best on its trajectory. Agreement: as in the stability ranking. Margin: mean over edges of the "
        "largest weight that α gives an operation less the second largest, after the last epoch; near 0 the choice of "
        "operations is all but a tie.",
        [
            Column("method", "Method", text=True),
            Column("finished", "Runs"),
            Column("ever_collapsed", "Ever collapsed"),
            Column("first_collapse", "First"),
            Column("collapsed_to_the_end", "To the end"),
            Column("collapsed_since", "Since"),
            Column("identity_paths", "Identity paths", 1),
            Column("lost_since_best_epoch", "Lost since best", 2),
            Column("agreement_percent", "Agreement %", 0),
            Column("alpha_margin", "Margin", 3),
        ],
        rows,
    )


MEASURES: list[tuple[str, Callable[[Comparison, SeedResult], float | None]]] = [
    ("mixture accuracy", lambda _, seed: _last(seed, lambda row: row.get("mixture_accuracy"))),
    ("derived accuracy", lambda _, seed: _last(seed, lambda row: row.get("derived_accuracy"))),
    ("discretisation gap", lambda _, seed: _last(seed, gap)),
    ("eigenvalue", lambda _, seed: _last(seed, eigenvalue)),
    ("largest eigenvalue of the run", lambda _, seed: max(recorded(seed, eigenvalue).values(), default=None)),
    ("Kendall's τ", lambda comparison, seed: (rank_quality(comparison, seed) or (None, None))[0]),
    ("top fifth", lambda comparison, seed: (rank_quality(comparison, seed) or (None, None))[1]),
    ("seconds", lambda _, seed: seed.run.result.get("diagnostics_seconds") if seed.run.result else None),
]
"""What :func:`supernet_sheet` shows of a seed; None where it was not recorded."""


def supernet_sheet(comparison: Comparison) -> Sheet | None:
    """What was measured of each method's supernets; None where no run recorded anything."""
    found = {
        method.label: [[measure(comparison, seed) for seed in method.finished] for _, measure in MEASURES]
        for method in comparison.methods
    }
    if all(value is None for measures in found.values() for values in measures for value in values):
        return None
    rows: list[list[Value]] = []
    for method in comparison.methods:
        measures = found[method.label]
        measured = max(sum(value is not None for value in values) for values in measures)
        means = [_mean(values) for values in measures]
        rows.append([method.label, f"{measured}/{len(method.seeds)}", *means[:5], _sample(method), *means[5:]])
    decay = comparison.protocol.get("alpha", {}).get("weight_decay")
    return Sheet(
        "diagnostics-supernet",
        "Supernets",
        f"Means over the finished runs that recorded them, after the last epoch; protocol {comparison.protocol_name}.",
        "A dash: not recorded (an older run, diagnostics switched off, or a method without α or supernet). Measured on "
        "search-validation images without augmentation, by batch statistics throughout. Mixture: accuracy (%) of the "
        "supernet under the method's own mixed weights, or under softmax(α) where the method draws them at random. "
        "Derived: accuracy of the derived cell alone with the weights inherited from the supernet. Gap: the first less "
        "the second, in points. Eigenvalue: the largest of the Hessian of the validation loss with respect to α on one "
        "fixed batch, without weight decay"
        + (f", which would add {decay:g} to each" if decay is not None else "")
        + "; largest: over the run. Zela et al. (ICLR 2020) found that cells derived where it grows generalise worse. "
        "τ: Kendall's τ-b, over the same sample of cells for all runs, between the accuracies with inherited weights "
        f"and the table's{f' on {comparison.headline}' if comparison.headline else ''}. Top fifth: share (%) of the "
        "fifth of the sample that the table ranks highest which the supernet ranks there too; by chance 20. Seconds: "
        "what these diagnostics took, which is no part of the search cost.",
        [
            Column("method", "Method", text=True),
            Column("recorded", "Runs"),
            Column("mixture_accuracy", "Mixture", 1),
            Column("derived_accuracy", "Derived", 1),
            Column("discretisation_gap", "Gap", 1),
            Column("hessian_eigenvalue", "Eigenvalue", 3),
            Column("largest_hessian_eigenvalue", "Largest", 3),
            Column("ranked_cells", "Cells ranked"),
            Column("kendall_tau", "τ", 2),
            Column("top_fifth_percent", "Top fifth %", 0),
            Column("diagnostics_seconds", "Seconds", 1),
        ],
        rows,
    )


def not_recorded(comparison: Comparison) -> str:
    """Which methods did not record what, in a sentence; empty where every method recorded everything."""
    missing: dict[str, list[str]] = {}
    for method in comparison.methods:
        lacking = [
            name
            for name, measure in MEASURES
            if name != "seconds" and not any(measure(comparison, seed) is not None for seed in method.finished)
        ]
        if lacking:
            what = "anything" if len(lacking) == len(MEASURES) - 1 else ", ".join(lacking)
            missing.setdefault(what, []).append(method.label)
    parts = [f"{what} of {', '.join(labels)}" for what, labels in missing.items()]
    return f"Not recorded: {'; '.join(parts)}." if parts else ""


# Of one run


def gap(row: TraceRow) -> float | None:
    """The discretisation gap in points, where it was measured after this epoch."""
    return row["mixture_accuracy"] - row["derived_accuracy"] if "mixture_accuracy" in row else None


def eigenvalue(row: TraceRow) -> float | None:
    """The largest eigenvalue of the Hessian, where it was measured after this epoch and finite."""
    return row.get("hessian_eigenvalue")


def recorded(seed: SeedResult, field: Callable[[TraceRow], float | None]) -> dict[int, float]:
    """What a run recorded in its trace, by epoch from 1."""
    return {row["epoch"]: value for row in seed.run.trace if (value := field(row)) is not None}


def _last(seed: SeedResult, field: Callable[[TraceRow], float | None]) -> float | None:
    """What a run recorded after its last epoch."""
    return field(seed.run.trace[-1]) if seed.run.trace else None


def rank_quality(comparison: Comparison, seed: SeedResult) -> tuple[float | None, float] | None:
    """Kendall's τ-b between supernet and table over the sample of cells, and the overlap (%) of their top fifths.

    None where the run ranked no cells or there is no table; τ is None where either side is constant. Cells of equal
    accuracy come in the order of the sample.
    """
    ranking = RunFolder(seed.run.path).ranking
    column = comparison.column(comparison.headline) if comparison.headline else None
    if ranking is None or column is None:
        return None
    said, true = np.array(ranking["accuracies"]), column[ranking["indices"]]
    count = max(1, len(said) // 5)
    tops = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (said, true)]
    constant = min(len(set(values.tolist())) for values in (said, true)) < 2
    tau = None if constant else float(stats.kendalltau(said, true).statistic)
    return tau, 100 * len(tops[0] & tops[1]) / count


def _sample(method: MethodResults) -> Value:
    """Number of cells that the supernets of a method ranked: of all runs, or as a range."""
    rankings = [RunFolder(seed.run.path).ranking for seed in method.finished]
    return _range([len(ranking["indices"]) for ranking in rankings if ranking is not None])


# Of a cell


def identity_paths(space: SearchSpace, cell: Architecture) -> int:
    """Number of paths from an input node of a cell to its output nodes whose edges are all ``skip_connect``.

    Input nodes are those that no edge enters.
    """
    skips = [edge for edge, operation in zip(space.edges, cell, strict=True) if space.operations[operation] == SKIP]
    return _paths(space, skips)


def _paths(space: SearchSpace, edges: Sequence[tuple[int, int]]) -> int:
    """Number of paths along some of the edges of a space from an input to an output."""
    inputs = {source for source, _ in space.edges} - {target for _, target in space.edges}

    @cache
    def leading_to(node: int) -> int:
        return (node in inputs) + sum(leading_to(source) for source, target in edges if target == node)

    return sum(map(leading_to, space.outputs))


# Of several values


def _since(history: list[bool]) -> int | None:
    """The epoch, from 1, from which on the rule held until the end; None where it did not hold at the end."""
    if not history[-1]:
        return None
    return len(history) - (history[::-1].index(False) if False in history else len(history)) + 1


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that exist; None where none does."""
    found = [value for value in values if value is not None]
    return fmean(found) if found else None


def _range(values: Sequence[int]) -> Value:
    """Whole numbers in short: the one that all are, or the least and the largest; None where there are none."""
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else f"{min(values)} to {max(values)}"
