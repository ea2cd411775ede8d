"""The search loop of weight-sharing methods: what the harness does between a method's hooks.

Per step, an α step on a validation batch and a weight step on a training batch, in the protocol's order; single-level
methods have no α step. After each epoch the cell is derived and the state recorded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.config.protocol import Protocol
from harness.data.batches import SearchData
from harness.errors import Diverged
from harness.methods.base import Batch, Forward, Passes, SearchState, WeightSharingMethod
from harness.random_streams import Streams, stream
from harness.runs.schema import LastDiagnostics, TraceRow
from harness.search.cost import Cost
from harness.search.diagnostics import SupernetDiagnostics, deterministic_mixture, preserve_buffers
from harness.search.epoch import Mean, Tick, check_returned, make_supernet, network_config, trace_row
from harness.search.memory import load_memory_state, memory_state
from harness.search.operation_costs import penalties
from harness.search.training import make_sgd, set_learning_rate, uses_mixed_precision
from harness.spaces.base import Mixture, SearchSpace


class WeightSharingSearch:
    """One search of a weight-sharing method, epoch by epoch."""

    def __init__(
        self,
        method: WeightSharingMethod,
        space: SearchSpace,
        data: SearchData,
        protocol: Protocol,
        seed: int,
        device: torch.device,
        latencies: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.method, self.data, self.protocol = method, data, protocol
        self.streams = Streams(seed)
        self.cost = Cost(device)

        cell_network = network_config(protocol, data.classes)
        supernet = make_supernet(method, space, protocol, data.classes)
        supernet.initialize(lambda name: stream(seed, "weights", name))
        supernet.to(device).train()
        initial = check_returned(method.initial_alphas(space, stream(seed, "alpha")), "initial_alphas")
        alphas = {name: nn.Parameter(value.to(device)) for name, value in initial.items()}
        w, a = protocol.weights, protocol.alpha
        architecture = [{"params": list(alphas.values())}]  # a group, for it may be empty
        adam = torch.optim.Adam(architecture, lr=a.learning_rate, betas=a.betas, weight_decay=a.weight_decay)
        self.state = SearchState(
            space=space,
            supernet=supernet,
            alphas=alphas,
            weight_optimizer=make_sgd(
                supernet.parameters(),
                w,
                foreach=True,  # not fused: that goes by memory order, and autograd.grad may give gradients another
            ),
            alpha_optimizer=check_returned(method.alpha_optimizer(list(alphas.values()), adam), "alpha_optimizer"),
            rng=self.streams["method"],
            validate=self._validate,
            curvature=self._curvature,
            clip_norm=w.clip_norm,
            epochs=protocol.epochs(method.name),
            memory=check_returned(method.initial_memory(space, stream(seed, "memory")), "initial_memory"),
            mixed_precision=uses_mixed_precision(device, protocol.supernet.precision),
            penalties=penalties(method, space, cell_network, protocol.data.image_size, latencies, device),
        )
        self._diagnostics = SupernetDiagnostics(method, self.state, data.valid, protocol.diagnostics, seed)

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """One epoch, from 0, and its row. Raises :class:`Diverged` where a loss or an α is not a finite number."""
        state = self.state
        state.epoch = epoch
        set_learning_rate(state.weight_optimizer, self.protocol.weights, epoch, state.epochs)
        alpha_first = self.protocol.order(self.method.name) == "alpha-first"
        with self.cost.timing("derivation"):
            if not state.stopped:
                self.method.begin_epoch(state)
        trained, validated = Mean(), Mean()
        streams, steps = self.streams, self.data.train.batches
        validation = self.data.valid.shuffled(streams["valid-order"], streams["valid-augmentation"])
        training = self.data.train.shuffled(streams["train-order"], streams["train-augmentation"])
        for step, train in enumerate(() if state.stopped else training):
            valid = next(validation) if self.method.bilevel else None
            if valid is not None and alpha_first:
                validated.add(self._alpha_step(train, valid), len(valid.labels))
            with self.cost.timing("weight"):
                forward = check_returned(self.method.weight_step(state, train), "weight_step")
            trained.add(forward, len(train.labels))
            if valid is not None and not alpha_first:
                validated.add(self._alpha_step(train, valid), len(valid.labels))
            tick((step + 1) / steps)
        self._check_finite(trained, validated)
        with self.cost.timing("derivation"):
            cell = check_returned(self.method.derive(state), "derive")
        row = trace_row(
            epoch,
            state.space,
            cell,
            self.cost,
            state.passes,
            trained=trained,
            valid=(validated.loss, validated.accuracy),
            alpha=state.alphas.get("alpha"),
        )
        if self._diagnostics.due(epoch):
            with self.cost.excluded():
                fields = self._diagnostics.measure(cell)
            row = TraceRow(**row, **fields)
            row["diagnostics_seconds"] = self.cost.seconds["diagnostics"]
        return row

    def final_diagnostics(self) -> LastDiagnostics | None:
        """Measurements of the supernet after the last epoch, outside the search cost; None where none are due."""
        if not self._diagnostics.due_at_end:
            return None
        with self.cost.excluded():
            return self._diagnostics.measure_final()

    def _alpha_step(self, train: Batch, valid: Batch) -> Forward | None:
        with self.cost.timing("alpha"):
            return self.method.alpha_step(self.state, train, valid)

    @torch.no_grad()
    def _validate(self, mixture: Mixture) -> float:
        """See :data:`harness.methods.search_state.Validate`."""
        valid = self.data.valid
        with preserve_buffers(self.state.supernet):
            correct = [self.state.forward(batch, mixture).correct for batch in valid.measured()]
        return 100 * int(torch.stack(correct).sum()) / len(valid)

    def _curvature(self) -> float:
        """See :data:`harness.methods.search_state.Curvature`."""
        state = self.state
        with preserve_buffers(state.supernet):
            mixture = deterministic_mixture(self.method, state)
            eigenvalue = self._diagnostics.eigenvalue(
                mixture, state.passes, f"{self.method.name} needs it: choose another space"
            )
        return math.nan if eigenvalue is None else eigenvalue

    def _check_finite(self, trained: Mean, validated: Mean) -> None:
        fault = None
        if not math.isfinite(trained.loss or 0.0):
            fault = f"the training loss became {trained.loss}"
        elif not math.isfinite(validated.loss or 0.0):
            fault = f"the validation loss became {validated.loss}"
        for name, value in self.state.alphas.items():
            if fault is None and not bool(value.isfinite().all()):
                fault = f"the architecture parameter {name} is no longer finite"
        if fault:
            raise Diverged(f"{fault} in epoch {self.state.epoch + 1}")

    @torch.no_grad()
    def alphas(self) -> dict[str, Any]:
        """The architecture parameters that have a row for each edge, as nested lists.

        Beside them ``operation_weights``, where these are not the softmax of α.
        """
        space = self.state.space
        values: dict[str, Tensor] = {
            name: value for name, value in self.state.alphas.items() if value.shape[:1] == (len(space.edges),)
        }
        if "alpha" in values and values["alpha"].shape == (len(space.edges), len(space.operations)):
            weights = check_returned(self.method.operation_weights(self.state), "operation_weights")
            if not torch.equal(weights, values["alpha"].softmax(dim=1)):
                values["operation_weights"] = weights
        return {name: value.detach().cpu().tolist() for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        state = self.state
        return {
            "supernet": state.supernet.state_dict(),
            "alphas": {name: value.detach() for name, value in state.alphas.items()},
            "weight_optimizer": state.weight_optimizer.state_dict(),
            "alpha_optimizer": state.alpha_optimizer.state_dict(),
            "streams": self.streams.state_dict(),
            "memory": memory_state(state.memory),
            "stopped": state.stopped,
            "passes": vars(state.passes).copy(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        state = self.state
        state.supernet.load_state_dict(saved["supernet"])
        with torch.no_grad():
            for name, value in state.alphas.items():
                value.copy_(saved["alphas"][name])
        state.weight_optimizer.load_state_dict(saved["weight_optimizer"])
        state.alpha_optimizer.load_state_dict(saved["alpha_optimizer"])
        self.streams.load_state_dict(saved["streams"])
        load_memory_state(state.memory, saved["memory"])
        state.stopped = saved["stopped"]
        state.passes = Passes(**saved["passes"])
        self.cost.load_state_dict(saved["cost"])
