"""Recorded architecture parameters of a run, and the operation weights made from them."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from harness.reports.results.comparison import Comparison, SeedResult
from harness.reports.statistics.summary import Floats
from harness.runs.folder import RunFolder


def operation_weights(comparison: Comparison, seed: SeedResult) -> Floats | None:
    """Return the operation weights after each epoch, (epochs, edges, operations), as long as α is finite.

    They are softmax(α) unless the run recorded others. None where no α of this shape was recorded.
    """
    weights = []
    for entry in RunFolder(seed.run.path).read_json("alphas.json") or []:
        if (alpha := _finite(comparison, entry, "alpha")) is not None:
            recorded = _finite(comparison, entry, "operation_weights")
            weights.append(softmax(alpha, axis=1) if recorded is None else recorded)
    return np.stack(weights) if weights else None


def last_alpha(comparison: Comparison, seed: SeedResult) -> Floats | None:
    """Return α after the last epoch, (edges, operations); None where it is missing, of another shape or not finite."""
    history = RunFolder(seed.run.path).read_json("alphas.json") or [{}]
    return _finite(comparison, history[-1], "alpha")


def last_margin(comparison: Comparison, seed: SeedResult) -> float | None:
    """Return the largest weight minus the second after the last epoch, mean over edges; None without α."""
    weights = operation_weights(comparison, seed)
    if weights is None or last_alpha(comparison, seed) is None:
        return None
    second, best = np.sort(weights[-1], axis=1)[:, -2:].T
    return float((best - second).mean())


def _finite(comparison: Comparison, entry: dict[str, list[list[float]]], name: str) -> Floats | None:
    """Return a field of an entry of the history; None unless it is (edges, operations) and finite."""
    shape = (len(comparison.space.edges), len(comparison.space.operations))
    values = np.array(entry.get(name, []), dtype=float)
    return values if values.shape == shape and np.isfinite(values).all() else None
