"""The opening of a report: in sentences, which methods differ significantly and which are tied."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from harness.reports.results.comparison import Comparison, MethodResults
from harness.reports.results.ranking import (
    COLLAPSE,
    Ranked,
    by_accuracy,
    collapsed,
    common_seeds,
    is_significant,
    mean_seconds,
    mean_with_failures,
    on_front,
)
from harness.reports.statistics.significance import smallest_p
from harness.reports.statistics.summary import smallest_paired_p

_NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

MANY = 6
"""Most methods that a sentence names; the tables have them all."""


def opening(comparison: Comparison) -> list[str]:
    """Return the answer as plain text: its first two sentences, then paragraphs that qualify it."""
    verdicts = [_verdict(comparison, dataset) for dataset in comparison.datasets] or [[_no_accuracy(comparison)]]
    paragraphs = [" ".join(sentences) for sentences in (verdicts[0][:2], verdicts[0][2:], *verdicts[1:])]
    for part in (_rule, _design, _collapses, _same_cell, _failures, _cost, _caveats):
        paragraphs.append(part(comparison))
    return [paragraph for paragraph in dict.fromkeys(paragraphs) if paragraph]  # that no run finished is said once


def scope(comparison: Comparison) -> str:
    """Return what was compared, in a sentence; methods that searched by test accuracy are named before it."""
    counts = sorted({len(method.seeds) for method in comparison.methods})
    seeds = f"{_count(counts[0], 'seed')} each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds each"
    if len(comparison.methods) == 1:
        seeds = _count(counts[0], "seed")
    methods = _count(len(comparison.methods), "method").capitalize()
    return (
        f"{_oracles(comparison)}{methods}, {seeds}, searched {comparison.space.name} on "
        f"{comparison.searched_on} under protocol {comparison.protocol_name}."
    )


def _oracles(comparison: Comparison) -> str:
    """Name the methods that searched by the accuracies that they are ranked by; empty where none did."""
    labels = {run.label for run in comparison.study.runs if run.config.get("oracle_on_test")}
    if not labels:
        return ""
    return (
        f"Oracle on test: {_and(sorted(labels))} searched by test accuracy, by which this report ranks. Such an "
        "accuracy is no search result but an upper bound on one. "
    )


def _verdict(comparison: Comparison, dataset: str) -> list[str]:
    """Return the sentences on one dataset, most important first."""
    ranked = by_accuracy(comparison, dataset)
    if not ranked:
        return [_no_accuracy(comparison)]
    if len(ranked) == 1:
        rest = "there is no other method to compare it with"
        if len(comparison.methods) > 1:
            rest = "no other method has a finished run to compare it with"
        sentences = [f"{ranked[0].label} reaches {_mean(ranked[0])} on {dataset}; {rest}."]
    else:
        sentences = _ties(comparison, dataset, ranked)
    column = comparison.column(dataset)
    if column is not None:
        random = float(column.mean())
        below = [one.label for one in ranked if one.summary.mean < random]
        if below:
            end = _verb(below, "ends", "end")
            which = _and(below) if len(below) <= MANY else f"{len(below)} methods"
            sentences.append(f"{which} {end} below a uniformly random cell on average ({random:.2f} %).")
    return sentences


def _no_accuracy(comparison: Comparison) -> str:
    if any(run.retrained for run in comparison.study.runs):
        return "No finished run was looked up in a table; the report ranks the retrained cells."
    if any(method.finished for method in comparison.methods):
        return "No finished run was looked up in a table, so there is no accuracy to rank."
    return "No run finished, so there is nothing to rank."


def _ties(comparison: Comparison, dataset: str, ranked: list[Ranked]) -> list[str]:
    """Name the leader and the methods tied with it, and count the significantly different pairs."""
    if max(one.summary.n for one in ranked) == 1:
        order = _and([f"{one.label} {one.summary.mean:.2f} %" for one in ranked])
        return [
            f"On {dataset}: {order}. Every method has only one finished seed, so differences may be due to the seed "
            "alone."
        ]
    if len({value for one in ranked for value in (one.summary.worst, one.summary.best)}) == 1:
        return [f"Every finished run of every method reaches {_mean(ranked[0])} on {dataset}: all are tied."]
    leader, others = ranked[0], ranked[1:]
    pairs = list(combinations(ranked, 2))
    different = [pair for pair in pairs if is_significant(comparison, dataset, *pair)]
    if not different:
        sentences = [
            f"On {dataset}, no two methods differ significantly: all are tied, although {leader.label} has the highest "
            f"mean accuracy, {_mean(leader)}."
        ]
    else:
        beaten = [one for one in others if is_significant(comparison, dataset, leader, one)]
        tied = [one for one in others if one not in beaten]
        sentences = [f"On {dataset}, {leader.label} has the highest mean accuracy, {_mean(leader)}."]
        if beaten:
            tie = f", and tied with {_means(tied)}" if tied else ""
            sentences.append(f"It is significantly better than {_means(beaten)}{tie}.")
        else:
            which = _means(tied) if len(tied) < 3 else "all other methods"
            sentences.append(f"It is tied with {which}.")
        if len(ranked) > 2:
            sentences.append(
                f"Of the {len(pairs)} pairs of methods, {len(different)} differ significantly and "
                f"{len(pairs) - len(different)} are tied."
            )
    single = [one.label for one in ranked if one.summary.n == 1]
    if single:
        has, tie = _verb(single, "has", "have"), _verb(single, "ties", "tie")
        sentences.append(f"With one finished seed, {_and(single)} {has} no interval and {tie} with every method.")
    return sentences


def _rule(comparison: Comparison) -> str:
    """Define a tie."""
    if not any(len(by_accuracy(comparison, dataset)) > 1 for dataset in comparison.datasets):
        return ""
    rule = "Two methods are tied if their 95 % intervals overlap"
    known = [dataset for dataset in comparison.datasets if comparison.noise(dataset)]
    if known:
        noise = _and([f"{comparison.noise(dataset):.2f} points on {dataset}" for dataset in known])
        rule += f" or their means differ by no more than retraining alone moves the accuracy ({noise})"
    if len(comparison.datasets) > 1:
        rule += ". Looking one search up on several datasets does not give several observations"
    return rule + "."


def _design(comparison: Comparison) -> str:
    seeds = common_seeds(comparison)
    if len(comparison.methods) < 2 or seeds == 1:
        return ""
    if seeds == 0:
        return "No seed was finished by every method, so no test can be paired over all methods."
    p = smallest_paired_p(seeds)
    bound = f"the smallest p that an exact paired test can give is {p:.3g} (2/2^{seeds})"
    reach = "so it cannot reach 0.05" if p > 0.05 else "before any correction for several comparisons"
    count = len(comparison.methods) * (len(comparison.methods) - 1) // 2
    unpaired = smallest_p(seeds, seeds)
    holm = f", {min(1.0, count * unpaired):.3g} after Holm's correction for {count} pairs" if count > 1 else ""
    paired = f"Every method finished {_count(seeds, 'common seed')}: {bound}, {reach}"
    return f"{paired}. The smallest unpaired p is {unpaired:.2g}{holm}."


def _collapses(comparison: Comparison) -> str:
    """Count the collapsed seeds of each method."""
    counts = []
    for method in comparison.methods:
        seeds = [collapsed(comparison, seed) for seed in method.finished]
        if any(seeds):
            counts.append(f"{sum(map(bool, seeds))} of {len(seeds)} seeds of {method.label}")
    if len(counts) > MANY:
        counts = [f"seeds of {len(counts)} methods (see the table of stability)"]
    return f"Collapsed: {_and(counts)}. A seed has collapsed if its {COLLAPSE}." if counts else ""


def _same_cell(comparison: Comparison) -> str:
    names = {cell: name for name, cell in comparison.space.reference_cells().items()}
    sentences = []
    for method in comparison.methods:
        done = [seed.cell for seed in method.finished if seed.cell]
        cells = set(done)
        if len(done) > 1 and len(cells) == 1:
            all_ = "both" if len(done) == 2 else f"all {len(done)}"
            which = "" if len(done) == len(method.seeds) else "finished "
            cell = cells.pop()
            named = names.get(comparison.space.parse(cell), cell)
            sentences.append(f"{method.label}: {all_} {which}seeds derived the same cell, {named}.")
    if sentences:
        sentences.append("Their std of 0 is one outcome repeated; it does not mean precision.")
    return " ".join(sentences)


def _failures(comparison: Comparison) -> str:
    failed = [seed for method in comparison.methods for seed in method.failed]
    waiting = [seed for method in comparison.methods for seed in method.unfinished]
    total = len(comparison.study.runs)
    sentences = []
    if failed:
        named = _and([f"{seed.run.label} seed {seed.run.seed} ({seed.run.status})" for seed in failed])
        sentences.append(f"{len(failed)} of {total} runs failed: {named}.")
        if comparison.headline:
            sentences.append(_imputed(comparison, comparison.headline))
    if waiting:
        named = _and([f"{seed.run.label} seed {seed.run.seed}" for seed in waiting])
        sentences.append(f"{len(waiting)} of {total} runs have not ended and are left out: {named}.")
    return " ".join(sentences)


def _imputed(comparison: Comparison, dataset: str) -> str:
    """Say how the order changes when failed runs count as a random cell."""
    column = comparison.column(dataset)
    if column is None:
        return "The rankings use finished runs only."
    random = float(column.mean())
    order = [one.label for one in by_accuracy(comparison, dataset)]
    means = {method.label: mean_with_failures(method, method.finals(dataset), random) for method in comparison.methods}
    imputed = sorted((label for label in order), key=lambda label: -(means[label] or 0.0))
    hit = [method.label for method in comparison.methods if method.failed]
    values = _and([f"{label} {means[label]:.2f} %" for label in hit])
    effect = "the order stays the same" if imputed == order else f"the order becomes {', '.join(imputed)}"
    return (
        "The rankings use finished runs only. If each failed run counts as a uniformly random cell, the mean on "
        f"{dataset} is {values}" + (f", and {effect}." if len(order) > 1 else ".")
    )


def _cost(comparison: Comparison) -> str:
    front = on_front(comparison, comparison.headline) if comparison.headline else []
    finished = [method for method in comparison.methods if method.finished]
    timed = [method for method in finished if mean_seconds(method) is not None]
    if len(timed) < 2 or not front:
        return ""
    simulated = [
        method
        for method in comparison.methods
        if any("simulated_seconds" in row for seed in method.finished for row in seed.run.trace)
    ]
    budget = "simulated: they add up the table's training times to a fixed budget, which each search spends whole"
    if all(method in simulated for method in timed):
        return f"Search costs are not compared: their seconds are {budget}."
    if len(front) == 1:
        among = "" if timed == finished else " of those measured in seconds"
        sentence = f"{front[0]} has both the highest mean accuracy and the lowest search cost{among}."
    else:
        sentence = (
            f"The Pareto front of mean accuracy and search seconds is, cheapest first: {_and(front)}. No method is "
            "both better and cheaper than a method of the front."
        )
    if simulated:
        labels = _and([method.label for method in simulated])
        sentence += f" The seconds of {labels} are {budget}. Small differences between them mean nothing."
    return sentence


def _caveats(comparison: Comparison) -> str:
    sentences = []
    if comparison.table_problem:
        sentences.append(
            f"The table could not be read ({comparison.table_problem}). Accuracies are those stored with the runs; "
            "reference rows, percentiles and the distribution, which need the whole table, are left out."
        )
    machines = {name: values for name, values in comparison.environments.items() if len(values) > 1}
    if machines:
        sentences.append(f"The runs' environments differ in {_and(sorted(machines))}: compare seconds with care.")
    mixed = [method.label for method in comparison.methods if len(_sources(method)) > 1]
    if mixed:
        sentences.append(f"The seeds of {_and(mixed)} ran with different versions of the method's source: rerun them.")
    if comparison.study.superseded:
        count = _count(len(comparison.study.superseded), "run")
        sentences.append(f"{count.capitalize()} left out, because a newer run has the same method and seed.")
    return " ".join(sentences)


def _sources(method: MethodResults) -> set[str]:
    return {seed.run.config["method_source"] for seed in method.seeds}


def _mean(one: Ranked) -> str:
    return f"{one.summary.mean:.2f} %"


def _means(ranked: Sequence[Ranked]) -> str:
    """List names and means; of many methods the first few, and the number of the others."""
    named = [f"{one.label} ({_mean(one)})" for one in (ranked if len(ranked) <= MANY else ranked[: MANY - 1])]
    return _and([*named, f"{len(ranked) - len(named)} others"] if len(named) < len(ranked) else named)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _verb(subjects: Sequence[str], singular: str, plural: str) -> str:
    return singular if len(subjects) == 1 else plural


def _count(number: int, noun: str) -> str:
    numeral = _NUMERALS[number] if number < len(_NUMERALS) else str(number)
    return f"{numeral} {noun}{'' if number == 1 else 's'}"
