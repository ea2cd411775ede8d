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

from harness.methods.base import Evaluation, QueryMethod, QueryState
from harness.spaces.base import Architecture, SearchSpace

Floats = npt.NDArray[np.float64]


class AutoKeras(QueryMethod):
    """Evaluate the cell with the highest upper confidence bound of a Gaussian process, found by annealing.

    The edit distance d of two cells is the number of edges whose operations differ; where all edges stay, it is the
    smallest number of steps from neighbour to neighbour between them. The kernel is exp(-ρ²) with ρ² = d / ``scale``.
    exp(-d²) is not positive definite, neither for the paper's networks of any shape, whose distance it therefore embeds
    by Bourgain's randomised algorithm, nor here. For cells with the same edges, √(2d) is the Euclidean distance of
    their one-hot codes, so that exp(-d / ``scale``) is positive definite and needs no approximate embedding.

    Accuracies are standardised to the scale of the prior (mean 0, variance 1); those of the released code are not.
    Network morphism is left out: each cell is trained from scratch.
    """

    name = "autokeras"
    paper = "Jin, Song & Hu: Auto-Keras: an efficient NAS system. KDD 2019, arXiv:1806.10282"
    summary = "Bayesian optimisation: Gaussian process over edit distances, upper confidence bound; no supernet"

    beta: float = Field(2.576, ge=0, description="β, number of standard deviations in the upper confidence bound")
    scale: float = Field(1.0, gt=0, description="edit distance at which the kernel is 1/e (the paper: 1)")
    noise_variance: float = Field(
        1e-2,
        gt=0,
        description="noise variance of an accuracy, as a fraction of the variance of all (the released code: 1e-10)",
    )
    initial: int = Field(
        5, ge=1, description="cells drawn at random at the start; the released code begins with one network"
    )
    cooling: float = Field(
        0.9, gt=0, lt=1, description="r, factor of the temperature at each step of annealing, from 1"
    )
    T_low: float = Field(1e-4, gt=0, lt=1, description="temperature at which annealing ends")
    epochs_per_cell: int = Field(
        1,
        ge=1,
        description="training epochs of each proposed cell before it is validated; few, since a model needs many cells",
    )

    def ask(self, state: QueryState) -> Architecture:
        space, rng = state.space, state.rng
        if len(state.history) < self.initial:
            return space.sample(rng)
        with threadpool_limits(1):  # small matrices: more threads only wait for each other
            process = Process(state.history, len(space.operations), self.scale, self.noise_variance)
            return self.anneal(space, process, rng) or space.sample(rng)

    def anneal(self, space: SearchSpace, process: Process, rng: torch.Generator) -> Architecture | None:
        """The best new cell that algorithm 1 visits; None where it visits no cell that was not evaluated before.

        The queue starts with the evaluated cells. Each step takes the best of the queue and visits its neighbours; a
        neighbour is queued if it is better than the best so far, or else with a probability that falls with the
        temperature. As in the released code no cell is visited twice, and the best so far is a new cell once there is
        one.
        """
        queue = [(-value, cell) for cell, value in process.known.items()]
        heapq.heapify(queue)
        seen = set(process.known)
        best_cell, best = None, max(process.known.values())
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
                if best_cell is None or value > best:
                    best_cell, best = neighbour, value
        return best_cell


class Process:
    """A Gaussian process conditioned on a history, by scikit-learn.

    For cells with the same edges, d is half the squared distance of their one-hot codes, so that exp(-d / scale) is the
    RBF kernel of these codes with length √scale.

    Attributes:
        known: the standardised accuracy of each cell of the history, the mean where it was evaluated more than once.
    """

    def __init__(self, history: Sequence[Evaluation], operations: int, scale: float, noise_variance: float) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF

        self._operations = operations
        results: dict[Architecture, list[float]] = {}
        for cell, valid_accuracy in history:
            results.setdefault(cell, []).append(valid_accuracy)
        accuracy = np.array([np.mean(values) for values in results.values()])
        standardised = (accuracy - accuracy.mean()) / (accuracy.std() or 1.0)
        self.known = dict(zip(results, standardised.tolist(), strict=True))
        noise = noise_variance / np.array([len(values) for values in results.values()])
        self._model = GaussianProcessRegressor(RBF(math.sqrt(scale), "fixed"), alpha=noise, optimizer=None)
        self._model.fit(self._one_hot(list(results)), standardised)

    def _one_hot(self, cells: Sequence[Architecture]) -> Floats:
        one_hot: Floats = np.eye(self._operations)[np.array(cells)].reshape(len(cells), -1)
        return one_hot

    def predict(self, cells: Sequence[Architecture]) -> tuple[Floats, Floats]:
        """Mean and standard deviation, (cells,) each, of the standardised accuracy without noise."""
        mean, deviation = self._model.predict(self._one_hot(cells), return_std=True)
        return mean, deviation

    def upper_bound(self, cells: Sequence[Architecture], beta: float) -> Floats:
        """Mean plus ``beta`` standard deviations, (cells,)."""
        mean, deviation = self.predict(cells)
        return np.asarray(mean + beta * deviation)
