"""The base classes of all search methods.

A method says only what makes it different. The harness owns data, loop, random streams, clock, checkpoints and
evaluation, and gives a method neither the test set nor a table. There are two kinds of method.

A :class:`WeightSharingMethod` trains one supernet, in which all cells share the network weights w, and architecture
parameters α. Its defaults are first-order DARTS, so that a method overrides what it does otherwise::

    start         supernet_options(), initial_alphas(space, rng), alpha_optimizer(alphas, default),
                  initial_memory(space, rng)
    every epoch   begin_epoch(state)
      every step    alpha_step(state, train, valid)   calls mixture(state); skipped where bilevel is False
                    weight_step(state, train)         calls weight_mixture(state)
                  derive(state)                       the cell of this epoch
    end           the cell of the last epoch is the result

A :class:`QueryMethod` trains no supernet. It asks for the validation accuracy of one cell after another; the harness
trains the cell or looks it up::

    start         initial_memory(space, rng)
    every cell    ask(state)                          the cell, or a Query
                  tell(state)                         its accuracy is the last one of state.history
    every epoch   derive(history)                     the best cell so far; of the last epoch, the result

Methods are frozen pydantic models: their fields are the hyper-parameters, named by the paper's symbols, with range and
default. A method object never changes. What changes during a search is in the state that every hook receives,
:class:`SearchState` or :class:`QueryState`; a method keeps modules, optimizers and values of its own in
``state.memory``. The harness saves the state in every checkpoint and restores it bit for bit.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from harness.methods.search_state import (
    Batch,
    Curvature,
    Evaluation,
    Forward,
    Passes,
    Query,
    QueryState,
    SearchState,
    Validate,
)
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
    "QueryState",
    "SearchState",
    "Validate",
    "WeightSharingMethod",
    "gumbel",
    "linear",
]
"""Everything that a method imports from the harness, beside :mod:`harness.spaces.base` and the errors."""


class Method(BaseModel, abc.ABC):
    """A search method: a name, a source, and validated hyper-parameters (its fields).

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

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        """The method's own state, which becomes ``state.memory``. Default: empty.

        Values are modules, optimizers and other objects with ``state_dict`` and ``load_state_dict``; tensors and
        parameters; or numbers, strings, lists and dictionaries of them. The first two kinds are restored in place, so
        that an optimizer goes on with the parameters it was made for. Hooks may add further values later.

        Called once, on the CPU, where small modules are fastest. Draw initial parameters from ``rng``:
        ``torch.nn.utils.skip_init`` makes a module without drawing from PyTorch's global random state.
        """
        return {}


