"""The contract: each check finds what it is there for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import ConfigDict, Field, PrivateAttr

from harness import registry
from harness.benchmarks.table import TabularBenchmark
from harness.contract import Broken, MethodContract, NotApplicable
from harness.contract.checks import checks, contract_of
from harness.contract.reachability import forbidden, imported_from_the_harness
from harness.methods.base import Batch, Forward, Method, QueryMethod, QueryState, SearchState
from harness.methods.darts import DARTS
from harness.retraining import test_set
from harness.spaces.base import Architecture, Mixture, SearchSpace


class Kept(DARTS):
    """Keeps to it."""

    name = "kept"


class Talkative(Kept):
    summary = "two\nlines"


class Grabbing(Kept):
    name = "search"


class Undescribed(Kept):
    size: int = 3


class Misspelt(Kept):
    def alpha_steps(self, state: SearchState, train: Batch, valid: Batch) -> None:
        raise AssertionError("this is never called")


class Lax(Kept):
    model_config = ConfigDict(extra="allow")


class Loose(Kept):
    size: Any = Field(3, description="anything")


class Thawed(Kept):
    model_config = ConfigDict(frozen=False)


class Lost(Kept):
    def derive(self, state: SearchState) -> Architecture:
        return (9,) * 6


class Infinite(Kept):
    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(state.alpha * torch.nan)


class Short(Kept):
    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(state.alpha.softmax(dim=1)[:, :4])


class Mute(Kept):
    def mixture(self, state: SearchState) -> Mixture:
        return None  # type: ignore[return-value]


class Detached(Kept):
    def mixture(self, state: SearchState) -> Mixture:
        return Mixture(state.alpha.detach().softmax(dim=1) + 0 * state.alpha)


class Greedy(Kept):
    def alpha_optimizer(self, alphas: list[Any], default: torch.optim.Optimizer) -> torch.optim.Optimizer:
        return torch.optim.SGD([*alphas, torch.nn.Parameter(torch.zeros(3))], lr=0.1)


class Jumbled(Kept):
    def weight_step(self, state: SearchState, train: Batch) -> Forward:
        forward = state.forward(train, self.mixture(state))
        state.update_jointly(forward.loss)
        return forward


class Restless(Kept):
    def derive(self, state: SearchState) -> Architecture:
        return state.space.sample(state.rng)


class Uncounted(Kept):
    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        state.supernet(train.images, self.mixture(state))
        return super().alpha_step(state, train, valid)


class Careless(Kept):
    def mixture(self, state: SearchState) -> Mixture:
        return Mixture((state.alpha + torch.rand(())).softmax(dim=1))


class Secretive(Kept):
    """Leaves the global state as it was, and uses it."""

    def mixture(self, state: SearchState) -> Mixture:
        before = torch.get_rng_state()
        drawn = torch.rand(state.alpha.shape)
        torch.set_rng_state(before)
        return Mixture((state.alpha + drawn).softmax(dim=1))


class Peeking(Kept):
    known: ClassVar[Any] = None

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture((state.alpha + len(SEEN)).softmax(dim=1))


class Forgetful(Kept):
    """Holds its state where no checkpoint finds it."""

    calls: ClassVar[dict[int, int]] = {}

    def mixture(self, state: SearchState) -> Mixture:
        calls = self.calls[id(state)] = self.calls.get(id(state), 0) + 1
        return Mixture((state.alpha * calls).softmax(dim=1))


class Scribbling(QueryMethod):
    """Changes the history."""

    name = "scribbling"
    paper = "none"
    summary = "for tests"

    def ask(self, state: QueryState) -> Architecture:
        state.history[:1] = state.history[1:2]
        return state.space.sample(state.rng)


class Counting(Kept):
    """Counts in the method object."""

    _calls: int = PrivateAttr(0)

    def mixture(self, state: SearchState) -> Mixture:
        self._calls += 1
        return super().mixture(state)


class Hoarding(Kept):
    """Puts a module into its memory where no checkpoint can hold it."""

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        return {"modules": [torch.nn.utils.skip_init(torch.nn.Linear, 2, 2)]}


class Losing(QueryMethod):
    """Keeps an object whose state is not given back."""

    name = "losing"
    paper = "none"
    summary = "for tests"

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        return {"step": Step()}

    def ask(self, state: QueryState) -> Architecture:
        return state.space.discretize(state.memory["step"].value + torch.rand(6, 5, generator=state.rng))

    def tell(self, state: QueryState) -> None:
        state.memory["step"].value += torch.rand(6, 5, generator=state.rng)


class Step:
    """An object that claims to have no state."""

    value: Any = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Learning(Kept):
    """Keeps a module, its optimizer, a parameter and numbers in its memory, and uses all of them."""

    name = "learning"

    def initial_memory(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Any]:
        module = torch.nn.utils.skip_init(torch.nn.Linear, 3, 1, bias=False)
        torch.nn.init.uniform_(module.weight, generator=rng)
        factor = torch.nn.Parameter(torch.ones(()))
        adam = torch.optim.Adam([*module.parameters(), factor], lr=0.1)
        return {"module": module, "factor": factor, "optimizer": adam, "calls": 0, "seen": []}

    def alpha_step(self, state: SearchState, train: Batch, valid: Batch) -> Forward | None:
        memory = state.memory
        scale = memory["factor"] * memory["module"](torch.ones(3)).sum()
        forward = state.forward(valid, Mixture((state.alpha * scale.detach()).softmax(dim=1)))
        memory["optimizer"].zero_grad()
        (scale - float(forward.loss.detach())).square().backward()
        memory["optimizer"].step()
        memory["calls"] += 1
        memory["seen"].append(forward.loss.detach())
        state.update_alpha(forward.loss)
        return forward


SEEN: list[Any] = []
"""What :class:`Peeking` has in its module."""


CHECKED: dict[str, type[Method]] = {}
"""The method that a test checks, by its name."""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the harness find the method that is checked by its name."""
    get = registry.get_method

    def get_method(name: str) -> type[Method]:
        return CHECKED.get(name) or get(name)

    monkeypatch.setattr(registry, "get_method", get_method)


