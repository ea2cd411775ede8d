"""Tables of each method's diagnostics: how its derived cells collapse, and what was measured of its supernets.

See :mod:`harness.reports.results.diagnostics` for the measures of a single run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from harness.reports.results.alphas import last_margin
from harness.reports.results.comparison import Comparison, SeedResult
from harness.reports.results.diagnostics import (
    SKIP,
    collapsed_since,
    count_paths,
    discretization_gap,
    eigenvalue,
    identity_paths,
    last_recorded,
    rank_quality,
    ranked_cells,
    recorded,
)
from harness.reports.results.ranking import COLLAPSE, collapse_history
from harness.reports.statistics.summary import agreement
from harness.reports.tables.report_table import METHOD, Column, ReportTable, Value


def collapse_table(comparison: Comparison) -> ReportTable:
    """Return how the derived cells of each method collapse, and how sure of them α was.

    It needs no recorded diagnostics.
    """
    dataset = comparison.headline
    rows: list[list[Value]] = []
    for method in comparison.methods:
        cells = [comparison.space.parse(seed.cell) for seed in method.finished if seed.cell is not None]
        histories = [history for seed in method.finished if (history := collapse_history(comparison, seed))]
        ever = [history for history in histories if any(history)]
        stayed = [since for history in ever if (since := collapsed_since(history)) is not None]
        lost = [
            max(values) - values[-1] for seed in method.finished if dataset and (values := seed.accuracy.get(dataset))
        ]
        row: list[Value] = [method.label, f"{len(cells)}/{len(method.seeds)}"]
        row += [f"{len(ever)}/{len(histories)}" if histories else None, _range([h.index(True) + 1 for h in ever])]
        row += [f"{len(stayed)}/{len(histories)}" if histories else None, _range(stayed)]
        row += [_mean([identity_paths(comparison.space, cell) for cell in cells]), _mean(lost)]
        row += [100 * agreement(cells) if cells else None, _mean([last_margin(comparison, s) for s in method.finished])]
        rows.append(row)
    return ReportTable(
        "diagnostics-cells",
        "Derived cells during the search",
        f"Over finished runs{f', accuracies on {dataset}' if dataset else ''}; protocol {comparison.protocol_name}.",
        f"A seed has collapsed if its {COLLAPSE}. Ever collapsed: seeds with a collapsed cell after any epoch; a cell "
        "can recover, mostly in the first epochs. First: the earliest such epoch of each of these seeds. To the end: "
        "seeds that ended collapsed. Since: the epoch since which they were. Identity paths: paths from the cell's "
        f"input to its output over {SKIP} alone, of {count_paths(comparison.space, comparison.space.edges)}. Lost: "
        "points by which the last cell is below the best cell of its trajectory. Agreement: as in the stability "
        "ranking. Margin: the largest weight that α gives an operation minus the second largest, after the last "
        "epoch, mean over edges; near 0 the choice is almost a tie.",
        [
            METHOD,
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
    ("mixture accuracy", lambda _, seed: last_recorded(seed, lambda row: row.get("mixture_accuracy"))),
    ("derived accuracy", lambda _, seed: last_recorded(seed, lambda row: row.get("derived_accuracy"))),
    ("discretisation gap", lambda _, seed: last_recorded(seed, discretization_gap)),
    ("eigenvalue", lambda _, seed: last_recorded(seed, eigenvalue)),
    ("largest eigenvalue of the run", lambda _, seed: max(recorded(seed, eigenvalue).values(), default=None)),
    ("Kendall's τ", lambda comparison, seed: (rank_quality(comparison, seed) or (None, None))[0]),
    ("top fifth", lambda comparison, seed: (rank_quality(comparison, seed) or (None, None))[1]),
    ("seconds", lambda _, seed: seed.run.result.get("diagnostics_seconds") if seed.run.result else None),
]
"""The measures of a seed in :func:`supernet_table`; None where not recorded."""


def supernet_table(comparison: Comparison) -> ReportTable | None:
    """Return what was measured of each method's supernets; None where no run recorded anything."""
    measured = {
        method.label: [[measure(comparison, seed) for seed in method.finished] for _, measure in MEASURES]
        for method in comparison.methods
    }
    if all(value is None for measures in measured.values() for values in measures for value in values):
        return None
    rows: list[list[Value]] = []
    for method in comparison.methods:
        measures = measured[method.label]
        count = max(sum(value is not None for value in values) for values in measures)
        means = [_mean(values) for values in measures]
        sampled = _range([cells for seed in method.finished if (cells := ranked_cells(seed)) is not None])
        rows.append([method.label, f"{count}/{len(method.seeds)}", *means[:5], sampled, *means[5:]])
    decay = comparison.protocol.get("alpha", {}).get("weight_decay")
    return ReportTable(
        "diagnostics-supernet",
        "Supernets",
        f"Means over the finished runs that recorded them, after the last epoch; protocol {comparison.protocol_name}.",
        "A dash: not recorded (an older run, diagnostics switched off, or a method without α or supernet). All is "
        "measured on search-validation images without augmentation, with batch statistics. Mixture: accuracy (%) of "
        "the supernet under the method's own operation weights, or under softmax(α) where the method draws them at "
        "random. Derived: accuracy of the derived cell alone, with the weights inherited from the supernet. Gap: "
        "mixture minus derived, in points. Eigenvalue: the largest of the Hessian of the validation loss with respect "
        "to α on one fixed batch, without weight decay"
        + (f", which would add {decay:g} to each" if decay is not None else "")
        + "; largest: over the run. Zela et al. (ICLR 2020) found that cells generalise worse where it grows. τ: "
        "Kendall's τ-b, over one sample of cells for all runs, between accuracies with inherited weights and those of "
        f"the table{f' on {comparison.headline}' if comparison.headline else ''}. Top fifth: share (%) of the table's "
        "best fifth of the sample that is in the supernet's best fifth too; 20 by chance. Seconds: time of these "
        "diagnostics, which the search cost does not include.",
        [
            METHOD,
            Column("recorded", "Runs"),
            Column("mixture_accuracy", "Mixture", 1),
            Column("derived_accuracy", "Derived", 1),
            Column("discretization_gap", "Gap", 1),
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
    """Say in a sentence what each method did not record; empty where every method recorded everything."""
    missing: dict[str, list[str]] = {}
    for method in comparison.methods:
        lacking = [
            name
            for name, measure in MEASURES
            if name != "seconds" and not any(measure(comparison, seed) is not None for seed in method.finished)
        ]
        if lacking:
            what = "all diagnostics" if len(lacking) == len(MEASURES) - 1 else ", ".join(lacking)
            missing.setdefault(what, []).append(method.label)
    parts = [f"{what} of {', '.join(labels)}" for what, labels in missing.items()]
    return f"Not recorded: {'; '.join(parts)}." if parts else ""


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that exist; None where none does."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _range(values: Sequence[int]) -> Value:
    """Return the one value that all are, or the smallest and the largest as text; None where there are none."""
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else f"{min(values)} to {max(values)}"
