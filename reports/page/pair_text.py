"""Two sides and their pairs of methods, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.results.pair import Pair
from harness.reports.results.ranking import mean_seconds
from harness.reports.results.sides import Side
from harness.reports.statistics.significance import permutation_p, print_p, signed_rank_p, smallest_p, superiority
from harness.reports.statistics.summary import BOOTSTRAP_FROM, smallest_paired_p


def sides_text(a: Side, b: Side, kinds: Sequence[str]) -> list[str]:
    """Return what the reader must know before the numbers: the sides, and the kinds of settings that differ."""
    paragraphs = []
    if _protocol_hash(a) != _protocol_hash(b):
        paragraphs.append(
            f"The protocols of A and B differ: {a.comparison.protocol_name} and {b.comparison.protocol_name}. Such "
            "runs are never ranked together; this only puts them side by side. A difference may come from the protocol "
            "and not from the method, and one seed need not mean the same split, weights and batches."
        )
    paragraphs.append(f"A is {a.name}, B is {b.name}. A difference is A minus B: above 0, A is better.")
    if kinds:
        paragraphs.append(f"Besides the methods, these differ: {', '.join(kinds)}.")
    else:
        paragraphs.append("Protocol, search space, dataset, table and environment are the same.")
    for side, other in ((a, b), (b, a)):
        alone = [label for label in side.labels if label not in other.labels]
        if alone and side.method is None:
            paragraphs.append(f"Only in {side.name}, and not compared: {', '.join(alone)}.")
    return paragraphs


def _protocol_hash(side: Side) -> str:
    return side.comparison.study.runs[0].config["protocol_hash"]


def pair_text(pair: Pair) -> list[str]:
    """Return the results of a pair: difference, superiority, wins and cost, a sentence or two an item."""
    return [text for text in (_difference(pair), _superiority(pair), _outcomes(pair), _cost(pair)) if text]


def _difference(pair: Pair) -> str:
    summary = pair.summary
    if summary is None:
        return "No seed was finished on both sides, so there is no paired difference."
    if summary.interval is None:
        return (
            f"Only one seed is common: the difference is {summary.mean:+.2f} points on {pair.dataset}, without an "
            "interval."
        )
    if summary.std == 0:
        what = "have the same accuracy on both sides"
        if summary.mean:
            what = f"differ by the same {summary.mean:+.2f} points"
        return f"All {summary.n} common seeds {what} on {pair.dataset}; with an std of 0 there is no interval."
    how = "Student's t over" if summary.n < BOOTSTRAP_FROM else "bootstrap over"
    low, high = summary.interval
    return (
        f"Mean difference on {pair.dataset}: {summary.mean:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f} "
        f"({how} {summary.n} paired seeds)."
    )


def _superiority(pair: Pair) -> str:
    x, y = pair.finals
    if not x or not y:
        return f"{'A' if not x else 'B'} has no finished run, so there is nothing to test."
    text = (
        f"A is better in {100 * superiority(x, y):.0f} % of all {len(x)} × {len(y)} pairs of runs; a tie counts half. "
        f"Exact unpaired permutation test: {print_p(permutation_p(x, y))}; the smallest that these seeds can give: "
        f"{print_p(smallest_p(len(x), len(y)))}."
    )
    if pair.differences:
        text += (
            f" Paired by seed (exact Wilcoxon signed-rank test): {print_p(signed_rank_p(pair.differences))}; the "
            f"smallest: {print_p(smallest_paired_p(len(pair.differences)))}."
        )
    return text


def _outcomes(pair: Pair) -> str:
    if not pair.differences:
        return ""
    wins, ties, losses = pair.outcomes
    bound = f"By more than the noise of retraining ({pair.noise:.2f} points)"
    if not pair.noise:
        bound = "By any amount (the noise of retraining is not known)"
    return (
        f"{bound}, A is better in {wins} of {len(pair.differences)} common seeds and worse in {losses}; {ties} "
        f"{'is a tie' if ties == 1 else 'are ties'}."
    )


def _cost(pair: Pair) -> str:
    a, b, ratio = mean_seconds(pair.a), mean_seconds(pair.b), pair.cost_ratio
    if a is None or b is None:
        return ""
    text = f"Mean search cost of a finished run: {_plain(a)} s for A, {_plain(b)} s for B"
    return f"{text}; A costs {_plain(ratio)} times as much." if ratio is not None else f"{text}."


def _plain(number: float) -> str:
    """Return three digits, without an exponent for a large number."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