class WeightSharingMethod(Method):
    """A method that trains α and a shared supernet by gradient descent. Its defaults are first-order DARTS.

    ``bilevel`` says whether α learns from validation batches in steps of its own. A single-level method sets it to
    False and updates α in :meth:`weight_step`. A method without α returns no parameters in :meth:`initial_alphas` and
    overrides :meth:`mixture` and :meth:`derive`.

    Every method whose mixture is differentiable in α can also be made to prefer cheap cells, by the three weights
    below: its α then descends the cross-entropy plus weight · expected cost (see :meth:`SearchState.forward`), where
    the most expensive cell costs 1.
    """

    group = "gradient"
    bilevel: ClassVar[bool] = True

    flops_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the expected FLOPs, divided by those of the most expensive cell, in the loss of α",
    )
    parameters_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the expected parameters, divided by those of the most expensive cell, in the loss of α",
    )
    latency_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the expected latency on this device, divided by that of the most expensive cell, in the "
        "loss of α",
    )

    @model_serializer(mode="wrap")
    def _without_unused_penalties(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out weights of 0: a run without penalties then has the identity it had before there were any."""
        settings: dict[str, Any] = handler(self)
        return {key: value for key, value in settings.items() if value or key not in WeightSharingMethod.model_fields}

    def mixture(self, state: SearchState) -> Mixture:
        """The weights of the mixed operations in one forward pass. Default: softmax(α) on every edge (DARTS, eq. 2).

        Called once per forward pass.
        """
        return Mixture(state.alpha.softmax(dim=1))

    def operation_weights(self, state: SearchState) -> Tensor:
        """The weight of each operation, (edges, operations), or its mean where weights are drawn. For reports alone.

        Default: softmax(α).
        """
        return state.alpha.softmax(dim=1)

    def weight_mixture(self, state: SearchState) -> Mixture:
        """The mixture of one weight step, without a gradient to α. Default: :meth:`mixture`."""
        with torch.no_grad():
            return self.mixture(state)

    def supernet_options(self) -> dict[str, Any]:
        """Fields of :class:`harness.spaces.base.NetworkConfig` that this method needs to be different."""
        return {}

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        """The architecture parameters by name, if any. Default: α ~ 0.001 N(0, 1), (edges, operations)."""
        return {"alpha": 1e-3 * torch.randn(len(space.edges), len(space.operations), generator=rng)}

    def alpha_optimizer(self, alphas: list[nn.Parameter], default: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer of α. Default: the protocol's (Adam)."""
        return default

    def begin_epoch(self, state: SearchState) -> None:
        """Change α before the first step of an epoch, perhaps by ``state.validate``. Default: nothing.

        Its time counts as derivation.
        """

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        """Take one step of α down the validation loss, with w fixed; return None if nothing is done at this step.

        A method with a further term in the loss of α adds it before the update. The loss of what is returned is
        recorded as the validation loss.
        """
        forward = state.forward(valid, self.mixture(state))
        state.update_alpha(forward.loss)
        return forward

    def weight_step(self, state: SearchState, train: Batch) -> Forward:
        """Take one step of w down the training loss, with α fixed. What it returns is recorded as the training loss."""
        forward = state.forward(train, self.weight_mixture(state))
        state.update_weights(forward.loss)
        return forward

    def derive(self, state: SearchState) -> Architecture:
        """The cell that the search would end with now. Default: the space's rule on α.

        Called after every epoch, so that reports can follow the cell; that of the last epoch is the result. It changes
        nothing: called twice it gives the same cell, and a search goes on as if it had not been called. A method that
        selects by ``state.validate`` does so in the last epoch alone (``state.in_last_epoch``), since each call costs a
        pass over half of the images. Before, it gives a cell by a rule that costs nothing, which its docstring names.
        """
        return state.space.discretize(state.alpha.detach())


class QueryMethod(Method):
    """A method that asks for the validation accuracy of one cell after another and trains no supernet.

    ``multi_fidelity`` says whether :meth:`ask` also asks for trainings of fewer epochs than the full one.
    """

    group = "query"
    multi_fidelity: ClassVar[bool] = False

    epochs_per_cell: int = Field(10, ge=1, description="training epochs of each proposed cell before it is validated")

    @abc.abstractmethod
    def ask(self, state: QueryState) -> Architecture | Query:
        """The next cell to evaluate; a multi-fidelity method returns a :class:`Query`, which also says for how long."""

    def tell(self, state: QueryState) -> None:
        """Learn from the newest evaluation, the last one of ``state.history``. Default: nothing."""

    def lower_fidelities(self) -> Sequence[int]:
        """Numbers of epochs below ``epochs_per_cell``, ascending, that cells may be trained for. Default: none.

        A search by table look-up offers those of the table instead.
        """
        return ()

    def derive(self, history: Sequence[Evaluation]) -> Architecture:
        """The result of the search so far. Default: the first of the cells with the highest validation accuracy.

        The history then holds the evaluations by the longest training that any cell has had, and no others.
        """
        return max(history, key=lambda evaluation: evaluation.valid_accuracy).architecture


def linear(start: float, end: float, epoch: int, epochs: int) -> float:
    """A linear schedule that is exactly ``start`` in the first epoch and exactly ``end`` in the last.

    A run of one epoch stays at ``start``. Rounding takes no value outside the range.
    """
    t = epoch / (epochs - 1) if epochs > 1 else 0.0
    return min(max((1 - t) * start + t * end, min(start, end)), max(start, end))


def gumbel(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """Standard Gumbel noise -log(-log u), finite for every u: u is kept one rounding step inside (0, 1)."""
    tiny = torch.finfo(torch.float32).tiny
    u = torch.rand(shape, generator=rng).clamp(min=tiny, max=1 - 2**-24)
    return -(-u.log()).log()
