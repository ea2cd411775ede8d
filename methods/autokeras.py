"""Auto-Keras's search: Bayesian optimisation with a kernel of edit distances (Jin, Song & Hu, KDD 2019)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from threadpoolctl import threadpool_limits

from harness.methods.base import Evaluation, QueryMethod
from harness.spaces.base import Architecture, SearchSpace

Floats = npt.NDArray[np.float64]


class AutoKeras(QueryMethod):
    """Evaluate the cell with the highest upper confidence bound of a Gaussian process, sought by annealing.

    The edit distance d of two cells is the number of edges whose operations differ: where all edges stay, the fewest
    steps to a neighbour that lead from one to the other. The kernel is exp(-ρ²) with ρ² = d / ``scale``. The paper
    embeds its distance, of networks of any shape, by Bourgain's randomised algorithm, since exp(-d²) is not positive
    definite, and is not here either. For cells with the same edges √d is a Euclidean distance, that of their one-hot
    codes by √2, so no approximate embedding is needed and the kernel is positive definite.

    Accuracies are standardised, so that the prior (mean 0, variance 1) is of their scale; the released code's are not.
    Network morphism has no part in it: each cell is trained from scratch.
    """

    name = "autokeras"
    paper = "Jin, Song & Hu: Auto-Keras: an efficient NAS system. KDD 2019, arXiv:1806.10282"
    summary = "Bayesian optimisation: Gaussian process over edit distances, upper confidence bound; no supernet"

    beta: float = Field(2.576, ge=0, description="standard deviations in the upper confidence bound")
    scale: float = Field(1.0, gt=0, description="edit distance at which the kernel has fallen to 1/e (the paper: 1)")
    noise_variance: float = Field(
        1e-2, gt=0, description="of an accuracy, in the variance of all (the released code: 1e-10, no noise)"
    )
    initial: int = Field(5, ge=1, description="cells drawn at random first; the released code begins with one network")
    cooling: float = Field(0.9, gt=0, lt=1, description="r: the temperature, at first 1, is multiplied by it each step")
    T_low: float = Field(1e-4, gt=0, lt=1, description="temperature at which the annealing ends")
    epochs_per_cell: int = Field(
        1, ge=1, description="epochs each proposed cell is trained before it is validated; a model needs many cells"
    )

    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        if len(history) < self.initial:
            return space.sample(rng)
        with threadpool_limits(1):  # small matrices: more threads only wait for each other
            process = Process(history, self.scale, self.noise_variance)
            return self.anneal(space, process, rng) or space.sample(rng)

    def anneal(self, space: SearchSpace, process: Process, rng: torch.Generator) -> Architecture | None:
        """The best cell not yet evaluated that algorithm 1 comes across; None where it comes across none.

        From the best of a queue, at first the cells evaluated, all neighbours are looked at, and queued if they are
        better than the best so far or by the chance that the temperature leaves them. As in the released code none is
        looked at twice, and the best so far is among cells not yet evaluated, once there is one.
        """
        queue = [(-value, cell) for cell, value in process.known.items()]
        heapq.heapify(queue)
        seen = set(process.known)
        found, best = None, max(process.known.values())
        temperature = 1.0
        while queue and temperature > self.T_low:
            temperature *= self.cooling
            _, cell = heapq.heappop(queue)
            new = [neighbour for neighbour in space.neighbours(cell) if neighbour not in seen]
            seen.update(new)
            if not new:
                continue
            values = process.upper_bound(new, self.beta).tolist()
            chances = torch.rand(len(new), generator=rng).tolist()
            for neighbour, value, chance in zip(new, values, chances, strict=True):
                if math.exp(min(0.0, (value - best) / temperature)) > chance:
                    heapq.heappush(queue, (-value, neighbour))
                if found is None or value > best:
                    found, best = neighbour, value
        return found


class Process:
    """A Gaussian process conditioned on a history.

    Attributes:
        known: the standardised accuracy of each cell of the history, the mean where it was evaluated more than once.
    """

    def __init__(self, history: Sequence[Evaluation], scale: float, noise_variance: float) -> None:
        from scipy.linalg import cho_factor, cho_solve

        self._scale = scale
        told: dict[Architecture, list[float]] = {}
        for seen in history:
            told.setdefault(seen.architecture, []).append(seen.valid_accuracy)
        accuracy = np.array([np.mean(values) for values in told.values()])
        standardised = (accuracy - accuracy.mean()) / (accuracy.std() or 1.0)
        self.known = dict(zip(told, standardised.tolist(), strict=True))
        self._cells = np.array(list(told))
        counts = np.array([len(values) for values in told.values()])
        covariance = kernel(self._cells, self._cells, scale) + np.diag(noise_variance / counts)
        self._factor = cho_factor(covariance, lower=True)
        self._weights = cho_solve(self._factor, standardised)

    def predict(self, cells: Sequence[Architecture]) -> tuple[Floats, Floats]:
        """Mean and standard deviation, (cells,) each, of the standardised accuracy without noise."""
        from scipy.linalg import solve_triangular

        shared = kernel(np.array(cells), self._cells, self._scale)
        explained = solve_triangular(self._factor[0], shared.T, lower=True)
        return shared @ self._weights, np.sqrt(np.maximum(0.0, 1.0 - (explained**2).sum(axis=0)))

    def upper_bound(self, cells: Sequence[Architecture], beta: float) -> Floats:
        """Mean plus ``beta`` standard deviations, (cells,)."""
        mean, deviation = self.predict(cells)
        return mean + beta * deviation


def edit_distance(ones: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Edges whose operations differ, (ones, others), of cells given as operation indices (cells, edges)."""
    return np.asarray((ones[:, None, :] != others[None, :, :]).sum(axis=2))


def kernel(ones: npt.NDArray[np.int64], others: npt.NDArray[np.int64], scale: float) -> Floats:
    """exp(-d / scale), (ones, others)."""
    return np.asarray(np.exp(-edit_distance(ones, others) / scale))
