"""The part that all searches of query-based methods share: asking for cells, and the record of their evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch

from harness.methods.base import Evaluation, Passes, Query, QueryMethod, QueryState
from harness.random_streams import Streams, stream
from harness.runs.schema import TraceRow
from harness.search.cost import Cost
from harness.search.epoch import Mean, check_returned, trace_row
from harness.search.memory import load_memory_state, memory_state
from harness.spaces.base import Architecture, SearchSpace


class AskTellSearch:
    """A search of a query-based method: its state, and the cell that it has asked for next.

    Until the first cell has been evaluated, the derived cell is the first that was proposed.
    """

    def __init__(
        self, method: QueryMethod, space: SearchSpace, seed: int, device: torch.device, lower_fidelities: Sequence[int]
    ) -> None:
        """Begin a search; ``lower_fidelities`` are the epochs of the trainings there are besides the full one."""
        self.method, self.space = method, space
        self.streams = Streams(seed)
        memory = check_returned(method.initial_memory(space, stream(seed, "memory")), "initial_memory")
        self.state = QueryState(space, [], self.streams["method"], lower_fidelities, memory)
        self.cost = Cost(device)
        self.passes = Passes()
        self.epochs: list[int | None] = []  # of the training behind each evaluation; None: the full one
        self._proposed: Query | None = None

    @property
    def history(self) -> list[Evaluation]:
        """All evaluations so far, in order."""
        return self.state.history

    def proposed(self) -> Query:
        """The cell that is evaluated next, and its training."""
        if self._proposed is None:
            with self.cost.timing("derivation"):
                answer = check_returned(self.method.ask(self.state), "ask")
            query = answer if isinstance(answer, Query) else Query(cast(Architecture, answer))
            self._proposed = query._replace(architecture=self.space.validate(query.architecture))
        return self._proposed

    def tell(self, valid_accuracy: float) -> None:
        """Record the validation accuracy (%) of the proposed cell, and let the method learn from it."""
        cell, epochs = self.proposed()
        self.history.append(Evaluation(cell, valid_accuracy))
        self.epochs.append(epochs)
        self._proposed = None
        with self.cost.timing("derivation"):
            self.method.tell(self.state)

    @property
    def compared(self) -> list[Evaluation]:
        """The evaluations by the longest training that any cell has had; those of shorter ones are not comparable."""
        longest = max(self.epochs, default=None, key=lambda epochs: math.inf if epochs is None else epochs)
        return [result for result, epochs in zip(self.history, self.epochs, strict=True) if epochs == longest]

    def row(self, epoch: int, trained: Mean) -> TraceRow:
        """The trace row of an epoch, from 0; ``trained`` is the mean of the last cell that was trained."""
        with self.cost.timing("derivation"):
            best = self.method.derive(self.compared) if self.history else self.proposed().architecture
        accuracy = max((result.valid_accuracy for result in self.compared), default=None)
        return trace_row(
            epoch, self.space, best, self.cost, self.passes, trained=trained, valid=(None, accuracy), alpha=None
        )

    def final_diagnostics(self) -> None:
        """Nothing: there is no supernet to measure."""

    def alphas(self) -> dict[str, Any]:
        """The evaluations so far, in place of architecture parameters, with the epochs of those by shorter training."""
        evaluations: list[dict[str, Any]] = []
        for (cell, accuracy), epochs in zip(self.history, self.epochs, strict=True):
            evaluation = {"architecture": self.space.format(cell), "valid_accuracy": accuracy}
            evaluations.append(evaluation if epochs is None else {**evaluation, "epochs": epochs})
        return {"evaluations": evaluations}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "history": [(list(result.architecture), result.valid_accuracy) for result in self.history],
            "epochs": self.epochs.copy(),
            "proposed": None if self._proposed is None else (list(self._proposed.architecture), self._proposed.epochs),
            "memory": memory_state(self.state.memory),
            "streams": self.streams.state_dict(),
            "passes": vars(self.passes).copy(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        self.state.history = [Evaluation(tuple(cell), accuracy) for cell, accuracy in state["history"]]
        self.epochs = state["epochs"].copy()
        proposed = state["proposed"]
        self._proposed = None if proposed is None else Query(tuple(proposed[0]), proposed[1])
        load_memory_state(self.state.memory, state["memory"])
        self.streams.load_state_dict(state["streams"])
        self.passes = Passes(**state["passes"])
        self.cost.load_state_dict(state["cost"])
