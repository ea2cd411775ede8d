"""Two methods, or two studies, side by side and paired by seed: as sentences and tables, and as an HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness._version import __version__
from harness.errors import HarnessError
from harness.reports.figures.paired_differences import Pair, paired_differences
from harness.reports.figures.style import house_style
from harness.reports.page.elements import Block, Drawn, Picture, Section, Table, Words, render
from harness.reports.results.comparison import SeedResult
from harness.reports.results.ranking import mean_seconds
from harness.reports.results.sides import Side, pairs_of, shared_dataset, unlike
from harness.reports.statistics.significance import permutation_p, print_p, signed_rank_p, smallest_p, superiority
from harness.reports.statistics.summary import BOOTSTRAP_FROM, smallest_paired_p, summarize
from harness.reports.tables.report_table import Column, Sheet, Value
from harness.runs.folder import write_atomically


@dataclass(frozen=True)
class Compared:
    """Two sides made ready to print.

    Attributes:
        notice: what the sides are and in what they differ, which is said before any number; a paragraph an item.
        unlike: the settings in which they differ, with both values; None where there are none.
        pairs: the methods compared, one pair for two methods and one a shared method for two studies.
    """

    a: Side
    b: Side
    dataset: str
    notice: list[str]
    unlike: Sheet | None
    pairs: list[Pair]


def put_side_by_side(a: Side, b: Side, dataset: str | None = None) -> Compared:
    """Compare two sides on a dataset; default: the first on which both have accuracies.

    Raises:
        HarnessError: no such dataset, or two studies without a method in common.
    """
    chosen = shared_dataset(a, b, dataset)
    noise = max(a.comparison.noise(chosen), b.comparison.noise(chosen))
    pairs = [
        Pair(one.label if one.label == two.label else f"{one.label} less {two.label}", one, two, chosen, noise)
        for one, two in pairs_of(a, b)
    ]
    if not pairs:
        raise HarnessError(
            f"studies {a.name!r} ({', '.join(a.labels)}) and {b.name!r} ({', '.join(b.labels)}) have no method in "
            "common; name two methods as STUDY:METHOD"
        )
    rows = unlike(a, b)
    sheet = Sheet(
        "unlike",
        "What differs besides the methods",
        f"A is {a.name}, B is {b.name}. A dash: not there.",
        "",
        [Column("setting", "Setting", text=True), Column("a", "A", text=True), Column("b", "B", text=True)],
        [[row.name, row.a, row.b] for row in rows],
    )
    return Compared(
        a, b, chosen, _notice(a, b, list(dict.fromkeys(row.kind for row in rows))), sheet if rows else None, pairs
    )


def _notice(a: Side, b: Side, kinds: list[str]) -> list[str]:
    """What the sides are, and what must be known before their numbers are read."""
    paragraphs = []
    if _protocol(a) != _protocol(b):
        paragraphs.append(
            f"The protocols of A and B differ, {a.comparison.protocol_name} and {b.comparison.protocol_name}. Such "
            "runs are never ranked together; here they only stand side by side: a difference may come from the "
            "protocol instead of the method, and one seed need not mean the same split, weights and batches."
        )
    paragraphs.append(f"A is {a.name}, B is {b.name}; a difference is A less B, so that above 0 A is better.")
    if kinds:
        paragraphs.append(f"Besides the methods, these differ: {', '.join(kinds)}.")
    else:
        paragraphs.append("Protocol, search space, dataset, table and environment are the same.")
    for side, other in ((a, b), (b, a)):
        alone = [label for label in side.labels if label not in other.labels]
        if alone and side.method is None:
            paragraphs.append(f"Only in {side.name}, and not compared: {', '.join(alone)}.")
    return paragraphs


def _protocol(side: Side) -> str:
    return side.comparison.study.runs[0].config["protocol_hash"]


def words(pair: Pair) -> list[str]:
    """What the seeds of a pair say, a sentence or two an item."""
    return [_difference(pair), _superiority(pair), _outcomes(pair), _cost(pair)]


def _difference(pair: Pair) -> str:
    found = pair.summary
    if found is None:
        return "No seed was finished on both sides, so no difference is paired."
    if found.interval is None:
        return f"One seed is common: the difference is {found.mean:+.2f} points on {pair.dataset}, without an interval."
    if found.sd == 0:
        what = f"differ by the same {found.mean:+.2f} points" if found.mean else "have the same accuracy on both sides"
        return f"All {found.n} common seeds {what} on {pair.dataset}: the sd is 0, so there is no interval to give."
    how = "Student's t over" if found.n < BOOTSTRAP_FROM else "bootstrap over"
    low, high = found.interval
    return (
        f"Mean difference on {pair.dataset}: {found.mean:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f} ({how} "
        f"{found.n} paired seeds)."
    )


def _superiority(pair: Pair) -> str:
    x, y = pair.finals
    if not x or not y:
        return f"{'A' if not x else 'B'} has no finished run, so there is nothing to test."
    text = (
        f"A is better in {100 * superiority(x, y):.0f} % of all {len(x)} × {len(y)} pairs of runs, ties counted half; "
        f"exact unpaired permutation test: {print_p(permutation_p(x, y))}, where so many "
        f"seeds give {print_p(smallest_p(len(x), len(y)))} at best."
    )
    n = len(pair.differences)
    if n:
        text += f" Paired by seed (exact Wilcoxon signed-rank): {print_p(signed_rank_p(pair.differences))}, "
        text += f"{print_p(smallest_paired_p(n))} at best."
    return text


def _outcomes(pair: Pair) -> str:
    if not pair.differences:
        return ""
    wins, ties, losses = pair.outcomes
    beyond = f"By more than retraining moves the accuracy ({pair.noise:.2f} points)"
    if not pair.noise:
        beyond = "By any amount (how far retraining moves the accuracy is not known)"
    return f"{beyond}, A is better in {wins} of {len(pair.differences)} common seeds and worse in {losses}; {ties} tie."


def _cost(pair: Pair) -> str:
    a, b, ratio = mean_seconds(pair.a), mean_seconds(pair.b), pair.cost_ratio
    if a is None or b is None:
        return ""
    compared = f": {_plain(ratio)} times as much for A" if ratio is not None else ""
    return f"Mean search cost of a finished run: {_plain(a)} s for A and {_plain(b)} s for B{compared}."


def _plain(number: float) -> str:
    """Three digits, and no exponent for a large number."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def seeds_sheet(compared: Compared, pair: Pair) -> Sheet:
    """Every seed of either side of a pair, with what became of it where it has no accuracy."""

    def accuracy(seed: SeedResult | None) -> Value:
        if seed is None:
            return "not run"
        value = seed.final(pair.dataset)
        return value if value is not None else "not looked up" if seed.finished else seed.run.status

    def difference(a: Value, b: Value) -> Value:
        return a - b if isinstance(a, float) and isinstance(b, float) else None

    rows: list[list[Value]] = []
    for number, one, two in pair.seeds:
        a, b = accuracy(one), accuracy(two)
        rows.append([number, a, b, difference(a, b)])
    names = [compared.a.name, compared.b.name]
    if compared.a.method is None:
        names = [f"{name}:{pair.label}" for name in names]
    return Sheet(
        f"seeds-{pair.label}",
        f"{pair.label}, seed by seed",
        f"Test accuracy (%) on {pair.dataset} of the final derived cell, and the difference in points.",
        "",
        [Column("seed", "Seed"), Column("a", names[0], 2), Column("b", names[1], 2), Column("difference", "A − B", 2)],
        rows,
    )


