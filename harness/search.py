"""The search loop of gradient methods: what the harness does between a method's hooks.

Per step, an α step on a validation batch and a weight step on a training batch, in the protocol's order; single-level
methods have no α step. After each epoch the cell is derived and the state recorded.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from harness.batches import SearchData
from harness.cost import Cost
from harness.diagnostics import Diagnosis, steady_mixture, undisturbed
from harness.errors import Diverged
from harness.protocol import Protocol
from harness.runs import LastDiagnosed, TraceRow
from harness.sizes import costs_to_pay
from harness.streams import Streams, stream
from methods.base import Batch, Forward, GradientMethod, Passes, Search
from spaces.base import Architecture, Mixture, NetworkConfig, SearchSpace, initialise

Returned = TypeVar("Returned")

Tick = Callable[[float], None]
"""Told the fraction of the epoch that is done."""


def network_config(protocol: Protocol, classes: int, **options: Any) -> NetworkConfig:
    """The macro-architecture of a protocol; ``options`` are fields that a method needs to be different."""
    settings = protocol.supernet
    config = {
        "channels": settings.channels,
        "cells": settings.cells,
        "classes": classes,
        "batch_norm": settings.batch_norm,
        "head_affine": settings.head_affine,
    }
    return NetworkConfig(**(config | options))


def returned(value: Returned | None, hook: str) -> Returned:
    """What a hook of a method returned. Raises TypeError that names the hook where that is None: it forgot to."""
    if value is None:
        raise TypeError(f"{hook} lacks a return: it returned None")
    return value


def cosine(start: float, end: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch: half a cosine from ``start``, which would reach ``end`` at ``epochs``."""
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


