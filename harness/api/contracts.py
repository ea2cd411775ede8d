"""Holding a method to the contract of all methods: ``harness check``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.contract import Broken, NotApplicable
from harness.contract.checks import checks, contract_of
from harness.errors import HarnessError, failure
from harness.methods.base import Method
from harness.registry import get_method
from harness.study.configure import configure


@dataclass(frozen=True)
class CheckResult:
    """One check of the contract.

    Attributes:
        title: what the method must do.
        verdict: ``ok``, ``n/a`` (the check does not apply) or ``FAIL``.
        reason: why it does not apply or failed; empty where it passed.
    """

    title: str
    verdict: Literal["ok", "n/a", "FAIL"]
    reason: str = ""


def check(method: str | type[Method]) -> list[CheckResult]:
    """Run every check of the contract on a method, by name or as a class; each is a small search or two.

    A method that cannot be loaded fails one check, which says why.
    """
    return list(each_check(method))


def each_check(method: str | type[Method]) -> Iterator[CheckResult]:
    """:func:`check`, one result after the other. An error in one check does not stop the others."""
    try:
        cls = get_method(method) if isinstance(method, str) else method
        configure([method], {})  # a default that is refused would fail every check alike
    except HarnessError as error:
        yield CheckResult(f"it can be loaded: {error}", "FAIL")
        return
    contract = contract_of(cls)
    for title, run in checks(contract):
        try:
            contract.setup_method()
            run()
        except NotApplicable as reason:
            yield CheckResult(title, "n/a", f"not applicable: {reason}")
        except (Broken, HarnessError) as error:
            yield CheckResult(title, "FAIL", str(error))
        except Exception as error:  # of the plug-in
            yield CheckResult(title, "FAIL", failure(error))
        else:
            yield CheckResult(title, "ok")