def summary_sheet(compared: Compared) -> Sheet:
    """A row a pair of methods: the numbers of :func:`words`."""
    rows: list[list[Value]] = []
    for pair in compared.pairs:
        x, y = pair.finals
        means = [summarize(values).mean if values else None for values in (x, y)]
        found = pair.summary
        low, high = (found.interval or (None, None)) if found and found.sd else (None, None)
        row: list[Value] = [pair.label, f"{len(x)} and {len(y)}", *means]
        row += [found.mean if found else None, low, high]
        row += [superiority(x, y), permutation_p(x, y), smallest_p(len(x), len(y))] if x and y else [None] * 3
        row += [f"{'/'.join(map(str, pair.outcomes))}" if pair.differences else None, pair.cost_ratio]
        rows.append(row)
    return Sheet(
        "side-by-side",
        "Side by side",
        f"Test accuracy (%) on {compared.dataset}; A is {compared.a.name}, B is {compared.b.name}.",
        "Means over all finished runs. Difference: mean of A less B over the seeds that both finished, in points, with "
        "its 95 % interval. Superiority: share of all pairs of runs in which A is better, ties counted half; p: exact "
        "unpaired permutation test of it, not corrected for several methods; smallest p: what these seeds could give. "
        "Won: seeds in which A is better by more than retraining moves the accuracy, tied, and in which it is worse. "
        "Cost: mean search seconds of A over those of B.",
        [
            Column("method", "Method", text=True),
            Column("runs", "Runs", text=True),
            Column("mean_a", "A", 2),
            Column("mean_b", "B", 2),
            Column("difference", "Difference", 2),
            Column("interval_low", "95 % low", 2),
            Column("interval_high", "95 % high", 2),
            Column("superiority", "Superiority", 2),
            Column("p", "p", 4),
            Column("smallest_p", "Smallest p", 4),
            Column("outcomes", "Won/tied/lost", text=True),
            Column("cost_ratio", "Cost", 2),
        ],
        rows,
    )


def build_compared(compared: Compared, out: str | Path | None = None) -> Path:
    """Write the comparison as one self-contained HTML page, and return the page's path.

    Args:
        compared: what to write.
        out: folder to write ``compared.html`` into; default: ``compared`` in the folder of study A.

    Raises:
        HarnessError: the folder cannot be written.
    """
    seeds: list[Block] = []
    for pair in compared.pairs:
        seeds += [Table(seeds_sheet(compared, pair)), *[Words(text) for text in words(pair) if text]]
    sections = [
        Section("differences", "Side by side", [Table(summary_sheet(compared), heading=False), Picture("differences")]),
        Section("seeds", "Seed by seed", [*seeds, Words(f"Written by nas-harness {__version__}.", note=True)]),
    ]
    if compared.unlike is not None:
        sections.insert(0, Section("unlike", compared.unlike.title, [Table(compared.unlike, heading=False)]))
    with house_style():
        figure = paired_differences(compared.pairs)
    caption = (
        "Small: the difference A less B of a seed that both finished. Black: their mean and its 95 % interval. In the "
        "grey part, where retraining alone makes such differences, the axis is linear, and logarithmic beyond it."
    )
    figures = {"differences": Drawn(figure, "Paired differences, seed by seed", caption)} if figure else {}
    folder = Path(out) if out is not None else compared.a.comparison.study.path / "compared"
    scope = f"{len(compared.pairs)} {'method' if len(compared.pairs) == 1 else 'methods'} on {compared.dataset}."
    page = folder / "compared.html"
    title = f"{compared.a.name} and {compared.b.name}"
    write_atomically(page, render(title, scope, compared.notice, sections, figures).encode())
    return page
