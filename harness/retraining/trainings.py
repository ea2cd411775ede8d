"""Retraining: which trainings a set of cells needs, and joining their accuracies to the search runs that derived them.

A training depends on the cell's function, the recipe, the data set and the training seed alone. Isomorphic cells share
one: the cell of the lowest official index stands for all. Its folder lies beside the studies, which share it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from harness.config.recipe import Recipe, load_recipe
from harness.config.settings import Overrides
from harness.data.batches import check_size
from harness.data.training_set import TrainingSet
from harness.errors import HarnessError
from harness.execution.backend import Backend
from harness.execution.local import LocalExecutor
from harness.retraining.test_set import TestSet, load_test_set
from harness.runs.folder import RunFolder, folder_name
from harness.runs.identity import training_identity
from harness.runs.schema import SCHEMA_VERSION, TRAININGS, RunEvaluation, TrainingConfig, TrainingResult
from harness.spaces.base import Architecture, SearchSpace, isomorphic_groups
from harness.study.planned_run import PlannedRun, state_of
from harness.study.running import mirror_added, run_planned
from harness.tracking.delivery import Draw

EXPERIMENT = "retrained"
"""Name of MLflow's experiment for trainings."""

PROGRAM = "harness.retraining.worker"
"""Module of the worker process."""


@dataclass(frozen=True)
class HowToTrain:
    """The circumstances of trainings, which change no result.

    Attributes:
        backend: where the trainings run.
        jobs: trainings at once; None: as many as the backend has cores or workers for.
        device: PyTorch's name.
        data_directory: as given by the user.
        timeout: seconds after which a training is stopped; None: never.
        track: mirror the trainings into MLflow.
        draw: draws a cell for MLflow.
    """

    backend: Backend
    jobs: int | None = None
    device: str = "cpu"
    data_directory: Path | None = None
    timeout: float | None = None
    track: bool = True
    draw: Draw | None = None


@dataclass(frozen=True)
class Retraining:
    """The way cells are retrained, and the folder of the trainings.

    Attributes:
        runs: folder of the studies.
        seeds: training seeds, of every cell.
    """

    runs: Path
    space: SearchSpace
    recipe: Recipe
    training: TrainingSet
    test: TestSet
    seeds: Sequence[int]

    def plan(self, cell: Architecture, seed: int, threads: int) -> PlannedRun:
        """The training of a cell; ``threads`` are PyTorch's where it has not begun."""
        cell = representative(self.space, cell)
        index, recipe = self.space.index(cell), self.recipe
        config = TrainingConfig(
            schema=SCHEMA_VERSION,
            identity="",
            study=EXPERIMENT,
            label=f"cell {index} on {self.training.name}, {recipe.name} {recipe.hash[:6]}",
            space=self.space.name,
            architecture=self.space.format(cell),
            index=index,
            dataset=self.training.name,
            dataset_digest=self.training.digest,
            test_digest=self.test.digest,
            recipe=recipe.model_dump(mode="json"),
            recipe_hash=recipe.hash,
            epochs=recipe.training.epochs,
            seed=seed,
            threads=threads,
        )
        config["identity"] = training_identity(config)
        label = folder_name(config["label"])
        folder = RunFolder(self.runs / TRAININGS / label / f"seed-{seed}-{config['identity']}")
        return PlannedRun(folder, folder.read_json("config.json") or config, state_of(folder))

    def carry_out(self, cells: Sequence[Architecture], how: HowToTrain) -> None:
        """Train what is not finished, one training seed after another. Raises as :func:`run_planned` does."""
        jobs, threads = how.backend.allocate(how.jobs, len(cells) * len(self.seeds))
        planned = [self.plan(cell, seed, threads) for seed in self.seeds for cell in cells]
        trainings = list({run.folder.path: run for run in planned}.values())
        executor = how.backend.executor(LocalExecutor(jobs, how.device, how.data_directory, how.timeout, PROGRAM))
        facts = how.backend.environment(how.device, jobs, threads)
        run_planned(trainings, None, executor, facts, fresh=False, track=how.track, draw=how.draw)

    def final_cells(self, runs: Sequence[PlannedRun], how: HowToTrain) -> None:
        """Retrain the final cells of the searches that finished, and join the accuracies to the searches."""
        derived = self.derived(runs)
        if not derived:
            return
        try:
            self.carry_out(list(dict.fromkeys(cell for _, cell in derived)), how)
        finally:
            joined = [run.folder for run, cell in derived if self._join(run.folder, cell)]
        if how.track and joined:
            mirror_added(joined, how.draw)

    def derived(self, runs: Sequence[PlannedRun]) -> list[tuple[PlannedRun, Architecture]]:
        """The searches that have finished, with their final cells."""
        return [
            (run, self.space.parse(result["architecture"]))
            for run in runs
            if (result := run.folder.result) and result["architecture"]
        ]

    def accuracies(self, cell: Architecture) -> list[float | None]:
        """A cell's test accuracy (%) for each training seed; None: the training has not finished."""
        return [result.get("test_accuracy") if result else None for result in self._results(cell)]

    def _results(self, cell: Architecture) -> list[TrainingResult | None]:
        return [self.plan(cell, seed, 1).folder.read_json("result.json") for seed in self.seeds]

    def _join(self, run: RunFolder, cell: Architecture) -> bool:
        """Write a cell's accuracies into the run that derived it, once all trainings have ended; whether any is new."""
        if None in self._results(cell):
            return False
        known = run.evaluation or RunEvaluation(table={}, accuracy={})
        retrained = {self.training.name: self.accuracies(cell)}
        evaluation = {**known, "retrained": retrained, "recipe": self.recipe.title}
        if known == evaluation:
            return False
        run.write_json("evaluation.json", evaluation)
        return True


