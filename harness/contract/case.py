"""What the checks of a contract are made of: the method as it is checked, and small searches and runs of it."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar, cast

import torch

from harness.contract import small_runs
from harness.contract.small_runs import EPOCHS, Outcome, rehearse
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.search.weight_sharing import WeightSharingSearch


class Broken(AssertionError):
    """A method does not keep to the contract; the message says in what."""


class NotApplicable(unittest.SkipTest):
    """A check does not apply to this kind of method; the message says why. pytest shows it as skipped."""


def require(kept: object, fault: str) -> None:
    """Raise :class:`Broken` with ``fault`` unless the contract is kept."""
    if not kept:
        raise Broken(fault)


class Checked:
    """A method as it is checked.

    Attributes:
        method: the class that is checked.
        settings: hyper-parameters of the searches in which it is checked, where the defaults would take too long.
    """

    method: ClassVar[type[Method]]
    settings: ClassVar[dict[str, Any]] = {}
    _wholes: ClassVar[dict[type[Method], Outcome]]

    def __init_subclass__(cls) -> None:
        cls._wholes = {}

    def setup_method(self) -> None:
        """Before each check: one thread, as workers of small runs have; small searches are fastest so."""
        torch.set_num_threads(1)

    def configured(self) -> Method:
        """The method as it is checked; a query-based one trains its cells for one epoch unless ``settings`` say."""
        cheap = {"epochs_per_cell": 1} if issubclass(self.method, QueryMethod) else {}
        return self.method(**(cheap | self.settings))

    def gradient_search(self) -> tuple[WeightSharingMethod, WeightSharingSearch]:
        """The method and a small search of it as its last epoch begins; :class:`NotApplicable` for query methods.

        α has no weight decay: that it changes is then due to a gradient.
        """
        method = self.configured()
        if not isinstance(method, WeightSharingMethod):
            raise NotApplicable("it asks for cells and has no supernet")
        search = cast(WeightSharingSearch, rehearse(method, small_runs.SPACE, "alpha.weight_decay=0"))
        search.state.epoch = EPOCHS - 1
        return method, search

    def search_with_alpha(self) -> tuple[WeightSharingMethod, WeightSharingSearch]:
        """The same of a method that has architecture parameters; :class:`NotApplicable` for others."""
        method, search = self.gradient_search()
        if not search.state.alphas:
            raise NotApplicable("it has no architecture parameters")
        return method, search

    def whole(self) -> Outcome:
        """What an undisturbed small run comes to. Raises :class:`Broken` where it does not finish."""
        if self.method not in self._wholes:
            self._wholes[self.method] = small_runs.whole(self.configured())
        return finished(self._wholes[self.method])

    def elsewhere(self) -> list[Outcome]:
        """What two equal runs come to, each in a process of its own, as ``harness run --jobs 2`` starts them."""
        return small_runs.two_at_once(self.configured())


def finished(found: Outcome) -> Outcome:
    """``found``, if the run finished. Raises :class:`Broken` with the reason otherwise."""
    require(found["status"] == "finished", f"a small run {found['status']}: {found['reason']}")
    return found
