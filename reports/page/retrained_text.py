"""The agreement of retrained cells with the table, in sentences."""

from __future__ import annotations

from harness.reports.results.comparison import Comparison
from harness.reports.results.retrained import FEWEST_CELLS, correlation, recipes, retrained_datasets


def retrained_text(comparison: Comparison) -> list[str]:
    """Return a sentence a dataset on which cells were retrained; empty where none were."""
    used = recipes(comparison)
    if len(used) > 1:
        return [
            f"Derived cells were retrained by {len(used)} different recipes ({'; '.join(used)}) and cannot be ranked "
            "together; run the study's commands again with one --recipe."
        ]
    return [_correlation(comparison, dataset) for dataset in retrained_datasets(comparison)]


def _correlation(comparison: Comparison, dataset: str) -> str:
    table, cells, tau, pearson = correlation(comparison, dataset)
    if table is None:
        return f"No cell was looked up, so the accuracies retrained on {dataset} cannot be compared with a table."
    what = f"the accuracy retrained on {dataset} with the one looked up on {table}"
    count = f"{cells} distinct cell{'' if cells == 1 else 's'}"
    if cells < FEWEST_CELLS:
        return f"Too few distinct cells to correlate {what}: {count}, and {FEWEST_CELLS} are needed."
    if tau is None or pearson is None:
        return f"All {count} have the same accuracy on one side, so {what} has no correlation."
    return f"Correlation of {what}, over {count}: Kendall τ {tau:.2f}, Pearson {pearson:.2f}."
