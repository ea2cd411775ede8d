"""The search loop of query-based methods that a table answers: a look-up in the place of each training.

The budget is the protocol's: simulated seconds, which the trainings behind the table took, or a number of cells. A cell
that would overrun it is not bought. Asking for a cell again costs as much again.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.answers import Answers
from harness.cost import Cost
from harness.protocol import Protocol
from harness.runs import TraceRow
from harness.search import Mean, Tick, trace_row
from harness.streams import Streams
from methods.base import Evaluation, Passes, QueryMethod
from spaces.base import Architecture, SearchSpace


class TableSearch:
    """One search of a query-based method, with the interface of :class:`harness.search.GradientSearch`.

    An epoch is a share of the budget: after epoch t, all cells that t epochs' share pays for have been looked up. Until
    the first one has, the derived cell is the first that was proposed.
    """

    def __init__(
        self, method: QueryMethod, space: SearchSpace, answers: Answers, protocol: Protocol, seed: int
    ) -> None:
        self.method, self.space, self.answers = method, space, answers
        self.streams = Streams(seed)
        self.cost = Cost(torch.device("cpu"))
        self.history: list[Evaluation] = []
        settings = protocol.queries
        self._in_cells = settings.evaluations is not None
        self._budget = float(settings.evaluations if settings.evaluations is not None else settings.seconds)
        self._epochs = protocol.epochs(method.name)
        self._paid = self._simulated = 0.0
        self._proposed: Architecture | None = None

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """Spend one more epoch's share of the budget, and its row."""
        affordable = self._budget * (epoch + 1) / self._epochs
        before = self._paid
        while self._paid + self._price(self._next()) <= affordable:
            self._buy(self._next())
            tick((self._paid - before) / (affordable - before))
        with self.cost.timing("derivation"):
            best = self.method.derive(self.history) if self.history else self._next()
        seen = max((known.valid_accuracy for known in self.history), default=None)
        row = trace_row(epoch, self.space, best, self.cost, Passes(), trained=Mean(), valid=(None, seen), alpha=None)
        row["evaluations"] = len(self.history)
        if self.answers.seconds is not None:
            row["simulated_seconds"] = self._simulated
        return row

    def _next(self) -> Architecture:
        """The cell that is bought next."""
        if self._proposed is None:
            with self.cost.timing("derivation"):
                asked = self.method.ask(self.space, self.history, self.streams["method"])
            self._proposed = self.space.validate(asked)
        return self._proposed

    def _price(self, cell: Architecture) -> float:
        return 1.0 if self._in_cells else self._seconds(cell)

    def _seconds(self, cell: Architecture) -> float:
        seconds = self.answers.seconds
        return 0.0 if seconds is None else float(seconds[self.space.index(cell)])

    def _buy(self, cell: Architecture) -> None:
        self._paid += self._price(cell)
        self._simulated += self._seconds(cell)
        self.history.append(Evaluation(cell, float(self.answers.valid_accuracy[self.space.index(cell)])))
        self._proposed = None

    def ranking(self) -> None:
        """There is no supernet that could rank cells."""

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
            "paid": self._paid,
            "simulated": self._simulated,
            "streams": self.streams.state_dict(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        self.history = [Evaluation(tuple(cell), accuracy) for cell, accuracy in state["history"]]
        self._proposed = None if state["proposed"] is None else tuple(state["proposed"])
        self._paid, self._simulated = state["paid"], state["simulated"]
        self.streams.load_state_dict(state["streams"])
        self.cost.load_state_dict(state["cost"])
