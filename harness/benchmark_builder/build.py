"""The trainings behind a tabular benchmark of one's own: every functionally unique cell of a space, in processes.

Each measured cell is a line of ``<tables>/.building/<name>/measured.jsonl``; ``plan.json`` beside it says what is
measured. An interrupted build goes on from there. Both are removed once the table is stored.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

import torch
from filelock import FileLock, Timeout

from harness.benchmark_builder.cell_training import CellTrainer, MeasuredCell, benchmark_images, group_cells
from harness.benchmarks.load import check_tabular
from harness.benchmarks.store import tables_directory
from harness.config.recipe import Recipe
from harness.data.training_set import TrainingSet, load_training_set
from harness.errors import HarnessError
from harness.registry import get_space
from harness.retraining.test_set import TestSet, load_test_set
from harness.runs.environment import compute_reproducibly
from harness.runs.folder import write_atomically
from harness.spaces.base import Architecture, SearchSpace, isomorphic_groups

UNFINISHED = ".building"
"""Folder of unfinished tables, among the tables."""


class CellRow(TypedDict):
    """A line of ``measured.jsonl``: one cell, by the budget's epochs as text."""

    index: int
    parameters: int
    flops: int
    measured: dict[str, MeasuredCell]


@dataclass(frozen=True)
class BuildPlan:
    """The cells to measure and their trainings; a build goes on only if its plan is the same.

    Attributes:
        name: of the table.
        space: name of the search space.
        dataset: name of the data set, whose images are known by the digests.
        recipe: how a cell is trained; its epochs are the full budget.
        short: epochs of the short budget.
        seeds: training seeds, of every cell.
    """

    name: str
    space: str
    dataset: str
    dataset_digest: str
    test_digest: str
    recipe: dict[str, Any]
    short: int
    seeds: list[int]

    @property
    def folder(self) -> Path:
        """The folder of the measurements."""
        return tables_directory() / UNFINISHED / self.name

    @property
    def full(self) -> int:
        """Epochs of the full budget."""
        return int(self.recipe["training"]["epochs"])