class GradientSearch:
    """One search of a gradient method, epoch by epoch."""

    def __init__(
        self,
        method: GradientMethod,
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
        options = returned(method.supernet_options(), "supernet_options")
        supernet = space.supernet(network_config(protocol, data.classes, **options))
        initialise(supernet, lambda name: stream(seed, "weights", name))
        supernet.to(device).train()
        initial = returned(method.initial_alphas(space, stream(seed, "alpha")), "initial_alphas")
        alphas = {name: nn.Parameter(value.to(device)) for name, value in initial.items()}
        w, a = protocol.weights, protocol.alpha
        architecture = [{"params": list(alphas.values())}]  # a group, for it may be empty
        adam = torch.optim.Adam(architecture, lr=a.learning_rate, betas=a.betas, weight_decay=a.weight_decay)
        self.search = Search(
            space=space,
            supernet=supernet,
            alphas=alphas,
            weight_optimizer=torch.optim.SGD(
                supernet.parameters(),
                lr=w.learning_rate,
                momentum=w.momentum,
                nesterov=w.nesterov,
                weight_decay=w.weight_decay,
                foreach=True,  # not fused: that goes by memory order, and autograd.grad may give gradients another
            ),
            alpha_optimizer=returned(method.alpha_optimizer(list(alphas.values()), adam), "alpha_optimizer"),
            noise=self.streams["method"],
            validate=self._validate,
            curvature=self._curvature,
            clip_norm=w.clip_norm,
            epochs=protocol.epochs(method.name),
            mixed_precision=device.type == "cuda" and protocol.supernet.precision == "bfloat16",
            costs=costs_to_pay(method, space, cell_network, protocol.data.image_size, latencies, device),
        )
        self._diagnosis = Diagnosis(method, self.search, data.valid, protocol.diagnostics, seed)

    def run_epoch(self, epoch: int, tick: Tick) -> TraceRow:
        """One epoch, from 0, and its row. Raises :class:`Diverged` where a loss or an α is not a finite number."""
        search, w = self.search, self.protocol.weights
        search.epoch = epoch
        for group in search.weight_optimizer.param_groups:
            group["lr"] = cosine(w.learning_rate, w.learning_rate_min, epoch, search.epochs)
        alpha_first = self.protocol.order(self.method.name) == "alpha-first"
        with self.cost.timing("derivation"):
            if not search.stopped:
                self.method.begin_epoch(search)
        trained, validated = Mean(), Mean()
        streams, steps = self.streams, self.data.train.batches
        validation = self.data.valid.shuffled(streams["valid-order"], streams["valid-augmentation"])
        training = self.data.train.shuffled(streams["train-order"], streams["train-augmentation"])
        for step, train in enumerate(() if search.stopped else training):
            valid = next(validation) if self.method.bilevel else None
            if valid is not None and alpha_first:
                validated.add(self._alpha_step(train, valid), len(valid.labels))
            with self.cost.timing("weight"):
                forward = returned(self.method.weight_step(search, train), "weight_step")
            trained.add(forward, len(train.labels))
            if valid is not None and not alpha_first:
                validated.add(self._alpha_step(train, valid), len(valid.labels))
            tick((step + 1) / steps)
        self._check_finite(trained, validated)
        with self.cost.timing("derivation"):
            cell = returned(self.method.derive(search), "derive")
        row = trace_row(
            epoch,
            search.space,
            cell,
            self.cost,
            search.passes,
            trained=trained,
            valid=(validated.loss, validated.accuracy),
            alpha=search.alphas.get("alpha"),
        )
        if self._diagnosis.due(epoch):
            with self.cost.apart():
                found = self._diagnosis.measure(cell)
            row = TraceRow(**row, **found)
            row["diagnostics_seconds"] = self.cost.seconds["diagnostics"]
        return row

    def last_diagnosis(self) -> LastDiagnosed | None:
        """What is measured of the supernet after the last epoch, outside the search cost; None where nothing is."""
        if not self._diagnosis.due_last:
            return None
        with self.cost.apart():
            return self._diagnosis.measure_last()

    def _alpha_step(self, train: Batch, valid: Batch) -> Forward | None:
        with self.cost.timing("alpha"):
            return self.method.alpha_step(self.search, train, valid)

    @torch.no_grad()
    def _validate(self, mixture: Mixture) -> float:
        """See :data:`methods.base.Validate`."""
        valid = self.data.valid
        with undisturbed(self.search.supernet):
            correct = [self.search.forward(batch, mixture).correct for batch in valid.measured()]
        return 100 * int(torch.stack(correct).sum()) / len(valid)

    def _curvature(self) -> float:
        """See :data:`methods.base.Curvature`."""
        search = self.search
        with undisturbed(search.supernet):
            mixture = steady_mixture(self.method, search)
            found = self._diagnosis.eigenvalue(
                mixture, search.passes, f"{self.method.name} needs it: choose another space"
            )
        return math.nan if found is None else found

    def _check_finite(self, trained: Mean, validated: Mean) -> None:
        what = None
        if not math.isfinite(trained.loss or 0.0):
            what = f"the training loss became {trained.loss}"
        elif not math.isfinite(validated.loss or 0.0):
            what = f"the validation loss became {validated.loss}"
        for name, value in self.search.alphas.items():
            if what is None and not bool(value.isfinite().all()):
                what = f"the architecture parameter {name} is no longer finite"
        if what:
            raise Diverged(f"{what} in epoch {self.search.epoch + 1}")

    @torch.no_grad()
    def alphas(self) -> dict[str, Any]:
        """The architecture parameters that have a row for each edge (no controller's), now, as nested lists.

        Beside them ``operation_weights``, where the method makes something else of α than its softmax.
        """
        space = self.search.space
        found: dict[str, Tensor] = {
            name: value for name, value in self.search.alphas.items() if value.shape[:1] == (len(space.edges),)
        }
        if "alpha" in found and found["alpha"].shape == (len(space.edges), len(space.operations)):
            weights = returned(self.method.operation_weights(self.search), "operation_weights")
            if not torch.equal(weights, found["alpha"].softmax(dim=1)):
                found["operation_weights"] = weights
        return {name: value.detach().cpu().tolist() for name, value in found.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        search = self.search
        return {
            "supernet": search.supernet.state_dict(),
            "alphas": {name: value.detach() for name, value in search.alphas.items()},
            "weight_optimizer": search.weight_optimizer.state_dict(),
            "alpha_optimizer": search.alpha_optimizer.state_dict(),
            "streams": self.streams.state_dict(),
            "memory": copy.deepcopy(search.memory),
            "stopped": search.stopped,
            "passes": vars(search.passes).copy(),
            "cost": self.cost.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where :meth:`state_dict` was taken."""
        search = self.search
        search.supernet.load_state_dict(state["supernet"])
        with torch.no_grad():
            for name, value in search.alphas.items():
                value.copy_(state["alphas"][name])
        search.weight_optimizer.load_state_dict(state["weight_optimizer"])
        search.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self.streams.load_state_dict(state["streams"])
        search.memory, search.stopped = state.get("memory", {}), state.get("stopped", False)  # older ones have neither
        search.passes = Passes(**state["passes"])
        self.cost.load_state_dict(state["cost"])


class Mean:
    """Mean loss and accuracy over the images of an epoch, summed where they are computed."""

    def __init__(self) -> None:
        self._loss: Tensor | float = 0.0
        self._correct: Tensor | float = 0.0
        self._images = 0

    def add(self, forward: Forward | None, images: int) -> None:
        """Add a batch; None adds nothing."""
        if forward is not None:
            self._loss = self._loss + images * forward.loss.detach().double()
            self._correct = self._correct + forward.correct
            self._images += images

    @property
    def loss(self) -> float | None:
        """Mean cross-entropy an image; None where there was none."""
        return float(self._loss) / self._images if self._images else None

    @property
    def accuracy(self) -> float | None:
        """% of images classified rightly; None where there was none."""
        return 100 * float(self._correct) / self._images if self._images else None


def trace_row(
    epoch: int,
    space: SearchSpace,
    cell: Architecture,
    cost: Cost,
    passes: Passes,
    *,
    trained: Mean,
    valid: tuple[float | None, float | None],
    alpha: Tensor | None,
) -> TraceRow:
    """The state after an epoch.

    Args:
        epoch: from 0.
        space: the search space.
        cell: derived after the epoch.
        cost: so far.
        passes: so far.
        trained: loss and accuracy on training batches.
        valid: loss and accuracy (%) on validation batches.
        alpha: (edges, operations), if there is any.
    """
    probabilities = None if alpha is None else alpha.detach().double().softmax(dim=1)
    best = None if probabilities is None else probabilities.topk(2, dim=1).values
    return TraceRow(
        epoch=epoch + 1,
        architecture=space.format(cell),
        index=space.index(cell),
        operations={name: cell.count(operation) for operation, name in enumerate(space.operations)},
        train_loss=trained.loss,
        train_accuracy=trained.accuracy,
        valid_loss=valid[0],
        valid_accuracy=valid[1],
        alpha_entropy=None if probabilities is None else float(torch.special.entr(probabilities).sum(dim=1).mean()),
        alpha_margin=None if best is None else float((best[:, 0] - best[:, 1]).mean()),
        weight_seconds=cost.seconds["weight"],
        alpha_seconds=cost.seconds["alpha"],
        derivation_seconds=cost.seconds["derivation"],
        examples=passes.examples,
        forward_passes=passes.forward,
        backward_passes=passes.backward,
        peak_memory_mib=cost.peak_memory_mib,
    )
