"""The contract that every method keeps, as named checks: ``harness check NAME`` runs them, and so does pytest.

In the tests of a package of your own, three lines run them for its method::

    from harness.contract import MethodContract

    class TestMine(MethodContract):
        method = Mine
"""

from harness.contract.case import Broken, NotApplicable
from harness.contract.checks import MethodContract
from harness.contract.small_runs import small_search

__all__ = ["Broken", "MethodContract", "NotApplicable", "small_search"]
