"""The base of the checks: the method under test, and small searches and runs of it."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar, cast

import torch

from harness.contract import small_runs
from harness.contract.small_runs import EPOCHS, Outcome, rehearse
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.search.weight_sharing import WeightSharingSearch


class Broken(AssertionError):
    """A method breaks the contract; the message says how."""


class NotApplicable(unittest.SkipTest):
    """A check does not apply to this kind of method; the message says why. pytest shows it as skipped."""


def require(kept: object, fault: str) -> None:
    """Raise :class:`Broken` with ``fault`` unless the contract is kept."""
    if not kept:
        raise Broken(fault)


class Checked:
    """A method under test.

    Attributes:
        method: the class under test.
        settings: hyper-parameters for the small searches, where the defaults would take too long.
    """

    method: ClassVar[type[Method]]
    settings: ClassVar[dict[str, Any]] = {}
    _uninterrupted: ClassVar[dict[type[Method], Outcome]]

    def __init_subclass__(cls) -> None:
        cls._uninterrupted = {}

    def setup_method(self) -> None:
        """Use one thread in each check, as workers of small runs do; small searches are then fastest."""
        torch.set_num_threads(1)

    def configured(self) -> Method:
        """The method with ``settings``; a query-based one trains its cells for one epoch unless they say otherwise."""
        cheap = {"epochs_per_cell": 1} if issubclass(self.method, QueryMethod) else {}
        return self.method(**(cheap | self.settings))

    def weight_sharing_search(self) -> tuple[WeightSharingMethod, WeightSharingSearch]:
        """The method and a small search of it at the start of its last epoch.

        α has no weight decay, so that only a gradient changes it. Raises :class:`NotApplicable` for a query-based
        method.
        """
        method = self.configured()
        if not isinstance(method, WeightSharingMethod):
            raise NotApplicable("it asks for cells and has no supernet")
        search = cast(WeightSharingSearch, rehearse(method, small_runs.SPACE, "alpha.weight_decay=0"))
        search.state.epoch = EPOCHS - 1
        return method, search

    def search_with_alpha(self) -> tuple[WeightSharingMethod, WeightSharingSearch]:
        """The same for a method with architecture parameters. Raises :class:`NotApplicable` for others."""
        method, search = self.weight_sharing_search()
        if not search.state.alphas:
            raise NotApplicable("it has no architecture parameters")
        return method, search

    def uninterrupted_run(self) -> Outcome:
        """The outcome of an uninterrupted small run. Raises :class:`Broken` where it does not finish."""
        if self.method not in self._uninterrupted:
            self._uninterrupted[self.method] = small_runs.uninterrupted(self.configured())
        return finished(self._uninterrupted[self.method])

    def runs_in_other_processes(self) -> list[Outcome]:
        """The outcomes of two equal runs, each in its own process, as ``harness run --jobs 2`` starts them."""
        return small_runs.two_at_once(self.configured())


def finished(outcome: Outcome) -> Outcome:
    """The outcome, if the run finished. Raises :class:`Broken` with the reason otherwise."""
    require(outcome["status"] == "finished", f"a small run {outcome['status']}: {outcome['reason']}")
    return outcome
