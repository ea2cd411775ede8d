"""A study as an object: what it holds, its ranking, its report, and its one table."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.benchmarks.load import load_table, table_reference
from harness.registry import get_space
from harness.runs import results
from harness.runs.folder import RunFolder
from harness.study.folder import change_study
from harness.study.lookup import record_accuracies
from harness.study.running import claim, mirror_added

if TYPE_CHECKING:
    import pandas as pd

    from harness.reports.comparison_report import ComparisonReport
    from harness.reports.study_report import Report


class Study(results.StudyRuns):
    """A set of runs compared together, as :func:`harness.run` and :func:`harness.load_study` return it.

    It holds what its folder held when it was read: ``path``, ``name``, ``info``, ``runs`` (failed ones included) and
    ``labels``, the printed names of its methods.
    """

    def frame(self) -> pd.DataFrame:
        """A tidy frame with a row per run and epoch; see :func:`harness.runs.results.frame` for its columns."""
        return results.frame(self)

    def ranking(
        self, by: Literal["accuracy", "cost", "stability"] = "accuracy", dataset: str | None = None
    ) -> pd.DataFrame:
        """The methods in order, a row each, as the report ranks them.

        Args:
            by: accuracy, search cost or stability; the three are never blended.
            dataset: of the table; default: cifar10, else the table's first.
        """
        from harness.reports.results.comparison import make_comparison
        from harness.reports.tables.rankings import ranking_frame

        return ranking_frame(make_comparison(self), by, dataset)

    def report(self, out: str | Path | None = None, table: str | Path | None = None) -> Report:
        """Write the report: one HTML page, its figures and its tables.

        Args:
            out: folder to write into; default: ``report`` in the study's folder.
            table: look cells up in this table for the report alone; the study keeps its own.
        """
        from harness.reports.study_report import build_report

        return build_report(self, out, table)

    def compare(self, a: str, b: str, dataset: str | None = None, table: str | Path | None = None) -> ComparisonReport:
        """Two methods of this study side by side, paired by seed; ``a`` and ``b`` as for ``harness compare``."""
        from harness.reports.comparison_report import compare_sides
        from harness.reports.results.sides import read_sides

        return compare_sides(*read_sides(a, b, self.name, self.path.parent, table), dataset)

    def evaluate(self, table: str | Path | None = None) -> Study:
        """Look all cells up again; see :func:`evaluate`."""
        return evaluate(self.path, table)

    def __repr__(self) -> str:
        finished = sum(run.status == "finished" for run in self.runs)
        return f"<Study {self.name!r}: {finished} of {len(self.runs)} runs finished, methods {', '.join(self.labels)}>"


def load_study(name_or_path: str | Path | None = None, runs: str | Path | None = None) -> Study:
    """Read a study by name or path; the one that changed last where no name is given.

    Args:
        name_or_path: of the study.
        runs: folder of the studies; default: ``HARNESS_RUNS_DIR``, else ``runs``.

    Raises:
        HarnessError: there is no such study; the names of those that exist are listed.
    """
    read = results.load_study(name_or_path, runs)
    return Study(**{field.name: getattr(read, field.name) for field in fields(read)})


def evaluate(study: str | Path | None = None, table: str | Path | None = None, runs: str | Path | None = None) -> Study:
    """Look all cells of a study up again, in another table or in its own as that is now.

    A study has one table: from now on reports, frames and further runs use this one.

    Args:
        study: by name or path; default: the latest.
        table: name of an imported table, or a CSV or Parquet file; default: the study's own.
        runs: folder of the studies.

    Raises:
        HarnessError: there is no such study or table, the space has none, or a command works on the study.
    """
    read = results.load_study(study, runs)
    folders = [RunFolder(run.path) for run in (*read.runs, *read.superseded)]
    if folders:
        space = get_space(folders[0].config["space"])
        reference = read.info["table"] if table is None else table_reference(str(table))
        loaded = load_table(reference, space)
        with claim(*{folder.path.parent for folder in folders}):
            change_study(read.path, lambda info: info | {"table": reference, "table_digest": loaded.digest})
            changed = [folder for folder in folders if record_accuracies(folder, loaded)]
        if any((folder.path / "mlflow.json").exists() for folder in changed):
            mirror_added(changed, draw)
    return load_study(read.path)


def draw(space: str, architecture: str) -> bytes:
    """A cell as a PNG, for MLflow."""
    from harness.reports.figures.cells import cell_png  # takes a second to import, and only ended runs are drawn

    return cell_png(space, architecture)
