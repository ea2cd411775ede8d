"""The checklist of best practices for research on NAS, answered from a study's records.

After Lindauer & Hutter: Best Practices for Scientific Research on Neural Architecture Search. JMLR 21(243), 2020. The
items follow theirs in order and meaning; the wording is ours. Items that records cannot answer are left to the author.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import fmean
from typing import NamedTuple

from harness import registry
from harness._version import __version__
from harness.reports.results.comparison import Comparison
from harness.reports.results.ranking import mean_seconds
from harness.reports.tables.report_table import Column, ReportTable

YES, NO, NOT_APPLICABLE, AUTHOR = "yes", "no", "not applicable", "for the author to answer"

RANDOM_SEARCH = "random-search"
"""The name of the baseline method."""


class Answer(NamedTuple):
    """The answer to an item, and the evidence for it."""

    answer: str
    evidence: str


def checklist_table(comparison: Comparison) -> ReportTable:
    """Return every item with its answer and evidence."""
    answers = [(part, item, answer(comparison)) for part, item, answer in ITEMS]
    counts = Counter(one.answer for _, _, one in answers)
    total = ", ".join(f"{counts[answer]} {answer}" for answer in (YES, NO, NOT_APPLICABLE, AUTHOR) if counts[answer])
    return ReportTable(
        "checklist",
        "Checklist of best practices",
        f"Of {len(answers)} items: {total}. Protocol {comparison.protocol_name}.",
        "After Lindauer & Hutter, Best Practices for Scientific Research on Neural Architecture Search, JMLR 21(243), "
        "2020; the wording is ours. The answers come from this study's records only.",
        [
            Column("item", "Item", text=True, sentences=True),
            Column("answer", "Answer", text=True),
            Column("evidence", "Evidence", text=True, sentences=True),
            Column("part", "About", text=True),
        ],
        [[item, one.answer, one.evidence, part] for part, item, one in answers],
    )


def _training_code(comparison: Comparison) -> Answer:
    if _retrained(comparison):
        return Answer(YES, f"Final cells were trained by nas-harness {__version__}, which is published under MIT.")
    return Answer(NOT_APPLICABLE, f"No final cell was trained: {_looked_up(comparison)}.")


def _space_code(comparison: Comparison) -> Answer:
    return _released(comparison.space.name, registry.spaces().get(comparison.space.name))


def _training_settings(comparison: Comparison) -> Answer:
    retrained = [run.evaluation for run in comparison.study.runs if run.evaluation and run.retrained]
    recipes = sorted({str(evaluation.get("recipe")) for evaluation in retrained})
    if recipes:
        return Answer(YES, f"Recipe {' | '.join(recipes)}; training seeds count from 0.")
    return Answer(NOT_APPLICABLE, f"No final cell was trained: {_looked_up(comparison)}.")


def _method_code(comparison: Comparison) -> Answer:
    names = sorted({run.config["method"] for run in comparison.study.runs})
    answers = [_released(name, registry.methods().get(name)) for name in names]
    worst = AUTHOR if any(one.answer == AUTHOR for one in answers) else YES
    evidence = " ".join(dict.fromkeys(one.evidence for one in answers))
    return Answer(worst, f"{evidence} Each run records the SHA-256 of its method's source.")


def _method_settings(comparison: Comparison) -> Answer:
    return Answer(YES, f"See Protocol and environment on this page. Search seeds: {_seeds(comparison)}.")


def _same_benchmark(comparison: Comparison) -> Answer:
    digest = comparison.study.runs[0].config["dataset_digest"][:12]
    return Answer(
        YES,
        f"One protocol ({comparison.protocol_name}), space ({comparison.space.name}) and version of "
        f"{comparison.searched_on} ({digest}) for every run: a report refuses anything else. One seed means the same "
        "split, batches and initial weights for every method.",
    )


def _confounders(comparison: Comparison) -> Answer:
    if not comparison.environments:
        return Answer(AUTHOR, "The runs recorded no environment.")
    differ = sorted(name for name, values in comparison.environments.items() if len(values) > 1)
    sources = {(run.config["method"], run.config["method_source"]) for run in comparison.study.runs}
    mixed = sorted(name for name, count in Counter(name for name, _ in sources).items() if count > 1)
    if mixed:
        return Answer(NO, f"Runs of one method had different versions of its source: {', '.join(mixed)}.")
    if differ:
        return Answer(NO, f"The runs' environments differ in {', '.join(differ)}: compare seconds with care.")
    jobs = comparison.environments.get("jobs", ["1"])[0]
    shared = f" {jobs} runs at a time shared the machine, which affects seconds." if jobs != "1" else ""
    return Answer(YES, f"One kind of machine and one set of software versions in all runs.{shared}")


def _ablations(comparison: Comparison) -> Answer:
    labels: dict[str, set[str]] = {}
    for run in comparison.study.runs:
        labels.setdefault(run.config["method"], set()).add(run.label)
    variants = sorted(label for variants in labels.values() if len(variants) > 1 for label in variants)
    if variants:
        return Answer(AUTHOR, f"Variants of one method in this study may be an ablation: {', '.join(variants)}.")
    return Answer(AUTHOR, "This study has no two variants of one method.")


def _same_evaluation(comparison: Comparison) -> Answer:
    if _retrained(comparison):
        return Answer(YES, "Every final cell had the same recipe, or the report ranks none.")
    return Answer(YES if comparison.datasets else NO, f"The same for every method: {_looked_up(comparison)}.")


def _over_time(comparison: Comparison) -> Answer:
    if any(seed.accuracy for method in comparison.methods for seed in method.seeds):
        return Answer(YES, "Evidence shows the accuracy of the derived cell after each epoch.")
    return Answer(NO, "No derived cell was looked up.")


def _random_search(comparison: Comparison) -> Answer:
    baselines = [m for m in comparison.methods if m.finished and m.finished[0].run.config["method"] == RANDOM_SEARCH]
    cell = " Every accuracy ranking has a uniformly random cell." if comparison.table else ""
    if not baselines:
        return Answer(NO, f"No finished run of {RANDOM_SEARCH}; add one with --method {RANDOM_SEARCH}.{cell}")
    own = mean_seconds(baselines[0])
    others = [mean_seconds(method) for method in comparison.methods if method not in baselines]
    known = [seconds for seconds in others if seconds is not None]
    cost = f" (other methods: {min(known):,.0f} to {max(known):,.0f} s)" if known else ""
    seeds = len(baselines[0].finished)
    spent = "with a cost counted in cells" if own is None else f"at a mean search cost of {own:,.0f} s{cost}"
    return Answer(YES, f"Finished seeds: {seeds}, {spent}.{cell}")


def _repeated(comparison: Comparison) -> Answer:
    fewest = min(len(method.finished) for method in comparison.methods)
    evidence = f"At least {fewest} finished seeds a method. Seeds: {_seeds(comparison)}."
    return Answer(YES if fewest > 1 else NO, evidence)


def _tabular(comparison: Comparison) -> Answer:
    words = _looked_up(comparison)
    return Answer(YES if comparison.datasets else NO, f"{words[0].upper()}{words[1:]}.")


def _tuning(comparison: Comparison) -> Answer:
    changed = [label for label in comparison.study.labels if "[" in label]
    which = f"differ from their defaults for {', '.join(changed)}" if changed else "are the defaults of every method"
    return Answer(AUTHOR, f"Hyper-parameters {which}. Tuning before this study, and its cost, is not recorded.")


def _whole_cost(comparison: Comparison) -> Answer:
    seconds = [seed.seconds for method in comparison.methods for seed in method.seeds if seed.seconds is not None]
    if not seconds:
        return Answer(NO, "No run has ended.")
    trained = "" if _retrained(comparison) else " Nothing was trained afterwards."
    return Answer(
        YES,
        f"Search cost covers weight steps, α steps and derivation, the selection of candidates included: "
        f"{sum(seconds) / 3600:.1f} hours in {len(seconds)} ended runs, {fmean(seconds):,.0f} s a run.{trained} The "
        "author has to add the cost of tuning.",
    )


def _setup(comparison: Comparison) -> Answer:
    return Answer(YES, "Protocol, hyper-parameters, environment, digests and commands are on this page.")


def _released(name: str, entry: registry.Plugin | None) -> Answer:
    if entry is None:
        return Answer(AUTHOR, f"{name} is not installed here.")
    if entry.provider == "the harness":
        return Answer(YES, f"Part of nas-harness {__version__}, which is published under MIT.")
    return Answer(AUTHOR, f"{name} comes from {entry.provider}.")


def _retrained(comparison: Comparison) -> bool:
    return any(run.retrained for run in comparison.study.runs)


def _looked_up(comparison: Comparison) -> str:
    if not comparison.datasets:
        return "no cell was looked up"
    name = (comparison.table_provenance or {}).get("name", "a table")
    return f"accuracies are those of the table {name} ({', '.join(comparison.datasets)})"


def _seeds(comparison: Comparison) -> str:
    return ", ".join(map(str, sorted({run.seed for run in comparison.study.runs})))


_CODE, _COMPARING, _REPORTING = "code", "comparison", "reporting"

ITEMS: list[tuple[str, str, Callable[[Comparison], Answer]]] = [
    (_CODE, "Code that trains the final architectures is released", _training_code),
    (_CODE, "Code of the search space is released", _space_code),
    (_CODE, "Settings and seeds of the final training are released", _training_settings),
    (_CODE, "Code of the search methods is released", _method_code),
    (_CODE, "Hyper-parameters and seeds of the search are released", _method_settings),
    (_COMPARING, "All methods have the same data, split, search space and training code", _same_benchmark),
    (_COMPARING, "Hardware, software versions and other confounders are the same", _confounders),
    (_COMPARING, "Ablations show which parts of a method matter", _ablations),
    (_COMPARING, "All methods are evaluated by the same protocol", _same_evaluation),
    (_COMPARING, "Performance is compared over time", _over_time),
    (_COMPARING, "Random search is among the compared methods", _random_search),
    (_COMPARING, "Runs are repeated, and their seeds reported", _repeated),
    (_COMPARING, "A tabular or surrogate benchmark is used for in-depth evaluation", _tabular),
    (_REPORTING, "Tuning of hyper-parameters is reported with its cost", _tuning),
    (_REPORTING, "The cost of the whole method is reported, not of a part of it", _whole_cost),
    (_REPORTING, "Every detail of the set-up is reported", _setup),
]
"""Part of the checklist, item, and the function that answers it."""
