"""The search loop of query-based methods: cells are proposed, trained from scratch on the search's own data, validated.

The budget is what a bilevel gradient search processes under the same protocol: all search images forward once an epoch.
A cell costs its training epochs on the search-train half and one pass over the search-validation half. A cell that
would overrun the budget is not begun.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from harness.batches import SearchData
from harness.cost import Cost
from harness.errors import Diverged
from harness.protocol import Protocol
from harness.runs import TraceRow
from harness.search import Mean, Tick, cosine, network_config, trace_row
from harness.streams import Streams, stream
from methods.base import Evaluation, Forward, Passes, QueryMethod
from spaces.base import Architecture, SearchSpace, initialise


class QuerySearch:
    """One search of a query-based method, with the interface of :class:`harness.search.GradientSearch`.

    An epoch is a share of the budget: after epoch t, all cells that fit into t epochs' budget have been evaluated.
    Until the first one has, the derived cell is the first that was proposed.
    """

    def __init__(
        self,
        method: QueryMethod,
        space: SearchSpace,
        data: SearchData,
        protocol: Protocol,
        seed: int,
        device: torch.device,
    ) -> None:
        self.method, self.space, self.data, self.protocol, self.seed = method, space, data, protocol, seed
        self.device = device
        self.streams = Streams(seed)
        self.cost = Cost(device)
        self.passes = Passes()
        self.history: list[Evaluation] = []
        self._proposed: Architecture | None = None

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """Spend one more epoch's budget, and its row. Raises :class:`Diverged` where a cell's loss is not finite."""
        affordable = 2 * (epoch + 1) // (self.method.epochs_per_cell + 1)  # an epoch pays for both halves
        due = affordable - len(self.history)
        trained = Mean()
        for number in range(due):
            cell = self._next()
            trained = Mean()

            def part(done: float, before: int = number) -> None:
                tick((before + done) / due)

            accuracy = self._evaluate(cell, epoch, trained, part)
            self.history.append(Evaluation(cell, accuracy))
            self._proposed = None
        with self.cost.timing("derivation"):
            best = self.method.derive(self.history) if self.history else self._next()
        return trace_row(
            epoch,
            self.space,
            best,
            self.cost,
            self.passes,
            trained=trained,
            valid=(None, max((seen.valid_accuracy for seen in self.history), default=None)),
            alpha=None,
        )

    def _next(self) -> Architecture:
        """The cell that is evaluated next."""
        if self._proposed is None:
            with self.cost.timing("derivation"):
                asked = self.method.ask(self.space, self.history, self.streams["method"])
            self._proposed = self.space.validate(asked)
        return self._proposed

    def _evaluate(self, cell: Architecture, epoch: int, trained: Mean, tick: Tick) -> float:
        """Validation accuracy (%) of a cell's network, trained from scratch by the protocol's weight optimiser."""
        network = self.space.network(cell, network_config(self.protocol, self.data.classes))
        number = len(self.history)
        initialise(network, lambda name: stream(self.seed, "weights", f"cell-{number}", name))
        network.to(self.device).train()
        w = self.protocol.weights
        optimizer = torch.optim.SGD(
            network.parameters(), w.learning_rate, w.momentum, weight_decay=w.weight_decay, nesterov=w.nesterov
        )
        epochs, streams = self.method.epochs_per_cell, self.streams
        for turn in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = cosine(w.learning_rate, w.learning_rate_min, turn, epochs)
            for images, labels in self.data.train.shuffled(streams["train-order"], streams["train-augmentation"]):
                with self.cost.timing("weight"):
                    forward = self._forward(network, images, labels)
                    optimizer.zero_grad()
                    forward.loss.backward()
                    self.passes.backward += 1
                    if w.clip_norm is not None:
                        nn.utils.clip_grad_norm_(network.parameters(), w.clip_norm)
                    optimizer.step()
                trained.add(forward, len(labels))
            tick((turn + 1) / (epochs + 1))
        validated = Mean()
        with self.cost.timing("derivation"), torch.no_grad():
            network.eval()
            for images, labels in self.data.valid.in_order():
                validated.add(self._forward(network, images, labels), len(labels))
        if validated.loss is None or not torch.tensor(validated.loss).isfinite():
            raise Diverged(f"the validation loss of cell {number + 1} became {validated.loss} in epoch {epoch + 1}")
        assert validated.accuracy is not None
        return validated.accuracy

    def _forward(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Forward:
        self.passes.forward += 1
        self.passes.examples += len(labels)
        logits = network(images)
        return Forward(nn.functional.cross_entropy(logits, labels), (logits.detach().argmax(1) == labels).sum())

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
