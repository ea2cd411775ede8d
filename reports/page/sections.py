"""The sections of a report, in their order on the page, and the elements of each."""

from __future__ import annotations

from collections.abc import Callable

from harness._version import __version__
from harness.reports.figures.alpha_heatmaps import without_alpha
from harness.reports.page.edge_importance_text import edge_importance_text
from harness.reports.page.elements import (
    Commands,
    Element,
    Facts,
    FigureElement,
    Heading,
    Items,
    Paragraph,
    Section,
    TableElement,
)
from harness.reports.page.friedman_text import friedman_text
from harness.reports.page.power_text import power_text
from harness.reports.page.retrained_text import retrained_text
from harness.reports.results.comparison import Comparison
from harness.reports.results.flatten import flatten
from harness.reports.results.friedman import friedman_of
from harness.reports.tables.checklist import checklist_table
from harness.reports.tables.diagnostics import collapse_table, not_recorded, supernet_table
from harness.reports.tables.edge_importance import edge_importance_table
from harness.reports.tables.friedman import friedman_table
from harness.reports.tables.operations import operations_table
from harness.reports.tables.pairwise import pairwise_table
from harness.reports.tables.published import published_table
from harness.reports.tables.rankings import accuracy_table, cost_table, stability_table
from harness.reports.tables.retrained import retrained_tables
from harness.reports.tables.runs import outcomes_table, runs_table


def sections(comparison: Comparison) -> list[Section]:
    """Return every section that has an element."""
    made = [Section(anchor, heading, make(comparison)) for anchor, heading, make in SECTIONS]
    return [section for section in made if section.elements]


def _ranking(comparison: Comparison) -> list[Element]:
    elements: list[Element] = []
    if not comparison.datasets:
        elements.append(Paragraph("There are no accuracies: no run was looked up in a table."))
    for index, dataset in enumerate(comparison.datasets):
        elements.append(TableElement(accuracy_table(comparison, dataset), notes=index == 0))
    elements += [TableElement(table) for table in retrained_tables(comparison)]
    elements += [Paragraph(sentence) for sentence in retrained_text(comparison)]
    return [*elements, TableElement(cost_table(comparison)), TableElement(stability_table(comparison))]


def _differences(comparison: Comparison) -> list[Element]:
    table = pairwise_table(comparison, comparison.headline) if comparison.headline else None
    if table is None:
        return []
    elements: list[Element] = [TableElement(table), Paragraph(power_text(comparison))]
    tests, reason = friedman_of(comparison)
    if tests is None:
        return [*elements, Paragraph(reason)]
    elements.append(Paragraph(friedman_text(tests)))
    return [*elements, FigureElement("critical-difference"), TableElement(friedman_table(comparison, tests))]


def _evidence(comparison: Comparison) -> list[Element]:
    cells = ["accuracy-over-epochs", "table-distribution", "regret-profiles"]
    costs = ["accuracy-over-seconds", "accuracy-over-cells", "accuracy-and-cost"]
    of_networks = ["accuracy-and-flops", "accuracy-and-latency"]
    return [FigureElement(name) for name in [*cells, *costs, *of_networks, "rank-intervals"]]


def _cells(comparison: Comparison) -> list[Element]:
    left_out = without_alpha(comparison)
    elements: list[Element] = [FigureElement("alpha-heatmaps", f"Here: {', '.join(left_out)}." if left_out else "")]
    elements.append(FigureElement("operations-over-epochs"))
    frequencies = operations_table(comparison)
    if frequencies is None:
        return [*elements, Paragraph("No run finished, so no cell was derived.")]
    return [
        *elements,
        TableElement(frequencies),
        FigureElement("derived-cells"),
        TableElement(outcomes_table(comparison)),
    ]


def _edge_importance(comparison: Comparison) -> list[Element]:
    table = edge_importance_table(comparison)
    elements: list[Element] = [Items(edge_importance_text(comparison))]
    elements += [TableElement(table)] if table else []
    alphas = "The heat maps of the architecture parameters show α over the epochs."
    return [
        *elements,
        FigureElement("edge-ablation"),
        FigureElement("perturbations"),
        Paragraph(alphas, note=True, to="cells"),
    ]


