"""What the searches of query-based methods share, whoever answers: asking for cells, and the record of the answers."""

from __future__ import annotations

from typing import Any

import torch

from harness.cost import Cost
from harness.runs import TraceRow
from harness.search import Mean, trace_row
from harness.streams import Streams
from methods.base import Evaluation, Passes, QueryMethod
from spaces.base import Architecture, SearchSpace


class Asking:
    """A search of a query-based method: the history of its cells, and the cell that it has asked for next.

    Until the first cell has been evaluated, the derived cell is the first that was proposed.
    """

    def __init__(self, method: QueryMethod, space: SearchSpace, seed: int, device: torch.device) -> None:
        self.method, self.space = method, space
        self.streams = Streams(seed)
        self.cost = Cost(device)
        self.passes = Passes()
        self.history: list[Evaluation] = []
        self._proposed: Architecture | None = None

    def proposed(self) -> Architecture:
        """The cell that is evaluated next."""
        if self._proposed is None:
            with self.cost.timing("derivation"):
                asked = self.method.ask(self.space, self.history, self.streams["method"])
            self._proposed = self.space.validate(asked)
        return self._proposed

    def tell(self, valid_accuracy: float) -> None:
        """The validation accuracy (%) of the proposed cell."""
        self.history.append(Evaluation(self.proposed(), valid_accuracy))
        self._proposed = None

    def row(self, epoch: int, trained: Mean) -> TraceRow:
        """The row of an epoch, from 0; ``trained`` is of the last cell that was trained."""
        with self.cost.timing("derivation"):
            best = self.method.derive(self.history) if self.history else self.proposed()
        seen = max((known.valid_accuracy for known in self.history), default=None)
        return trace_row(
            epoch, self.space, best, self.cost, self.passes, trained=trained, valid=(None, seen), alpha=None
        )

    def last_diagnosis(self) -> None:
        """There is no supernet that could be measured."""

    def alphas(self) -> dict[str, Any]:
        """The evaluations so far, in the place of architecture parameters."""
        return {
            "evaluations": [
                {"architecture": self.space.format(seen.architecture), "valid_accuracy": seen.valid_accuracy}
                for seen in self.history
            ]
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "history": [(list(seen.architecture), seen.valid_accuracy) for seen in self.history],
            "proposed": None if self._proposed is None else list(self._proposed),
            "streams": self.streams.state_dict(),
            "passes": vars(self.passes).copy(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        self.history = [Evaluation(tuple(cell), accuracy) for cell, accuracy in state["history"]]
        self._proposed = None if state["proposed"] is None else tuple(state["proposed"])
        self.streams.load_state_dict(state["streams"])
        self.passes = Passes(**state["passes"])
        self.cost.load_state_dict(state["cost"])
