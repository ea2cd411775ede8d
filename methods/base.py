"""What a search method is: the base classes of all plug-ins, and the search state that the harness hands to them.

A method says only what makes it different. The harness owns data, loop, random streams, clock, checkpoints and
evaluation, and hands a method neither the test set nor a table. The defaults below are first-order DARTS, so that a
gradient method of its kind overrides one method: :meth:`WeightSharingMethod.mixture`.

Methods are frozen pydantic models: their fields are the hyper-parameters, by the paper's symbols, with their range and
default. They hold no state, which is why they need no checkpoint: whatever changes during a run lives in
:class:`SearchState` or follows from ``state.epoch``.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from harness.methods.search_state import Batch, Curvature, Forward, Passes, SearchState, Validate
from harness.spaces.base import Architecture, Mixture, SearchSpace

__all__ = [
    "Batch",
    "Curvature",
    "Evaluation",
    "Forward",
    "Method",
    "Passes",
    "Query",
    "QueryMethod",
    "SearchState",
    "Validate",
    "WeightSharingMethod",
    "gumbel",
    "linear",
]
"""Everything that a method imports from the harness, beside :mod:`harness.spaces.base` and the errors."""


class Method(BaseModel, abc.ABC):
    """What every method has: a name, a source, and validated hyper-parameters (its fields).

    Class attributes:
        name: the name users type.
        paper: the publication, with arXiv number.
        summary: one line for ``harness list methods``.
        group: ``gradient`` (α is learnt by gradient and the cell derived from it), ``weight-sharing`` (the trained
            supernet chooses the cell) or ``query``: ``--method GROUP`` runs every method of one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    name: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    group: ClassVar[str]

    def label(self) -> str:
        """The name printed in reports: the method's, with every hyper-parameter that differs from its default."""
        changed = [
            f"{key}={getattr(self, key)}"
            for key, info in type(self).model_fields.items()
            if getattr(self, key) != info.get_default(call_default_factory=True)
        ]
        return self.name + (f"[{','.join(changed)}]" if changed else "")


