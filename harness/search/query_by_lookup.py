"""The search loop of query-based methods by look-ups in a tabular benchmark.

The budget is the protocol's: simulated seconds, which the trainings behind the table took, or a number of cells. The
search ends before the cell that would overrun it. A cell that is asked for again costs as much again. A training of
fewer epochs costs its own seconds; in a number of cells it counts as one.
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

    An epoch is a share of the budget: after epoch t, all cells have been looked up that the share of t epochs pays for.
    """

    def __init__(
        self, method: QueryMethod, space: SearchSpace, benchmark: BenchmarkQuery, protocol: Protocol, seed: int
    ) -> None:
        super().__init__(method, space, seed, torch.device("cpu"), list(benchmark.lower_fidelities))
        self.benchmark = benchmark
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
            accuracies = self.benchmark.at_epochs(query.epochs).valid_accuracy
            self._simulated += self._seconds(query)
            self.tell(float(accuracies[self.space.index(query.architecture)]))
            tick((self._paid - before) / (affordable - before))
        row = self.row(epoch, Mean())
        row["evaluations"] = len(self.history)
        if self.benchmark.seconds is not None:
            row["simulated_seconds"] = self._simulated
        return row

    @property
    def _paid(self) -> float:
        return float(len(self.history)) if self._in_cells else self._simulated

    def _price(self, query: Query) -> float:
        return 1.0 if self._in_cells else self._seconds(query)

    def _seconds(self, query: Query) -> float:
        seconds = self.benchmark.at_epochs(query.epochs).seconds
        return 0.0 if seconds is None else float(seconds[self.space.index(query.architecture)])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {**super().state_dict(), "simulated": self._simulated}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self._simulated = state["simulated"]