def contract(method: type[Method]) -> MethodContract:
    CHECKED[method.name] = method
    return contract_of(method)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("method", "check", "fault"),
    [
        (Talkative, "it_says_what_it_is", "summary is no line of text"),
        (Grabbing, "it_says_what_it_is", "'search' is a section of the settings"),
        (Undescribed, "it_says_what_it_is", "size has no description"),
        (Misspelt, "no_hook_is_misspelt", "alpha_steps is never called: did you mean alpha_step?"),
        (Kept, "it_is_found_by_its_name", "no method is called 'kept': name it in the entry points"),
        (Lax, "hyperparameters_are_validated", "no_such_setting=1 is not refused"),
        (Loose, "hyperparameters_are_validated", "size=<object .*> is not refused"),
        (Thawed, "its_configuration_survives", "_weight can be changed: keep model_config frozen"),
        (Infinite, "losses_are_finite", "a small run diverged: the training loss became nan"),
        (Infinite, "mixtures_fit_the_space", "a weight is not finite"),
        (Short, "mixtures_fit_the_space", r"of shape \(6, 4\), not \(edges, operations\) = \(6, 5\)"),
        (Mute, "mixtures_fit_the_space", "mixture returns None, which is no Mixture"),
        (Mute, "losses_are_finite", "a small run failed: TypeError: .* must return a Mixture"),
        (Detached, "a_gradient_reaches_every_alpha", "alpha never changed .* without detach"),
        (Greedy, "alpha_has_its_own_optimizer", "α's optimizer does not hold exactly the architecture parameters"),
        (Jumbled, "steps_change_what_is_theirs", "weight_step changes α, though the method is bilevel"),
        (Restless, "deriving_changes_nothing", "derive changes the method's random stream"),
        (Scribbling, "deriving_changes_nothing", "ask changes the history"),
        (Uncounted, "costs_are_counted", "it counts .* and makes .*: use state.forward and state.gradients"),
        (Careless, "global_random_states_are_left_alone", "it changes the global state of torch"),
        (
            Secretive,
            "global_random_states_are_left_alone",
            r"it depends on a global random state: \w+ of epoch 1 is",
        ),
        (Counting, "a_search_leaves_the_method_as_it_is", "a hook changes the method object: keep what changes in"),
        (Hoarding, "its_own_state_is_restored", "a checkpoint cannot hold its state .*: return modules and optimizers"),
        (Losing, "its_own_state_is_restored", "alphas differs: keep what changes in state.memory"),
        (Forgetful, "an_interrupted_search_goes_on_bit_for_bit", r"\w+ of epoch 3 is .* in one and"),
    ],
)
def test_a_broken_method_is_told_in_what(method: type[Method], check: str, fault: str) -> None:
    with pytest.raises(Broken, match=fault):
        getattr(contract(method), f"test_{check}")()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("check", ["its_own_state_is_restored", "an_interrupted_search_goes_on_bit_for_bit"])