class WeightSharingMethod(Method):
    """A method that trains α and a shared supernet by gradient descent.

    Override what differs. ``bilevel`` says whether α learns from validation batches in steps of its own; a
    single-level method sets it to False and updates α in :meth:`weight_step`.

    Every method whose mixture is differentiable in α can also be made to prefer cheap cells, by the weights below: its
    α then descends the cross-entropy plus weight · expected cost (see :meth:`SearchState.forward`), where 1 is the cost
    of the dearest cell.
    """

    group = "gradient"
    bilevel: ClassVar[bool] = True

    flops_weight: float = Field(0.0, ge=0, description="what the loss of α pays for the FLOPs of the dearest cell")
    parameters_weight: float = Field(0.0, ge=0, description="what it pays for the parameters of the dearest cell")
    latency_weight: float = Field(
        0.0, ge=0, description="what it pays for the latency of the dearest cell, on this device"
    )

    @model_serializer(mode="wrap")
    def _without_unused_penalties(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A weight of 0 is left out, so that a search that pays for no cost is the same run that it was before."""
        settings: dict[str, Any] = handler(self)
        return {key: value for key, value in settings.items() if value or key not in WeightSharingMethod.model_fields}

    @abc.abstractmethod
    def mixture(self, state: SearchState) -> Mixture:
        """How α becomes the weights of the mixed operations in one forward pass. Called once per forward pass."""

    def operation_weights(self, state: SearchState) -> Tensor:
        """What α makes of the operations, (edges, operations): their weights, or the mean where these are drawn.

        Read by reports alone. Default: softmax(α).
        """
        return state.alpha.softmax(dim=1)

    def weight_mixture(self, state: SearchState) -> Mixture:
        """The mixture of one weight step, without a gradient to α. Default: :meth:`mixture`."""
        with torch.no_grad():
            return self.mixture(state)

    def supernet_options(self) -> dict[str, Any]:
        """Fields of :class:`harness.spaces.base.NetworkConfig` that this method needs to be different."""
        return {}

    def initial_alphas(self, space: SearchSpace, generator: torch.Generator) -> dict[str, Tensor]:
        """Architecture parameters by name, if any. Default: α ~ 0.001 N(0, 1), (edges, operations)."""
        return {"alpha": 1e-3 * torch.randn(len(space.edges), len(space.operations), generator=generator)}

    def alpha_optimizer(self, alphas: list[nn.Parameter], default: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser of α. Default: the protocol's (Adam)."""
        return default

    def begin_epoch(self, state: SearchState) -> None:
        """Change α, by ``search.validate`` perhaps, before the first step of an epoch. Default: nothing.

        Its time is charged as derivation.
        """

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        """Minimise the validation loss over α with w fixed; None if this method does nothing at this step.

        A term of the loss of α is added before the update; what is returned is recorded as the validation loss.
        """
        forward = state.forward(valid, self.mixture(state))
        state.update_alpha(forward.loss)
        return forward

    def weight_step(self, state: SearchState, train: Batch) -> Forward:
        """Minimise the training loss over w with α fixed. What it returns is recorded as the training loss."""
        forward = state.forward(train, self.weight_mixture(state))
        state.update_weights(forward.loss)
        return forward

    def derive(self, state: SearchState) -> Architecture:
        """The cell that the search stands for now. Default: the space's rule on α.

        Called after every epoch, so that the trajectory of cells can be reported; the cell of the last epoch is the
        result. It changes nothing: called twice it gives the same cell, and a search goes on as if it had not been
        called. A method that selects by ``search.validate`` does so in the last epoch alone
        (``search.in_last_epoch``), since each call costs a pass over half of the images, and gives by a rule without
        cost what it would select before; its docstring names that rule.
        """
        return state.space.discretize(state.alpha.detach())


class Query(NamedTuple):
    """An architecture to evaluate, and by how many epochs of training; None: in full, by the longest there is."""

    architecture: Architecture
    epochs: int | None = None


class Evaluation(NamedTuple):
    """One architecture that a query-based method asked for, and the validation accuracy (%) it was told."""

    architecture: Architecture
    valid_accuracy: float


class QueryMethod(Method):
    """A method that asks for architectures to be evaluated and is told their validation accuracy; no supernet.

    The history is the whole state: a method that needs more recomputes it from the history. ``multi_fidelity`` says
    whether it also asks for trainings shorter than the full one, in :meth:`query`.
    """

    group = "query"
    multi_fidelity: ClassVar[bool] = False

    epochs_per_cell: int = Field(10, ge=1, description="epochs each proposed cell is trained before it is validated")

    @abc.abstractmethod
    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        """The next architecture to evaluate, given all evaluations so far in order."""

    def query(
        self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator, shorter: Sequence[int]
    ) -> Query:
        """The next evaluation; ``shorter`` are the epochs, ascending, of the trainings there are besides the full one.

        Which training was behind which evaluation follows, like all else, from the history: it is what was asked for.
        Default: what :meth:`ask` asks for, in full.
        """
        return Query(self.ask(space, history, rng))

    def shorter_trainings(self) -> Sequence[int]:
        """Epochs, ascending and below ``epochs_per_cell``, offered to :meth:`query` where cells are trained."""
        return ()

    def derive(self, history: Sequence[Evaluation]) -> Architecture:
        """The result of the search so far. Default: the first of the cells with the highest validation accuracy.

        The history is then of the evaluations by the longest training that any cell has had, and of no others.
        """
        return max(history, key=lambda evaluation: evaluation.valid_accuracy).architecture


def linear(start: float, end: float, epoch: int, epochs: int) -> float:
    """A linear schedule that is exactly ``start`` in the first epoch and exactly ``end`` in the last.

    A run of one epoch stays at ``start``. Rounding takes no value outside the range.
    """
    t = epoch / (epochs - 1) if epochs > 1 else 0.0
    return min(max((1 - t) * start + t * end, min(start, end)), max(start, end))


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise -log(-log u), finite for every u: u is kept one rounding step inside (0, 1)."""
    tiny = torch.finfo(torch.float32).tiny
    u = torch.rand(shape, generator=generator).clamp(min=tiny, max=1 - 2**-24)
    return -(-u.log()).log()
