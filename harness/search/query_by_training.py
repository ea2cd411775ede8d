"""The search loop of query-based methods by training: each proposed cell is trained from scratch, and validated.

The budget is what a bilevel weight-sharing search processes under the same protocol: all search images forward once an
epoch. A cell costs its training epochs on the search-train half and one pass over the search-validation half. A cell
that would overrun the budget is not begun. A multi-fidelity method may ask for fewer epochs than ``epochs_per_cell``; a
cell that it asks for again is trained from scratch again.
"""

from __future__ import annotations

import torch

from harness.config.protocol import Protocol
from harness.data.batches import SearchData
from harness.errors import Diverged
from harness.methods.base import Query, QueryMethod
from harness.methods.search_state import classify
from harness.random_streams import stream
from harness.runs.schema import TraceRow
from harness.search.ask_tell import AskTellSearch
from harness.search.epoch import Mean, Tick, network_config
from harness.search.training import make_sgd, set_learning_rate, train_epoch
from harness.spaces.base import SearchSpace, initialize


class TrainingQuerySearch(AskTellSearch):
    """One search of a query-based method; see :class:`harness.runs.process.EpochByEpoch`.

    An epoch is a share of the budget: after epoch t, all cells that fit into t epochs' budget have been evaluated.
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
        super().__init__(method, space, seed, device, method.lower_fidelities())
        self.data, self.protocol, self.seed, self.device = data, protocol, seed, device

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """Spend one more epoch's budget, and its row. Raises :class:`Diverged` where a cell's loss is not finite."""
        affordable = 2 * (epoch + 1)  # passes over a half: an epoch pays for both halves
        before = paid = sum(map(self._price, self.epochs))
        trained = Mean()
        while paid + (price := self._price(self.proposed().epochs)) <= affordable:
            trained = Mean()

            def part(done: float, paid: int = paid, price: int = price) -> None:
                tick((paid - before + done * price) / (affordable - before))

            self.tell(self._evaluate(self.proposed(), epoch, trained, part))
            paid += price
        return self.row(epoch, trained)

    def _price(self, epochs: int | None) -> int:
        """Passes over a half of the images that a cell costs: its epochs, and one to validate it."""
        return (epochs or self.method.epochs_per_cell) + 1

    def _evaluate(self, query: Query, epoch: int, trained: Mean, tick: Tick) -> float:
        """Validation accuracy (%) of a cell's network, trained from scratch by the protocol's weight optimiser."""
        network = self.space.network(query.architecture, network_config(self.protocol, self.data.classes))
        number = len(self.history)
        initialize(network, lambda name: stream(self.seed, "weights", f"cell-{number}", name))
        network.to(self.device).train()
        settings = self.protocol.weights
        optimizer = make_sgd(network.parameters(), settings)
        epochs = query.epochs or self.method.epochs_per_cell
        for turn in range(epochs):
            set_learning_rate(optimizer, settings, turn, epochs)
            train_epoch(
                network,
                optimizer,
                self.data.train,
                self.streams,
                trained=trained,
                cost=self.cost,
                passes=self.passes,
                tick=lambda done, turn=turn: tick((turn + done) / (epochs + 1)),  # type: ignore[misc]
                clip_norm=settings.clip_norm,
            )
        validated = Mean()
        with self.cost.timing("derivation"), torch.no_grad():
            network.eval()
            for batch in self.data.valid.in_order():
                validated.add(classify(network, batch, self.passes), len(batch.labels))
        if validated.loss is None or not torch.tensor(validated.loss).isfinite():
            raise Diverged(f"the validation loss of cell {number + 1} became {validated.loss} in epoch {epoch + 1}")
        assert validated.accuracy is not None
        return validated.accuracy
