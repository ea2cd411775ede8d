"""Observing a search from outside: its steps and their changes, its passes, and the global random states."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from harness.methods.base import Passes, QueryState, SearchState, WeightSharingMethod
from harness.search.memory import memory_state
from harness.search.weight_sharing import WeightSharingSearch


@contextmanager
def passes_made(supernet: nn.Module) -> Iterator[Passes]:
    """The passes through a supernet that are made in the block, however they are made.

    A backward pass is one call of automatic differentiation that reaches the logits of a forward pass.
    """
    made = Passes()
    reached = False

    def backward(_: Tensor) -> None:
        nonlocal reached
        reached = True

    def forward(module: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        made.forward += 1
        made.examples += len(logits)
        if logits.requires_grad:
            logits.register_hook(backward)

    def counted(differentiate: Any) -> Any:
        def differentiating(*arguments: Any, **options: Any) -> Any:
            nonlocal reached
            reached = False
            gradients = differentiate(*arguments, **options)
            made.backward += reached
            return gradients

        return differentiating

    hook = supernet.register_forward_hook(forward)
    grad, backward_of = torch.autograd.grad, torch.autograd.backward
    with (
        mock.patch.object(torch.autograd, "grad", counted(grad)),
        mock.patch.object(torch.autograd, "backward", counted(backward_of)),  # what Tensor.backward calls
    ):
        try:
            yield made
        finally:
            hook.remove()


@contextmanager
def global_random_states(seed: int) -> Iterator[list[str]]:
    """Seed the global random states in the block and restore them after it; the names of those the block changed."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    seeded = _states()
    changed: list[str] = []
    try:
        yield changed
        changed += [name for name, state in _states().items() if state != seeded[name]]
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _states() -> dict[str, bytes]:
    states = {
        "random": random.getstate(),
        "numpy.random": np.random.get_state(),
        "torch": torch.get_rng_state().numpy(),
    }
    return {name: pickle.dumps(state) for name, state in states.items()}


def copies(state: SearchState | QueryState) -> dict[str, Any]:
    """Copies of everything in a state that a method may change, by name."""
    own = {"state.memory": memory_state(state.memory), "the method's random stream": state.rng.get_state()}
    if isinstance(state, QueryState):
        return {"the history": list(state.history), **own}
    return {
        "w": [parameter.detach().clone() for parameter in state.supernet.parameters()],
        "the buffers of the supernet": [buffer.clone() for buffer in state.supernet.buffers()],
        "α": [value.detach().clone() for value in state.alphas.values()],
        **own,
    }


def changed(before: dict[str, Any], state: SearchState | QueryState) -> list[str]:
    """The names of :func:`copies` that are no longer the same, bit for bit."""
    now = copies(state)
    return [name for name, value in before.items() if not same(value, now[name])]


def same(one: Any, other: Any) -> bool:
    """True where two values, or all tensors and values in two containers, are equal bit for bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def steps(
    method: WeightSharingMethod, search: WeightSharingSearch
) -> Iterator[tuple[Literal["alpha", "weight"], Callable[[], object]]]:
    """An α step, where the method is bilevel, and a weight step on the first batches, once its epoch has begun."""
    method.begin_epoch(search.state)
    train, valid = next(search.data.train.in_order()), next(search.data.valid.in_order())
    if method.bilevel:
        yield "alpha", lambda: method.alpha_step(search.state, train, valid)
    yield "weight", lambda: method.weight_step(search.state, train)


def optimized(optimizer: torch.optim.Optimizer) -> set[int]:
    """The identities of the parameters that an optimizer holds."""
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
