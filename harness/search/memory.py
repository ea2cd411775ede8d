"""A method's own state in a checkpoint; see :meth:`harness.methods.base.Method.initial_memory`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor


def memory_state(memory: dict[str, Any]) -> dict[str, Any]:
    """A copy of ``memory`` for a checkpoint: the state of modules and optimizers, and all other values as they are."""
    return {name: copy.deepcopy(_state(value)) for name, value in memory.items()}


def _state(value: Any) -> Any:
    if hasattr(value, "state_dict"):
        return value.state_dict()
    return value.detach() if isinstance(value, Tensor) else value


def load_memory_state(memory: dict[str, Any], saved: dict[str, Any]) -> None:
    """Make ``memory``, as it was at the start of a search, what it was when ``saved`` was taken, bit for bit.

    Modules, optimizers and tensors that are there are changed in place.
    """
    for name in memory.keys() - saved.keys():
        del memory[name]
    for name, value in copy.deepcopy(saved).items():
        present = memory.get(name)
        if present is not None and hasattr(present, "load_state_dict"):
            present.load_state_dict(value)
        elif isinstance(present, Tensor) and isinstance(value, Tensor) and _alike(present, value):
            with torch.no_grad():
                present.copy_(value)
        else:
            memory[name] = value


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)