def plan_build(
    name: str,
    space: SearchSpace,
    training: TrainingSet,
    test: TestSet,
    recipe: Recipe,
    short: int | None,
    seeds: Sequence[int],
) -> BuildPlan:
    """Plan a table; ``short`` is a quarter of the recipe's epochs if it is None.

    Raises :class:`HarnessError` if the short budget is not shorter, or the space is too large for a table.
    """
    check_tabular(space)
    full = recipe.training.epochs
    epochs = short if short is not None else max(1, full // 4)
    if epochs >= full:
        raise HarnessError(
            f"the short budget, {epochs} epochs, is not below the full one, training.epochs={full}; "
            "lower --short or raise the recipe's epochs"
        )
    content = recipe.model_dump(mode="json")
    return BuildPlan(name, space.name, training.name, training.digest, test.digest, content, epochs, list(seeds))


def measure_cells(
    planned: BuildPlan, jobs: int, device: str, data_directory: Path | None, progress: Callable[[int, int], None]
) -> dict[int, CellRow]:
    """Measure every cell that has not been measured; return all rows, by official index of the cell.

    Args:
        planned: what to measure.
        jobs: processes, each with one of PyTorch's threads.
        device: PyTorch's name.
        data_directory: of the user's option.
        progress: called with the number of measured cells, and of all cells.

    Raises:
        HarnessError: another process builds this table, another plan was begun under its name, the disk is full, or a
            process died. What has been measured is kept; the same command goes on.
    """
    space, folder = get_space(planned.space), planned.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            _check_plan(planned)
            return _measure_all(planned, space, jobs, device, data_directory, progress)
    except Timeout:
        raise HarnessError(f"another process is building {planned.name}; wait for it or stop it") from None
    except BrokenProcessPool:
        raise HarnessError(
            "a process that trained cells was killed, perhaps because memory ran out; nothing measured is lost: the "
            "same command goes on, with fewer --jobs if need be"
        ) from None
    except OSError as error:
        raise HarnessError(
            f"cannot write in {folder} ({error.strerror or error}); make room, and the same command goes on"
        ) from None


def remove_measurements(planned: BuildPlan) -> None:
    """Remove the measurements of a finished build, as far as they can be removed."""
    shutil.rmtree(planned.folder, ignore_errors=True)
    with suppress(OSError):
        planned.folder.parent.rmdir()  # stays while it holds another unfinished table


def _check_plan(planned: BuildPlan) -> None:
    """Write the plan, or compare it with the one that was begun under this name."""
    path, content = planned.folder / "plan.json", json.loads(json.dumps(asdict(planned)))
    try:
        begun = json.loads(path.read_text())
    except FileNotFoundError:
        write_atomically(path, json.dumps(content, indent=1).encode())
        return
    if differing := sorted(key for key in content if content[key] != begun.get(key)):
        raise HarnessError(
            f"a table {planned.name} was begun with another {', '.join(differing)}; go on with the command of then, "
            f"give another --name, or delete {planned.folder}"
        )


def _measure_all(
    planned: BuildPlan,
    space: SearchSpace,
    jobs: int,
    device: str,
    data_directory: Path | None,
    progress: Callable[[int, int], None],
) -> dict[int, CellRow]:
    path = planned.folder / "measured.jsonl"
    rows = {row["index"]: row for row in _read(path)}
    cells = [group[0] for group in isomorphic_groups(space).values()]
    todo = [index for index in cells if index not in rows]
    progress(len(rows), len(cells))
    if not todo:
        return rows
    write_atomically(path, b"".join(_line(row) for row in rows.values()))  # without a line that was cut off
    with open(path, "ab") as file:
        for measured in _rows_of(planned, todo, jobs, device, data_directory):
            file.write(b"".join(map(_line, measured)))
            file.flush()
            rows.update((row["index"], row) for row in measured)
            progress(len(rows), len(cells))
    return rows


def _rows_of(
    planned: BuildPlan, todo: Sequence[int], jobs: int, device: str, data_directory: Path | None
) -> Iterator[list[CellRow]]:
    """Yield the rows of each group of cells as it comes, from processes that end with this generator."""
    space, recipe = get_space(planned.space), Recipe.model_validate(planned.recipe)
    waiting = group_cells(space, recipe, planned.seeds, map(space.architecture, todo))
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(planned, device, data_directory),
    )
    try:
        running: set[Future[list[CellRow]]] = {pool.submit(_measure, group) for group in islice(waiting, 2 * jobs)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_measure, group) for group in islice(waiting, len(done))}
            for future in done:
                yield future.result()
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        pool.shutdown(cancel_futures=True)


_trainer: CellTrainer
_budgets: tuple[int, int]


def _start(planned: BuildPlan, device: str, data_directory: Path | None) -> None:
    """Make a process ready to measure cells."""
    global _trainer, _budgets  # noqa: PLW0603  # a process of a pool has no other way to share state among its tasks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    compute_reproducibly(1)
    recipe, target = Recipe.model_validate(planned.recipe), torch.device(device)
    training = load_training_set(planned.dataset, data_directory, download=False)
    data = benchmark_images(training, load_test_set(planned.dataset, data_directory, download=False), recipe, target)
    _trainer = CellTrainer(get_space(planned.space), data, recipe, planned.seeds, target)
    _budgets = (planned.short, planned.full)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _measure(cells: Sequence[Architecture]) -> list[CellRow]:
    short, full = (_trainer.measure(cells, epochs) for epochs in _budgets)
    rows = []
    for cell, *measured in zip(cells, short, full, strict=True):
        parameters, flops = _trainer.size(cell)
        by_epochs = {str(epochs): each for epochs, each in zip(_budgets, measured, strict=True)}
        rows.append(CellRow(index=_trainer.space.index(cell), parameters=parameters, flops=flops, measured=by_epochs))
    return rows


def _line(row: CellRow) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _read(path: Path) -> Iterator[CellRow]:
    """The lines of a file that may not be there and whose last line may be cut off."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return