def _diagnostics(comparison: Comparison) -> list[Element]:
    supernets, missing = supernet_table(comparison), not_recorded(comparison)
    elements: list[Element] = [TableElement(collapse_table(comparison))]
    elements += [TableElement(supernets)] if supernets else []
    elements += [Paragraph(missing)] if missing else []
    return [*elements, FigureElement("eigenvalues-over-epochs")]


def _failures(comparison: Comparison) -> list[Element]:
    failures = []
    for seed in [seed for method in comparison.methods for seed in method.seeds if not seed.finished]:
        run = seed.run
        how = run.result["reason"] if run.result else ""
        end = f": {how}" if how else "" if run.result else "; the command that started it resumes it"
        failures.append(
            f"{run.label} seed {run.seed}, {run.status} after {len(run.trace)} of {run.config['epochs']} epochs{end}"
        )
    listed = Items(failures) if failures else Paragraph("Every run finished.")
    return [listed, TableElement(runs_table(comparison))]


def _protocol(comparison: Comparison) -> list[Element]:
    protocol = Facts(list(flatten(comparison.protocol)))
    elements: list[Element] = [Heading(f"Protocol {comparison.protocol_name}"), protocol, Heading("Hyper-parameters")]
    settings = {method.label: method.seeds[0].run.config["hyperparameters"] for method in comparison.methods}
    texts = {
        label: ", ".join(f"{name} = {value}" for name, value in flatten(values)) for label, values in settings.items()
    }
    elements += [Facts([(label, text or "none") for label, text in texts.items()]), Heading("Environment")]
    environment = [(name, " | ".join(values)) for name, values in comparison.environments.items()]
    elements.append(Facts(environment) if environment else Paragraph("The runs recorded no environment."))
    elements.append(Heading("Table"))
    if not comparison.table_provenance:
        return [*elements, Paragraph("No table was read and no run was looked up.")]
    description = comparison.table_provenance.get("description")
    elements.append(Paragraph(description or "The description of the table is not known."))
    return [*elements, Facts(list(flatten(comparison.table_provenance)))]


def _checklist(comparison: Comparison) -> list[Element]:
    return [TableElement(checklist_table(comparison), heading=False)]


def _published(comparison: Comparison) -> list[Element]:
    table = published_table(comparison)
    return [TableElement(table, heading=False)] if table else []


def _reproduction(comparison: Comparison) -> list[Element]:
    study = comparison.study
    left_out = f"; {len(study.superseded)} superseded runs are not included" if study.superseded else ""
    environment = [f"{name} {' | '.join(values)}" for name, values in comparison.environments.items()]
    table = comparison.table_provenance or {}
    return [
        Paragraph(
            f"These commands made the study, in this order{left_out}. Runs whose configuration is unchanged are not "
            "repeated. On the same kind of machine, a CPU gives identical results."
        ),
        Commands(study.info.get("commands", [])),
        Facts(
            [
                ("report written by", f"nas-harness {__version__}"),
                ("runs made by", "; ".join(environment) or "not recorded"),
                ("protocol", comparison.protocol_name),
                ("data set, SHA-256", f"{comparison.searched_on}, {study.runs[0].config['dataset_digest']}"),
                ("table, SHA-256", f"{table.get('name', 'none')}, {table.get('sha256', 'not recorded')}"),
                ("seeds", ", ".join(map(str, sorted({run.seed for run in study.runs})))),
            ]
        ),
        Paragraph(
            "The folders beside this page hold its tables (CSV, Markdown, LaTeX) and its figures (PNG, PDF).", note=True
        ),
    ]


SECTIONS: list[tuple[str, str, Callable[[Comparison], list[Element]]]] = [
    ("ranking", "Ranking", _ranking),
    ("differences", "Differences", _differences),
    ("evidence", "Evidence", _evidence),
    ("cells", "Architecture parameters and cells", _cells),
    ("edge-importance", "Importance of edges", _edge_importance),
    ("diagnostics", "Diagnostics", _diagnostics),
    ("failures", "Failures", _failures),
    ("protocol", "Protocol and environment", _protocol),
    ("checklist", "Checklist of best practices", _checklist),
    ("published", "Published elsewhere, under other protocols", _published),
    ("reproduction", "How to reproduce", _reproduction),
]
"""Anchor, heading and function that makes the elements; a section without elements is left out."""
