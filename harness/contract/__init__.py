"""What every method must keep to, as named checks: ``harness check NAME`` runs them, and so does pytest.

A package of your own holds its method to them in its tests with three lines::

    from harness.contract import MethodContract

    class TestMine(MethodContract):
        method = Mine
"""

from harness.contract.case import Broken, NotApplicable
from harness.contract.checks import MethodContract
from harness.contract.small_runs import small_search

__all__ = ["Broken", "MethodContract", "NotApplicable", "small_search"]
