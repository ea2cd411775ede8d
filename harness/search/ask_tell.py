"""What the searches of query-based methods share, whoever answers: asking for cells, and the record of the answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from harness.methods.base import Evaluation, Passes, Query, QueryMethod
from harness.random_streams import Streams
from harness.runs.schema import TraceRow
from harness.search.cost import Cost
from harness.search.epoch import Mean, trace_row
from harness.spaces.base import SearchSpace


class AskTellSearch:
    """A search of a query-based method: the history of its cells, and the cell that it has asked for next.

    Until the first cell has been evaluated, the derived cell is the first that was proposed.
    """

    def __init__(
        self, method: QueryMethod, space: SearchSpace, seed: int, device: torch.device, shorter: Sequence[int]
    ) -> None:
        """``shorter``: epochs of the trainings, besides the full one, by which a cell can be evaluated."""
        self.method, self.space, self.shorter = method, space, shorter
        self.streams = Streams(seed)
        self.cost = Cost(device)
        self.passes = Passes()
        self.history: list[Evaluation] = []
        self.epochs: list[int | None] = []  # of the training behind each evaluation; None: the full one
        self._proposed: Query | None = None

    def proposed(self) -> Query:
        """The cell that is evaluated next, and the training by which."""
        if self._proposed is None:
            with self.cost.timing("derivation"):
                cell, epochs = self.method.query(self.space, self.history, self.streams["method"], self.shorter)
            self._proposed = Query(self.space.validate(cell), epochs)
        return self._proposed

    def tell(self, valid_accuracy: float) -> None:
        """The validation accuracy (%) of the proposed cell."""
        cell, epochs = self.proposed()
        self.history.append(Evaluation(cell, valid_accuracy))
        self.epochs.append(epochs)
        self._proposed = None

    @property
    def compared(self) -> list[Evaluation]:
        """The evaluations by the longest training that any cell has had: others say less, and not the same."""
        most = max(self.epochs, default=None, key=lambda epochs: math.inf if epochs is None else epochs)
        return [seen for seen, epochs in zip(self.history, self.epochs, strict=True) if epochs == most]

    def row(self, epoch: int, trained: Mean) -> TraceRow:
        """The row of an epoch, from 0; ``trained`` is of the last cell that was trained."""
        with self.cost.timing("derivation"):
            best = self.method.derive(self.compared) if self.history else self.proposed().architecture
        seen = max((known.valid_accuracy for known in self.compared), default=None)
        return trace_row(
            epoch, self.space, best, self.cost, self.passes, trained=trained, valid=(None, seen), alpha=None
        )

    def last_diagnosis(self) -> None:
        """There is no supernet that could be measured."""

    def alphas(self) -> dict[str, Any]:
        """The evaluations so far, in the place of architecture parameters; with the epochs of those not in full."""
        evaluations: list[dict[str, Any]] = []
        for (cell, accuracy), epochs in zip(self.history, self.epochs, strict=True):
            evaluation = {"architecture": self.space.format(cell), "valid_accuracy": accuracy}
            evaluations.append(evaluation if epochs is None else {**evaluation, "epochs": epochs})
        return {"evaluations": evaluations}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "history": [(list(seen.architecture), seen.valid_accuracy) for seen in self.history],
            "epochs": self.epochs.copy(),
            "proposed": None if self._proposed is None else (list(self._proposed.architecture), self._proposed.epochs),
            "streams": self.streams.state_dict(),
            "passes": vars(self.passes).copy(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        self.history = [Evaluation(tuple(cell), accuracy) for cell, accuracy in state["history"]]
        self.epochs = state["epochs"].copy()
        proposed = state["proposed"]
        self._proposed = None if proposed is None else Query(tuple(proposed[0]), proposed[1])
        self.streams.load_state_dict(state["streams"])
        self.passes = Passes(**state["passes"])
        self.cost.load_state_dict(state["cost"])
