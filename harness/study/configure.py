"""Methods with their hyper-parameters, and the check that they can run under a protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pydantic import ValidationError

from harness.config.protocol import Protocol
from harness.config.settings import fields_of, split_override
from harness.data.batches import check_data
from harness.data.training_set import TrainingSet
from harness.errors import HarnessError, explain, failure, unknown
from harness.methods.base import Method, WeightSharingMethod
from harness.registry import get_method, methods
from harness.search.epoch import network_config, returned
from harness.spaces.base import SearchSpace, SpaceError


def split_overrides(overrides: Iterable[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """``--set`` options as hyper-parameters by method, and the rest, which are settings of the protocol.

    Raises :class:`HarnessError` for what can be neither, with both kinds of names.
    """
    known, fields = methods(), fields_of(Protocol)
    sections = {field.partition(".")[0] for field in fields if "." in field}
    hyperparameters: dict[str, dict[str, Any]] = {}
    settings = []
    for override in overrides:
        key, value = split_override(override)
        first, dot, rest = key.partition(".")
        if dot and first in known:
            hyperparameters.setdefault(first, {})[rest] = value
        elif dot and first not in sections:
            raise HarnessError(f"--set {override}: {unknown('method or section', first, {*known, *sections})}")
        elif not dot and key not in fields:
            hint = "a hyper-parameter begins with its method, such as gdas.tau_max"
            raise HarnessError(f"{unknown('setting', key, fields)}; {hint}")
        else:
            settings.append(override)
    return hyperparameters, settings


def configure(names: Sequence[str], hyperparameters: dict[str, dict[str, Any]]) -> list[Method]:
    """The methods with their hyper-parameters.

    Raises :class:`HarnessError` for unknown methods, and for hyper-parameters that are unknown, out of range or of a
    method that is not run; the valid ones are listed.
    """
    for name in hyperparameters:
        if name not in names:
            raise HarnessError(f"--set {name}.… changes {name}, which is not run; add --method {name}")
    found = []
    for name in names:
        method = get_method(name)
        changes = hyperparameters.get(name, {})
        for key in changes:
            if key not in method.model_fields:
                raise HarnessError(unknown(f"hyper-parameter of {name}", key, method.model_fields))
        try:
            found.append(method(**changes))
        except ValidationError as error:
            raise HarnessError(f"{name}: {explain(error)}; see: harness info {name}") from None
    return found


def check_possible(method: Method, space: SearchSpace, protocol: Protocol, training: TrainingSet) -> None:
    """Raise :class:`HarnessError` where the data or the space cannot give what a method and the protocol need.

    Also where a hook of the method fails that says what it needs.
    """
    check_data(training, protocol)
    if isinstance(method, WeightSharingMethod):
        try:
            with torch.device("meta"):
                options = returned(method.supernet_options(), "supernet_options")
                space.supernet(network_config(protocol, training.classes, **options))
            alphas = returned(method.initial_alphas(space, torch.Generator()), "initial_alphas")
        except SpaceError as error:
            raise HarnessError(f"{method.label()} under protocol {protocol.name}: {error}") from None
        except Exception as error:  # of the plug-in
            raise HarnessError(f"{method.label()} cannot begin: {failure(error)}") from error
        if (method.flops_weight or method.parameters_weight or method.latency_weight) and "alpha" not in alphas:
            raise HarnessError(
                f"{method.label()}: {method.name} has no α that could learn what a cell costs; leave out "
                "flops_weight, parameters_weight and latency_weight"
            )
