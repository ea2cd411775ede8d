"""The result of Friedman's test, in sentences."""

from __future__ import annotations

from harness.reports.statistics.friedman import ALPHA, FriedmanTests
from harness.reports.statistics.significance import print_p


def friedman_text(tests: FriedmanTests) -> str:
    """Return what the tests of all methods say."""
    blocks = (
        f"Friedman's test compares all {len(tests.labels)} methods on {tests.dataset} over {len(tests.seeds)} blocks. "
        "A block is a search seed that every method finished: one split, one set of initial weights, one order of "
        "batches."
    )
    if all(pair.wins == pair.losses == 0 for pair in tests.pairs):
        return f"{blocks} All methods have the same accuracy in every block, so there is nothing to test."
    if tests.p >= ALPHA:
        return f"{blocks} It finds no difference between the methods ({print_p(tests.p)}): all are tied."
    different = sum(pair.significantly_different for pair in tests.pairs)
    groups = "; ".join(", ".join(tests.labels[index] for index in clique) for clique in tests.cliques)
    return (
        f"{blocks} It finds that the methods differ ({print_p(tests.p)}). By Wilcoxon signed-rank tests with Holm's "
        f"correction, {different} of {len(tests.pairs)} pairs differ significantly. "
        + (f"Tied groups: {groups}." if groups else "No two methods are tied.")
    )
