"""The search loop of query-based methods that a table answers: a look-up in the place of each training.

The budget is the protocol's: simulated seconds, which the trainings behind the table took, or a number of cells. A cell
that would overrun it is not bought. Asking for a cell again costs as much again. A shorter training costs its own
seconds; a number of cells counts it as one, like any other.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.config.protocol import Protocol
from harness.methods.base import Query, QueryMethod
from harness.runs.schema import TraceRow
from harness.search.ask_tell import AskTellSearch
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.epoch import Mean, Tick
from harness.spaces.base import SearchSpace


class LookupQuerySearch(AskTellSearch):
    """One search of a query-based method; see :class:`harness.runs.process.EpochByEpoch`.

    An epoch is a share of the budget: after epoch t, all cells that t epochs' share pays for have been looked up.
    """

    def __init__(
        self, method: QueryMethod, space: SearchSpace, answers: BenchmarkQuery, protocol: Protocol, seed: int
    ) -> None:
        super().__init__(method, space, seed, torch.device("cpu"), list(answers.shorter))
        self.answers = answers
        settings = protocol.queries
        self._in_cells = settings.evaluations is not None
        self._budget = float(settings.evaluations if settings.evaluations is not None else settings.seconds)
        self._epochs = protocol.epochs(method.name)
        self._simulated = 0.0

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """Spend one more epoch's share of the budget, and its row."""
        affordable = self._budget * (epoch + 1) / self._epochs
        before = self._paid
        while self._paid + self._price(query := self.proposed()) <= affordable:
            told = self.answers.after(query.epochs)
            self._simulated += self._seconds(query)
            self.tell(float(told.valid_accuracy[self.space.index(query.architecture)]))
            tick((self._paid - before) / (affordable - before))
        row = self.row(epoch, Mean())
        row["evaluations"] = len(self.history)
        if self.answers.seconds is not None:
            row["simulated_seconds"] = self._simulated
        return row

    @property
    def _paid(self) -> float:
        return float(len(self.history)) if self._in_cells else self._simulated

    def _price(self, query: Query) -> float:
        return 1.0 if self._in_cells else self._seconds(query)

    def _seconds(self, query: Query) -> float:
        seconds = self.answers.after(query.epochs).seconds
        return 0.0 if seconds is None else float(seconds[self.space.index(query.architecture)])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {**super().state_dict(), "simulated": self._simulated}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self._simulated = state["simulated"]
