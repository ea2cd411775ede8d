"""Methods with their hyper-parameters, and the check that they can run under a protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError

from harness.config.protocol import Protocol
from harness.config.settings import Overrides, fields_of, pairs_of
from harness.data.batches import check_data
from harness.data.training_set import TrainingSet
from harness.errors import HarnessError, explain, failure, unknown
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.registry import check_complete, expand, get_method, match, methods
from harness.runs.custom_method import source_of
from harness.search.epoch import check_returned, make_supernet
from harness.spaces.base import SearchSpace, SpaceError

MethodLike = str | type[Method] | Method
"""A method as a user names it: by its name or a group of names, or as a class or an object."""


def split_overrides(
    overrides: Overrides, names: Iterable[str] = ()
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Overrides as hyper-parameters by method, and the rest, which are settings of the protocol.

    ``names`` are methods beside the registered ones. Raises :class:`HarnessError` for an override of neither kind, with
    the names of both kinds.
    """
    known, fields = {*methods(), *names}, fields_of(Protocol)
    sections = {field.partition(".")[0] for field in fields if "." in field}
    hyperparameters: dict[str, dict[str, Any]] = {}
    settings = {}
    for key, value in pairs_of(overrides):
        first, dot, rest = key.partition(".")
        if dot and (name := match(first, known)):
            hyperparameters.setdefault(name, {})[rest] = value
        elif dot and first not in sections:
            raise HarnessError(f"--set {key}={value}: {unknown('method or section', first, {*known, *sections})}")
        elif not dot and key not in fields:
            hint = "a hyper-parameter begins with its method, such as gdas.tau_max"
            raise HarnessError(f"{unknown('setting', key, fields)}; {hint}")
        else:
            settings[key] = value
    return hyperparameters, settings


def configure(chosen: Sequence[MethodLike], hyperparameters: Mapping[str, Mapping[str, Any]]) -> list[Method]:
    """The methods with their hyper-parameters, each once.

    Raises:
        HarnessError: an unknown method, a class that is no complete method, or a hyper-parameter that is unknown, out
            of range or of a method that is not run; the valid ones are listed.
    """
    expanded = [each for method in chosen for each in _expanded(method)]
    names = [method if isinstance(method, str) else name_of(method) for method in expanded]
    for name in hyperparameters:
        if name not in names:
            raise HarnessError(f"--set {name}.… changes {name}, which is not run; add --method {name}")
    configured: dict[str, Method] = {}
    for name, each in zip(names, expanded, strict=True):
        method = _configured(each, hyperparameters.get(name, {}))
        other = configured.setdefault(method.label(), method)
        if type(other) is not type(method):
            raise HarnessError(f"two methods are called {method.label()!r}; give one of the classes another name")
    return list(configured.values())


def is_custom(method: Method) -> bool:
    """True if a method was handed in as a class or an object that no name stands for."""
    return method.name not in methods()


def name_of(method: type[Method] | Method) -> str:
    """The name of a method that is handed in.

    Raises:
        HarnessError: it is no complete method, or has the name of another one.
    """
    cls = method if isinstance(method, type) else type(method)
    if not issubclass(cls, WeightSharingMethod | QueryMethod):
        raise HarnessError(
            f"{method!r} is no method: give a name, or a class that derives from WeightSharingMethod or QueryMethod"
        )
    name: str = getattr(cls, "name", cls.__name__)
    check_complete(cls, name, ("paper", "summary"))
    if name in methods() and get_method(name) is not cls:
        raise HarnessError(
            f"{cls.__name__} calls itself {name!r}, which is another method already; give it another name"
        )
    if name not in methods():
        source_of(cls)  # refuses now what could not be recorded later
    return name


def _expanded(method: MethodLike) -> list[MethodLike]:
    """The methods of a name or a group of names; a class or an object as it is."""
    return list(expand([method])) if isinstance(method, str) else [method]


def _configured(method: MethodLike, changes: Mapping[str, Any]) -> Method:
    """One method with its changes over those that an object has already."""
    cls = get_method(method) if isinstance(method, str) else method if isinstance(method, type) else type(method)
    for key in changes:
        if key not in cls.model_fields:
            raise HarnessError(unknown(f"hyper-parameter of {cls.name}", key, cls.model_fields))
    present = method.model_dump() if isinstance(method, Method) else {}
    try:
        return cls(**{**present, **changes})
    except ValidationError as error:
        raise HarnessError(f"{cls.name}: {explain(error)}; see: harness info {cls.name}") from None


def check_possible(method: Method, space: SearchSpace, protocol: Protocol, training: TrainingSet) -> None:
    """Check that the data and the space give a method what it and the protocol need.

    Raises:
        HarnessError: they do not, or a hook of the method fails that says what it needs.
    """
    check_data(training, protocol)
    if isinstance(method, WeightSharingMethod):
        try:
            with torch.device("meta"):
                make_supernet(method, space, protocol, training.classes)
            alphas = check_returned(method.initial_alphas(space, torch.Generator()), "initial_alphas")
            check_returned(method.initial_memory(space, torch.Generator()), "initial_memory")
        except SpaceError as error:
            raise HarnessError(f"{method.label()} under protocol {protocol.name}: {error}") from None
        except Exception as error:  # of the plug-in
            raise HarnessError(f"{method.label()} cannot begin: {failure(error)}") from error
        if (method.flops_weight or method.parameters_weight or method.latency_weight) and "alpha" not in alphas:
            raise HarnessError(
                f"{method.label()}: {method.name} has no α that could learn what a cell costs; leave out "
                "flops_weight, parameters_weight and latency_weight"
            )
