"""The sections of a report, in their order on the page: what each is made of."""

from __future__ import annotations

from collections.abc import Callable

from harness._version import __version__
from harness.reports.figures.alpha_heatmaps import without_alpha
from harness.reports.page.elements import Block, Commands, Facts, Heading, Items, Picture, Section, Table, Words, flat
from harness.reports.page.power_text import power_words
from harness.reports.results.comparison import Comparison
from harness.reports.tables.checklist import checklist_sheet
from harness.reports.tables.diagnostics import collapse_sheet, not_recorded, supernet_sheet
from harness.reports.tables.edge_importance import explanation_sheet, explanation_words
from harness.reports.tables.friedman import block_tests, blocks_sheet
from harness.reports.tables.operations import operations_sheet
from harness.reports.tables.pairwise import pairs_sheet
from harness.reports.tables.published import published_sheet
from harness.reports.tables.rankings import accuracy_sheet, cost_sheet, stability_sheet
from harness.reports.tables.retrained import retrained_sheets, retrained_words
from harness.reports.tables.runs import outcomes_sheet, runs_sheet


def sections(comparison: Comparison) -> list[Section]:
    """Every section that has something to say."""
    made = [Section(anchor, heading, make(comparison)) for anchor, heading, make in SECTIONS]
    return [section for section in made if section.blocks]


def _ranking(comparison: Comparison) -> list[Block]:
    blocks: list[Block] = []
    if not comparison.datasets:
        blocks.append(Words("There are no accuracies: no run was looked up in a table."))
    for place, dataset in enumerate(comparison.datasets):
        blocks.append(Table(accuracy_sheet(comparison, dataset), notes=place == 0))
    blocks += [Table(sheet) for sheet in retrained_sheets(comparison)]
    blocks += [Words(sentence) for sentence in retrained_words(comparison)]
    return [*blocks, Table(cost_sheet(comparison)), Table(stability_sheet(comparison))]


def _differences(comparison: Comparison) -> list[Block]:
    sheet = pairs_sheet(comparison, comparison.headline) if comparison.headline else None
    if sheet is None:
        return []
    tests, sentence = block_tests(comparison)
    blocks: list[Block] = [Table(sheet), Words(power_words(comparison)), Words(sentence)]
    return [*blocks, Picture("critical-difference"), Table(blocks_sheet(comparison, tests))] if tests else blocks


def _evidence(comparison: Comparison) -> list[Block]:
    cells = ["accuracy-over-epochs", "table-distribution", "regret-profiles"]
    costs = ["accuracy-over-seconds", "accuracy-over-cells", "accuracy-and-cost"]
    of_networks = ["accuracy-and-flops", "accuracy-and-latency"]
    return [Picture(name) for name in [*cells, *costs, *of_networks, "rank-intervals"]]


def _cells(comparison: Comparison) -> list[Block]:
    left_out = without_alpha(comparison)
    blocks: list[Block] = [Picture("alpha-heatmaps", f"Here: {', '.join(left_out)}." if left_out else "")]
    blocks.append(Picture("operations-over-epochs"))
    frequencies = operations_sheet(comparison)
    if frequencies is None:
        return [*blocks, Words("No run finished, so no cell was derived.")]
    return [*blocks, Table(frequencies), Picture("derived-cells"), Table(outcomes_sheet(comparison))]


def _explanation(comparison: Comparison) -> list[Block]:
    sheet = explanation_sheet(comparison)
    blocks: list[Block] = [Items(explanation_words(comparison))]
    blocks += [Table(sheet)] if sheet else []
    alphas = "How α went to its last values: the heat-maps of the architecture parameters."
    return [*blocks, Picture("edge-ablation"), Picture("perturbations"), Words(alphas, note=True, to="cells")]


def _diagnostics(comparison: Comparison) -> list[Block]:
    supernets, missing = supernet_sheet(comparison), not_recorded(comparison)
    blocks: list[Block] = [Table(collapse_sheet(comparison))]
    blocks += [Table(supernets)] if supernets else []
    blocks += [Words(missing)] if missing else []
    return [*blocks, Picture("eigenvalues-over-epochs")]


def _failures(comparison: Comparison) -> list[Block]:
    found = []
    for seed in [seed for method in comparison.methods for seed in method.seeds if not seed.finished]:
        run = seed.run
        how = run.result["reason"] if run.result else ""
        end = f": {how}" if how else "" if run.result else "; the command that started it goes on from there"
        found.append(
            f"{run.label} seed {run.seed}, {run.status} after {len(run.trace)} of {run.config['epochs']} epochs{end}"
        )
    listed = Items(found) if found else Words("Every run finished.")
    return [listed, Table(runs_sheet(comparison))]


def _protocol(comparison: Comparison) -> list[Block]:
    protocol = Facts(list(flat(comparison.protocol)))
    blocks: list[Block] = [Heading(f"Protocol {comparison.protocol_name}"), protocol, Heading("Hyper-parameters")]
    settings = {method.label: method.seeds[0].run.config["hyperparameters"] for method in comparison.methods}
    words = {label: ", ".join(f"{name} = {value}" for name, value in flat(found)) for label, found in settings.items()}
    blocks += [Facts([(label, text or "none") for label, text in words.items()]), Heading("Environment")]
    environment = [(name, " | ".join(values)) for name, values in comparison.environments.items()]
    blocks.append(Facts(environment) if environment else Words("The runs recorded no environment."))
    blocks.append(Heading("Table"))
    if not comparison.table_provenance:
        return [*blocks, Words("No table was read and no run was looked up.")]
    description = comparison.table_provenance.get("description")
    blocks.append(Words(description or "The description of the table is not known."))
    return [*blocks, Facts(list(flat(comparison.table_provenance)))]


def _checklist(comparison: Comparison) -> list[Block]:
    return [Table(checklist_sheet(comparison), heading=False)]


def _published(comparison: Comparison) -> list[Block]:
    sheet = published_sheet(comparison)
    return [Table(sheet, heading=False)] if sheet else []


def _reproduction(comparison: Comparison) -> list[Block]:
    study = comparison.study
    left_out = f"; {len(study.superseded)} superseded runs are left out" if study.superseded else ""
    environment = [f"{name} {' | '.join(values)}" for name, values in comparison.environments.items()]
    table = comparison.table_provenance or {}
    return [
        Words(
            f"The commands that made this study, in order{left_out}. Runs whose configuration is unchanged are not "
            "repeated; on the same kind of machine a CPU gives the same bits."
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
        Words("Beside this page: its tables as CSV, Markdown and LaTeX, and its figures as PNG and PDF.", note=True),
    ]


SECTIONS: list[tuple[str, str, Callable[[Comparison], list[Block]]]] = [
    ("ranking", "Ranking", _ranking),
    ("differences", "Differences", _differences),
    ("evidence", "Evidence", _evidence),
    ("cells", "Architecture parameters and cells", _cells),
    ("explanation", "What carried the cells", _explanation),
    ("diagnostics", "Diagnostics", _diagnostics),
    ("failures", "Failures", _failures),
    ("protocol", "Protocol and environment", _protocol),
    ("checklist", "Checklist of best practices", _checklist),
    ("published", "Published elsewhere, under other protocols", _published),
    ("reproduction", "How to reproduce", _reproduction),
]
"""Address within the page, heading, and the function that makes its blocks; a section without blocks is left out."""