def prepare(
    runs: Path,
    space: SearchSpace,
    training: TrainingSet,
    recipe: str | None,
    overrides: Overrides,
    seeds: Sequence[int],
    data_directory: Path | None,
) -> Retraining:
    """Make a :class:`Retraining` from what the user said.

    Args:
        recipe: name or file; None: ``short`` for digits, ``nas-bench-201`` for everything else.
        overrides: changes of the recipe's settings.

    Raises :class:`HarnessError` for a recipe that is unknown or impossible with this data set, and where the test set
    is not there.
    """
    chosen = recipe_for(training, recipe, overrides)
    test = load_test_set(training.name, data_directory, download=False)
    return Retraining(runs, space, chosen, training, test, seeds)


def recipe_for(training: TrainingSet, name: str | None, overrides: Overrides) -> Recipe:
    """The recipe named, or the default for a data set. Raises :class:`HarnessError` as :func:`prepare` does."""
    recipe = load_recipe(name or ("short" if training.name == "digits" else "nas-bench-201"), overrides)
    check_trainable(training, recipe)
    return recipe


def check_trainable(training: TrainingSet, recipe: Recipe) -> None:
    """Raise :class:`HarnessError` where a data set cannot be trained on as a recipe says."""
    check_size(training, recipe.data)
    if len(training.labels) % recipe.training.batch_size == 1 and recipe.data.image_size == 4:
        raise HarnessError(
            f"training.batch_size={recipe.training.batch_size} leaves one image of {training.name} alone in the last "
            "batch, where 4 pixels are too few for batch normalisation; change it by one"
        )


def representative(space: SearchSpace, cell: Architecture) -> Architecture:
    """The isomorphic cell with the lowest official index, which is trained in the place of all.

    In a space that is too large to find it, the cell itself.
    """
    if not space.enumerable:
        return cell
    return space.architecture(isomorphic_groups(space)[space.canonical(cell)][0])


def summary(accuracies: Sequence[float | None]) -> str:
    """Test accuracies (%) of training seeds for print; None is a training that did not finish."""
    values = [value for value in accuracies if value is not None]
    missing = len(accuracies) - len(values)
    apart = f", {missing} of {len(accuracies)} training seeds did not finish" if missing else ""
    if not values:
        return f"none of {len(accuracies)} trainings finished"
    if len(values) == 1:
        return f"{values[0]:.2f} %, one training seed{apart}"
    return f"{fmean(values):.2f} ± {stdev(values):.2f} %, mean ± sd of {len(values)} training seeds{apart}"