def test_modules_optimizers_and_values_of_a_method_are_restored(check: str) -> None:
    getattr(contract(Learning), f"test_{check}")()


@pytest.mark.usefixtures("registered")
def test_a_derived_cell_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="9"):
        contract(Lost).test_it_searches_every_space()


@pytest.mark.usefixtures("registered")
def test_other_processes_that_find_another_outcome_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = contract(Kept)
    one = kept.uninterrupted_run()
    monkeypatch.setattr(kept, "runs_in_other_processes", lambda: [one, one | {"architecture": "another"}])
    with pytest.raises(Broken, match=r"architecture is .* in one and another in the other"):
        kept.test_it_is_the_same_in_other_processes()
    monkeypatch.setattr(kept, "runs_in_other_processes", lambda: [one | {"status": "failed", "reason": "no memory"}])
    with pytest.raises(Broken, match="a small run failed: no memory"):
        kept.test_it_is_the_same_in_other_processes()


def table() -> TabularBenchmark:
    accuracy = np.zeros(15625)
    return TabularBenchmark("made up", "nas-bench-201", {("cifar10", "test_accuracy"): accuracy}, {})


HELD = [
    table,
    lambda: test_set.TestSet("digits", torch.zeros(2, 3, 4, 4), torch.zeros(2), 10, "", ""),
    lambda: np.zeros(15625),
    lambda: [0.0] * 15625,
]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("held", HELD)
def test_a_table_within_reach_is_found_wherever_it_hides(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    contract(Kept).test_nothing_that_it_reaches_is_a_test_set_or_a_table()
    hidden = held()
    monkeypatch.setattr(sys.modules[__name__], "SEEN", [{"inner": lambda: hidden}])
    with pytest.raises(Broken, match=f"it reaches list > dict > function > .*{type(hidden).__name__}"):
        contract(Peeking).test_nothing_that_it_reaches_is_a_test_set_or_a_table()


def test_an_array_as_long_as_a_small_space_is_no_table() -> None:
    assert forbidden([np.zeros(9)], 9) is None


IMPORTS = {
    "import harness.benchmarks.table": "harness.benchmarks.table",
    "from harness import data": "harness.data",
    "def late():\n    from harness.benchmarks.load import load_table": "harness.benchmarks.load.load_table",
    "from . import helper": "harness.retraining.test_set.load_test_set",
    "from harness.errors import HarnessError": None,
}


@pytest.mark.parametrize("line", IMPORTS)
def test_imports_of_the_harness_are_found(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "a_plug_in"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("from harness.retraining.test_set import load_test_set\n")
    (package / "method.py").write_text(
        f"from harness.methods.darts import DARTS\n{line}\nclass Mine(DARTS):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("a_plug_in", "a_plug_in.helper", "a_plug_in.method"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    from a_plug_in.method import Mine  # type: ignore[import-not-found]

    found = imported_from_the_harness(Mine)
    where = "a_plug_in.helper" if "helper" in line else "a_plug_in.method"
    assert found == ([f"{where} imports {IMPORTS[line]}"] if IMPORTS[line] else [])


def test_checks_that_do_not_apply_say_why() -> None:
    reasons = set()
    for _, check in checks(contract_of(registry.get_method("random-search"))):
        if check.__name__ in {"test_costs_are_counted", "test_alpha_has_its_own_optimizer"}:
            with pytest.raises(NotApplicable) as raised:
                check()
            reasons.add(str(raised.value))
    assert reasons == {"it asks for cells and has no supernet"}
    with pytest.raises(NotApplicable, match="it has no architecture parameters"):
        contract_of(registry.get_method("random-search-ws")).test_a_gradient_reaches_every_alpha()


def test_checks_have_names_of_their_own() -> None:
    titles = [title for title, _ in checks(contract_of(DARTS))]
    assert len(set(titles)) == len(titles) > 15
    assert not any(title.startswith("test_") for title in titles)
