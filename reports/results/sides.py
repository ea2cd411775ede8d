"""The two sides of ``harness compare``, each a study or a method of one, and the settings in which they differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError
from harness.reports.results.comparison import Comparison, MethodResults, make_comparison
from harness.reports.results.flatten import flatten
from harness.runs.results import StudyRuns, find_study, load_study


@dataclass(frozen=True)
class Side:
    """One side.

    Attributes:
        name: the printed name: that of the study, or ``STUDY:METHOD``.
        comparison: the runs of that study, or of that method alone.
        method: the label where the side is one method; None for a whole study.
    """

    name: str
    comparison: Comparison
    method: str | None

    def results(self, label: str) -> MethodResults:
        """Return a method's runs by its label."""
        return next(method for method in self.comparison.methods if method.label == label)

    @property
    def labels(self) -> list[str]:
        """The labels of its methods."""
        return [method.label for method in self.comparison.methods]


def read_sides(
    a: str, b: str, study: str | None = None, runs: str | Path | None = None, table: str | Path | None = None
) -> tuple[Side, Side]:
    """Read both sides: two studies, or two methods.

    Args:
        a: a study by name or folder, ``STUDY:METHOD``, or a method of ``study``; ``b`` likewise.
        study: the study of methods named alone; default: the one that changed last.
        runs: the folder of the studies.
        table: look cells up in this table instead of the studies' own.

    Raises:
        HarnessError: there is no such study or method, the sides are a study and a method or the same, or the runs of
            a side must not be ranked together.
    """
    (first, one), (second, two) = _find(a, study, runs), _find(b, study, runs)
    if (one is None) != (two is None):
        whole, other = (first, b) if one is None else (second, a)
        raise HarnessError(
            f"{whole.name!r} is a study and {other!r} a method; compare two studies or two methods, such as "
            f"{whole.name}:{two or one}"
        )
    sides = _side(first, one, table), _side(second, two, table)
    if (first.path.resolve(), one) == (second.path.resolve(), two):
        raise HarnessError(f"both sides are {sides[0].name}; name two different ones")
    if sides[0].name == sides[1].name:  # studies of one name in two folders
        sides = replace(sides[0], name=f"{first.path}"), replace(sides[1], name=f"{second.path}")
    return sides


def _find(text: str, study: str | None, runs: str | Path | None) -> tuple[StudyRuns, str | None]:
    """Return the study that a side names, and the label of its method if it names one."""
    whole = _study_called(text, runs)
    owner, colon, label = text.rpartition(":")
    if whole is None and colon and owner:
        return _with_method(load_study(owner, runs), label)
    if whole is not None and study is None:
        if whole.path != (latest := load_study(None, runs)).path and text in latest.labels:
            raise HarnessError(
                f"{text!r} is a study, and a method of the latest study; write {latest.name}:{text} for the method, or "
                f"{whole.path.absolute()} for the study"
            )
        return whole, None
    within = load_study(study, runs)
    if text not in within.labels and whole is not None:
        return whole, None
    if text not in within.labels:
        raise HarnessError(
            f"{text!r} is no study, and no method of study {within.name!r}, which has: {', '.join(within.labels)}; "
            "write STUDY, STUDY:METHOD, or METHOD with --study STUDY"
        )
    return within, text


def _study_called(name: str, runs: str | Path | None) -> StudyRuns | None:
    try:
        path = find_study(name, runs)
    except HarnessError:
        return None
    return load_study(path) if name else None


def _with_method(study: StudyRuns, label: str) -> tuple[StudyRuns, str]:
    if label not in study.labels:
        raise HarnessError(f"study {study.name!r} has no method {label!r}; it has: {', '.join(study.labels)}")
    return study, label


def _side(study: StudyRuns, label: str | None, table: str | Path | None) -> Side:
    if label is None:
        return Side(study.name, make_comparison(study, table), None)
    runs = [run for run in study.runs if run.label == label]
    superseded = [run for run in study.superseded if run.label == label]
    return Side(
        f"{study.name}:{label}", make_comparison(StudyRuns(study.path, study.info, runs, superseded), table), label
    )


def shared_dataset(a: Side, b: Side, wanted: str | None = None) -> str:
    """Return the dataset of the comparison: ``wanted``, else the first on which both sides have accuracies.

    Raises:
        HarnessError: there is none.
    """
    shared = [dataset for dataset in a.comparison.datasets if dataset in b.comparison.datasets]
    if wanted is not None and wanted in shared:
        return wanted
    if shared and wanted is None:
        return shared[0]
    has = "; ".join(f"{side.name}: {', '.join(side.comparison.datasets) or 'none'}" for side in (a, b))
    which = "any dataset" if wanted is None else f"dataset {wanted!r}"
    raise HarnessError(f"the two sides do not both have accuracies on {which} ({has}); give a table for both: --table")


def pairs_of(a: Side, b: Side) -> list[tuple[MethodResults, MethodResults]]:
    """Return the methods to compare: the two methods, or every method that both studies have."""
    if a.method is not None and b.method is not None:
        return [(a.results(a.method), b.results(b.method))]
    return [(a.results(label), b.results(label)) for label in a.labels if label in b.labels]


class DifferingSetting(NamedTuple):
    """A setting in which the sides differ: its kind, its name and its value on each side."""

    kind: str
    name: str
    a: str
    b: str


def differing_settings(a: Side, b: Side) -> list[DifferingSetting]:
    """Return every setting in which the sides differ besides the methods, kind by kind; a dash where a side has none.

    For methods with the same label this includes their source and hyper-parameters.
    """
    first, second = _described(a), _described(b)
    for one, two in pairs_of(a, b):
        if one.label == two.label:
            first[f"{one.label}: source or settings"] = _method(one)
            second[f"{one.label}: source or settings"] = _method(two)
    return [
        DifferingSetting(kind, name, facts.get(name, "–"), second[kind].get(name, "–"))
        for kind, facts in first.items()
        for name in dict.fromkeys([*facts, *second[kind]])
        if facts.get(name) != second[kind].get(name)
    ]


def _described(side: Side) -> dict[str, dict[str, str]]:
    """Return the settings of a side's runs, by kind and name."""
    comparison = side.comparison
    config = comparison.study.runs[0].config
    settings = {name: value for name, value in comparison.protocol.items() if name not in {*_NAMES, "diagnostics"}}
    table = {name: value for name, value in (comparison.table_provenance or {}).items() if name not in _NAMES[2:]}
    looked_up = "now" if comparison.table else "by the runs; the table cannot be read now"
    return {
        "protocol": {"protocol": comparison.protocol_name, **dict(flatten(settings))},
        "search space": {"search space": comparison.space.name},
        "dataset": {"searched on": comparison.searched_on, "digest of its images": config["dataset_digest"][:12]},
        "run schema": {"run schema": str(config["schema"])},
        "table": {**{f"table {name}": value for name, value in flatten(table)}, "looked up": looked_up},
        "environment": {name: " | ".join(values) for name, values in comparison.environments.items()},
    }


_NAMES = ("name", "version", "description")


def _method(method: MethodResults) -> dict[str, str]:
    configs = [seed.run.config for seed in method.seeds]
    sources = sorted({config["method_source"][:12] for config in configs})
    label = method.label
    settings = {f"{label} {name}": value for name, value in flatten(configs[0]["hyperparameters"])}
    return {f"{label} source": " | ".join(sources), **settings}
