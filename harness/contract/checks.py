"""The contract of a method, check by check. The first line of a check's docstring is its name in print."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Literal, get_origin

from pydantic import ValidationError

from harness import registry
from harness.config import method_names
from harness.contract import small_runs
from harness.contract.case import Broken, Checked, finished, require
from harness.contract.instrumentation import changed, copies, global_random_states, optimized, passes_made, steps
from harness.contract.reachability import forbidden, imported_from_the_harness, own_modules
from harness.contract.small_runs import EPOCHS, difference, rehearse
from harness.errors import failure
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.search.query_by_training import TrainingQuerySearch
from harness.spaces.base import Mixture

MISSPELT = 0.85
"""Similarity by :mod:`difflib` from which one name is taken for the other misspelt."""


class MethodContract(Checked):
    """The contract as a test class: derive from it, name the method, and pytest finds the checks.

    Attributes:
        method: the class under test.
        settings: hyper-parameters for the small searches, where the defaults would take too long.
    """

    def test_it_says_what_it_is(self) -> None:
        """it has a name, a paper and a summary, each in one line, and describes every hyper-parameter"""
        method = self.method
        for attribute in ("name", "paper", "summary"):
            value = getattr(method, attribute, None)
            require(
                isinstance(value, str) and value and "\n" not in value, f"{attribute} is no line of text: {value!r}"
            )
        fault = method_names.name_fault(method.name)
        require(fault is None, f"{fault}")
        require(method().label() == method.name, f"with its defaults it is labelled {method().label()!r}")
        for key, field in method.model_fields.items():
            require(field.description, f"{key} has no description, which harness info shows")

    def test_no_hook_is_misspelt(self) -> None:
        """none of its functions has a misspelt hook's name"""
        hooks = {name for base in (Method, WeightSharingMethod, QueryMethod) for name in vars(base)}
        for name in vars(self.method):
            near = [] if name in hooks or name.startswith("_") else get_close_matches(name, hooks, 1, MISSPELT)
            require(not near, f"{name} is never called: did you mean {' or '.join(near)}?")

    def test_it_is_found_by_its_name(self) -> None:
        """the harness finds it by its name"""
        name = self.method.name
        require(
            name in registry.methods(),
            f"no method is called {name!r}: name it in the entry points harness.methods and install the package",
        )
        method = registry.get_method(name)
        require(method is self.method, f"{name!r} is {method.__module__}:{method.__qualname__}")

    def test_hyperparameters_are_validated(self) -> None:
        """its defaults are valid, and unknown, wrong or infinite hyper-parameters are refused"""
        self.method()
        self._refuses("no_such_setting", 1)
        for key, field in self.method.model_fields.items():
            self._refuses(key, object())
            for value in beyond(field.annotation, field.metadata):
                self._refuses(key, value)

    def _refuses(self, key: str, value: Any) -> None:
        try:
            self.method(**{key: value})
        except ValidationError:
            return
        raise Broken(f"{key}={value!r} is not refused")

    def test_its_configuration_survives(self) -> None:
        """its hyper-parameters are fixed, and survive JSON and pickle"""
        method = self.configured()
        written = json.dumps(method.model_dump(mode="json"))
        require(self.method(**json.loads(written)) == method, f"it differs after being read from {written}")
        require(pickle.loads(pickle.dumps(method)) == method, "it differs after being pickled and unpickled")
        for key in self.method.model_fields:
            try:
                setattr(method, key, getattr(method, key))
            except ValidationError:
                continue
            raise Broken(f"{key} can be changed: keep model_config frozen")

    def test_it_searches_every_space(self) -> None:
        """it searches every registered space and derives a valid cell"""
        for name in registry.spaces():
            search = rehearse(self.configured(), name, "search.epochs=2")
            for epoch in range(2):
                row = search.run_epoch(epoch, lambda done: None)
                space = registry.get_space(name)
                cell = space.parse(row["architecture"])
                require(space.validate(cell) == cell, f"it derives {cell} in {name}")

    def test_losses_are_finite(self) -> None:
        """every loss of a small run is a finite number"""
        for row in self.uninterrupted_run()["trace"]:
            for key in ("train_loss", "valid_loss"):
                loss = row[key]
                require(loss is None or math.isfinite(loss), f"{key} of epoch {row['epoch']} is {loss}")

    def test_mixtures_fit_the_space(self) -> None:
        """its mixtures have a weight for each operation of each edge, all finite"""
        method, search = self.weight_sharing_search()
        space = search.state.space
        shape = len(space.edges), len(space.operations)
        for hook in (method.mixture, method.weight_mixture):
            mixture = hook(search.state)
            require(isinstance(mixture, Mixture), f"{hook.__name__} returns {mixture!r}, which is no Mixture")
            actual = tuple(mixture.weights.shape)
            fault = f"{hook.__name__}: weights are of shape {actual}, not (edges, operations) = {shape}"
            require(actual == shape, fault)
            require(mixture.weights.isfinite().all(), f"{hook.__name__}: a weight is not finite")
            if mixture.selected is not None:
                space.validate(mixture.selected)
            for part in ("edge_weights", "edge_bias"):
                value = getattr(mixture, part)
                require(value is None or tuple(value.shape) == shape[:1], f"{part} is not of shape {shape[:1]}")

    def test_alpha_has_its_own_optimizer(self) -> None:
        """α and w have separate optimizers"""
        _, search = self.search_with_alpha()
        state = search.state
        alphas = {id(value) for value in state.alphas.values()}
        require(
            optimized(state.alpha_optimizer) == alphas,
            "α's optimizer does not hold exactly the architecture parameters",
        )
        weights = {id(parameter) for parameter in state.supernet.parameters()}
        require(optimized(state.weight_optimizer) == weights, "w's optimizer does not hold exactly w")

    def test_a_gradient_reaches_every_alpha(self) -> None:
        """a gradient reaches every α: training changes it"""
        method, search = self.search_with_alpha()
        initial = {name: value.detach().clone() for name, value in search.state.alphas.items()}
        learnt: set[str] = set()
        for epoch in range(EPOCHS):
            search.state.epoch = epoch
            for _, step in steps(method, search):
                step()
                learnt |= {name for name, value in search.state.alphas.items() if not value.equal(initial[name])}
        never = ", ".join(sorted(initial.keys() - learnt))
        require(
            not never,
            f"{never} never changed in {EPOCHS} epochs: compute the mixture from it without detach, or leave it out",
        )

    def test_steps_change_what_is_theirs(self) -> None:
        """a weight step changes w, an α step leaves w, and a weight step of a bilevel method leaves α"""
        method, search = self.weight_sharing_search()
        for kind, step in steps(method, search):
            before = copies(search.state)
            step()
            now = changed(before, search.state)
            if kind == "weight":
                require("w" in now, "weight_step does not change w")
                require("α" not in now or not method.bilevel, "weight_step changes α, though the method is bilevel")
            else:
                require("w" not in now, "alpha_step changes w")

    def test_deriving_changes_nothing(self) -> None:
        """derive gives the same valid cell twice and changes nothing"""
        search = rehearse(self.configured())
        if isinstance(search, TrainingQuerySearch):
            for accuracy in (10.0, 20.0):
                search.proposed()
                search.tell(accuracy)
            before = copies(search.state)
            cells = [search.method.derive(search.history) for _ in range(2)]
        else:
            search.run_epoch(0, lambda done: None)
            search.state.epoch = EPOCHS - 1
            before = copies(search.state)
            cells = [search.method.derive(search.state) for _ in range(2)]
        now = changed(before, search.state)
        require(not now, f"derive changes {' and '.join(now)}")
        if isinstance(search, TrainingQuerySearch):
            history = list(search.history)
            search.proposed()
            require(search.history == history, "ask changes the history")
        require(cells[0] == cells[1], f"derive gives {cells[0]} and then {cells[1]}")
        registry.get_space(small_runs.SPACE).validate(cells[0])

    def test_costs_are_counted(self) -> None:
        """every pass through the supernet is counted"""
        for epoch in (0, EPOCHS - 1):
            _, search = self.weight_sharing_search()
            with passes_made(search.state.supernet) as made:
                search.run_epoch(epoch, lambda done: None)
            counted = search.state.passes
            require(
                counted == made,
                f"it counts {vars(counted)} and makes {vars(made)}: use state.forward and state.gradients",
            )

    def test_global_random_states_are_left_alone(self) -> None:
        """it draws random numbers from state.rng alone: global random states are neither changed nor used"""
        outcomes = []
        for seed in (1, 2):
            with global_random_states(seed):  # the harness uses torch's when it makes a network
                search = rehearse(self.configured())
            with global_random_states(seed) as disturbed:
                outcomes.append(small_runs.play(search))
            require(not disturbed, f"it changes the global state of {' and '.join(disturbed)}: draw from state.rng")
        where = difference(*outcomes)
        require(where is None, f"it depends on a global random state: {where}")

    def test_a_search_leaves_the_method_as_it_is(self) -> None:
        """a search changes nothing in the method object"""
        method = self.configured()
        before = method.model_copy(deep=True)
        small_runs.play(rehearse(method))
        require(method == before, "a hook changes the method object: keep what changes in state.memory")

    def test_its_own_state_is_restored(self) -> None:
        """its own state is saved and restored, and the search goes on from it bit for bit"""
        search, restored = rehearse(self.configured()), rehearse(self.configured())
        small_runs.play(search)
        try:
            checkpoint = small_runs.written_and_read(search.state_dict())
        except Exception as error:
            raise Broken(
                f"a checkpoint cannot hold its state ({failure(error)}): return modules and optimizers from "
                "initial_memory, and keep beside them tensors, numbers, text, lists and dictionaries alone"
            ) from error
        restored.load_state_dict(checkpoint)
        now = changed(copies(search.state), restored.state)
        require(not now, f"{' and '.join(now)} differs after being restored")
        where = difference(small_runs.play(search), small_runs.play(restored))
        require(where is None, f"{where}: keep what changes in state.memory or let it follow from state.epoch")

    def test_nothing_that_it_reaches_is_a_test_set_or_a_table(self) -> None:
        """no object that it can reach is a test set or a table"""
        search = rehearse(self.configured())
        search.run_epoch(0, lambda done: None)
        apart = {"__spec__", "__loader__"}  # how a module was imported: by pytest, which holds every test
        modules = own_modules(self.method)
        names = [value for module in modules for name, value in vars(module).items() if name not in apart]
        way = forbidden([search.method, search.state, *names], registry.get_space(small_runs.SPACE).size)
        require(way is None, f"it reaches {way}")

    def test_it_imports_nothing_of_the_harness(self) -> None:
        """its modules import harness.methods and harness.spaces, and nothing else of the harness"""
        faults = imported_from_the_harness(self.method)
        require(not faults, "; ".join(faults))

    def test_an_interrupted_search_goes_on_bit_for_bit(self) -> None:
        """a search that is interrupted and goes on ends like an uninterrupted one, bit for bit"""
        expected = self.uninterrupted_run()
        where = difference(expected, finished(small_runs.interrupted(self.configured())))
        require(where is None, f"{where}: keep what changes in state.memory or let it follow from state.epoch")

    def test_it_is_the_same_in_other_processes(self) -> None:
        """two runs at once, each in a fresh process (--jobs 2), end like one in this process, bit for bit"""
        expected = self.uninterrupted_run()
        for outcome in self.runs_in_other_processes():
            where = difference(expected, finished(outcome))
            require(where is None, f"{where}")


def checks(contract: MethodContract) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks of a contract in order, each with its name in print."""
    for attribute in vars(MethodContract):
        if attribute.startswith("test_"):
            check = getattr(contract, attribute)
            yield (check.__doc__ or attribute).partition("\n")[0], check


def contract_of(method: type[Method], **settings: Any) -> MethodContract:
    """The contract of a method with its default hyper-parameters, except for ``settings``."""

    class Contract(MethodContract):
        pass

    Contract.method, Contract.settings = method, settings
    return Contract()


def beyond(annotation: Any, limits: Iterable[Any]) -> list[Any]:
    """Values just outside the type and limits of a hyper-parameter."""
    values: list[Any] = [math.nan, math.inf] if annotation in {int, float} else []
    if get_origin(annotation) is Literal:
        values.append("no such choice")
    for limit in limits:
        values += [getattr(limit, bound) for bound in ("gt", "lt") if hasattr(limit, bound)]
        values += [getattr(limit, bound) + step for bound, step in (("ge", -1), ("le", 1)) if hasattr(limit, bound)]
    return values
