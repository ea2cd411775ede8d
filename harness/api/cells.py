"""Single cells: looked up in a table, or trained from scratch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.studies import draw
from harness.benchmarks import load
from harness.benchmarks.table import TabularBenchmark
from harness.config.seeds import read_seeds
from harness.config.study_options import DEFAULT_SPACE, settings_of
from harness.data.training_set import load_training_set
from harness.execution.backend import LocalMachine
from harness.registry import get_space
from harness.retraining.trainings import HowToTrain, Retraining, prepare, representative, summary
from harness.runs.results import check_folder, runs_directory
from harness.spaces.base import Architecture

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("harness")


def load_table(name: str | Path | None = None, space: str = DEFAULT_SPACE) -> TabularBenchmark:
    """A tabular benchmark: the accuracies recorded for every cell of a space.

    Args:
        name: of an imported table, or the path of a CSV or Parquet file; default: the embedded table.
        space: search space of the table.

    Raises:
        HarnessError: there is no such table, it cannot be read, or it is of another space.
    """
    return load.load_table(name, get_space(space))


@dataclass(frozen=True)
class RetrainedCell:
    """A cell that was trained from scratch.

    Attributes:
        architecture: official string.
        trained: the isomorphic cell of the lowest index, which was trained in its place; official string.
        dataset: trained and tested on it.
        recipe: name, version and hash.
        seeds: training seeds.
        accuracies: test accuracy (%) for each seed; None: the training did not finish.
    """

    architecture: str
    trained: str
    dataset: str
    recipe: str
    seeds: Sequence[int]
    accuracies: Sequence[float | None]

    def frame(self) -> pd.DataFrame:
        """A row a training seed."""
        import pandas as pd

        return pd.DataFrame({"seed": self.seeds, "test_accuracy": self.accuracies})

    def __str__(self) -> str:
        return f"{self.dataset} test accuracy, recipe {self.recipe}: {summary(self.accuracies)}"


def retrain(
    architecture: str | int | Architecture,
    dataset: str = "digits",
    *,
    recipe: str | None = None,
    seeds: int | str | Sequence[int] = 3,
    set: Mapping[str, Any] | Sequence[str] = (),
    space: str = DEFAULT_SPACE,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    jobs: int | None = None,
    device: str = "cpu",
    timeout: float | None = None,
    no_mlflow: bool = False,
) -> RetrainedCell:
    """Train a cell's network from scratch on a whole training set, and test it once.

    Finished trainings are not repeated, and interrupted ones go on where they stopped. The arguments are the options of
    ``harness retrain``.

    Args:
        architecture: official string or index, or a tuple of operations.

    Raises:
        HarnessError: no such architecture, recipe or data set.
    """
    retraining, cell = train_cell(
        architecture, dataset, recipe, seeds, set, space, runs, data_dir, jobs, device, timeout, no_mlflow
    )
    trained = representative(retraining.space, cell)
    return RetrainedCell(
        retraining.space.format(cell),
        retraining.space.format(trained),
        dataset,
        retraining.recipe.title,
        retraining.seeds,
        retraining.accuracies(cell),
    )


def train_cell(
    architecture: str | int | Architecture,
    dataset: str,
    recipe: str | None,
    seeds: int | str | Sequence[int],
    settings: Mapping[str, Any] | Sequence[str],
    space_name: str,
    runs: str | Path | None,
    data_dir: str | Path | None,
    jobs: int | None,
    device: str,
    timeout: float | None,
    no_mlflow: bool,
) -> tuple[Retraining, Architecture]:
    """:func:`retrain`, with the trainings as an object."""
    space = get_space(space_name)
    cell = space.validate(architecture) if isinstance(architecture, tuple) else space.find(str(architecture))
    folder, backend = check_folder(runs_directory(runs)), LocalMachine()
    backend.check(device)
    directory = Path(data_dir) if data_dir is not None else None
    training = load_training_set(dataset, directory)
    retraining = prepare(folder, space, training, recipe, settings_of(settings), read_seeds(seeds), directory)
    for warning in filter(None, (training.warning, retraining.test.warning)):
        logger.warning(warning)
    how = HowToTrain(backend, jobs, device, directory, 60 * timeout if timeout else None, not no_mlflow, draw)
    retraining.carry_out([cell], how)
    return retraining, cell
