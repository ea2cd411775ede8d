"""Estimate the cost of runs from a few steps of each method, measured on this machine under their protocol.

Every method is measured in a process of its own, as its runs would be, with nothing written but a temporary folder.
Steps are taken at :data:`MOMENTS` epochs spread over the run, so that what changes during a run, such as PC-DARTS's
warm-up without α steps, counts by its share.
"""

from __future__ import annotations

import argparse
import heapq
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from harness.config.protocol import NO_DIAGNOSTICS, Diagnostics, stored_protocol
from harness.data.batches import AT_ONCE, Images
from harness.errors import Diverged, HarnessError, failure
from harness.execution.local import worker_environment
from harness.progress import duration
from harness.runs.folder import RunFolder, write_atomically
from harness.search.cost import resident_peak
from harness.search.diagnostics import SupernetDiagnostics, deterministic_mixture, sample_cells, single_path
from harness.search.query_by_lookup import LookupQuerySearch
from harness.search.query_by_training import TrainingQuerySearch
from harness.search.weight_sharing import WeightSharingSearch
from harness.search.worker import build
from harness.study.planned_run import PlannedRun

if TYPE_CHECKING:
    import pandas as pd

MOMENTS = 10
"""Steps measured of a gradient method, evenly spread over the epochs of a run, after two that warm up."""

CELLS = 3
"""Cells measured of a query-based method, a training step and a validation step each, after one that warms up."""


@dataclass(frozen=True)
class Measured:
    """One run of a method, extrapolated from the steps measured.

    Attributes:
        seconds: of the whole search, its diagnostics included; of one that a table answers, not the simulated ones.
        memory_mib: peak of the process, PyTorch and images included; on a GPU, of the memory allocated there.
    """

    seconds: float
    memory_mib: float


@dataclass(frozen=True)
class Part:
    """The runs of one method.

    Attributes:
        label: of the method.
        runs: all of them, done or not.
        left: of each that has not ended, how much is left of it, from 0 to 1.
        measured: one whole run; None where there is nothing left to do.
    """

    label: str
    runs: int
    left: Sequence[float]
    measured: Measured | None

    @property
    def seconds(self) -> float:
        """Seconds of all that is left, one run after another."""
        return sum(self.left) * self.measured.seconds if self.measured else 0.0


@dataclass(frozen=True)
class Estimate:
    """The cost of what is left of a study.

    Attributes:
        parts: a method each.
        queue: seconds of each run that is not done, in the order in which they would be started.
    """

    parts: Sequence[Part]
    queue: Sequence[float]

    def makespan(self, workers: int) -> float:
        """Seconds until so many workers are done, each as fast as measured and taking the next run when it is free."""
        busy = [0.0] * workers
        for seconds in self.queue:
            heapq.heapreplace(busy, busy[0] + seconds)
        return max(busy)

    def frame(self) -> pd.DataFrame:
        """A row a method: all runs, runs to do, seconds and memory (MiB) of one run, and seconds of all to do."""
        import pandas as pd

        rows = [
            {
                "method": part.label,
                "runs": part.runs,
                "to_do": len(part.left),
                "run_seconds": part.measured.seconds if part.measured else None,
                "memory_mib": part.measured.memory_mib if part.measured else None,
                "seconds": part.seconds,
            }
            for part in self.parts
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        """The estimate for print: a line a method, and the total."""
        lines = [
            f"{part.label}: {len(part.left)} of {part.runs} runs to do"
            + (
                f", {duration(part.measured.seconds)} each, {part.measured.memory_mib:,.0f} MiB"
                if part.measured
                else ""
            )
            for part in self.parts
        ]
        return "\n".join([*lines, f"total: {sum(self.queue) / 3600:.2f} device-hours"])


def measure_runs(runs: Sequence[PlannedRun], threads: int, device: str, data_directory: Path | None) -> Estimate:
    """Measure every method that has a run left to do.

    Args:
        runs: planned; those that have ended are not counted again, those that have begun by what is left of them.
        threads: of PyTorch, in each run.
        device: PyTorch's name.
        data_directory: as given by the user.

    Raises :class:`HarnessError` where a method fails at its first steps or the memory does not suffice.
    """
    of_method: dict[str, list[PlannedRun]] = {}
    for run in runs:
        of_method.setdefault(run.config["label"], []).append(run)
    parts = {}
    for label, planned in of_method.items():
        todo = [run for run in planned if not run.cached]
        measured = _measured(todo[0], threads, device, data_directory) if todo else None
        parts[label] = Part(label, len(planned), [_left(run) for run in todo], measured)
    queue = [
        _left(run) * measured.seconds
        for run in runs
        if not run.cached and (measured := parts[run.config["label"]].measured)
    ]
    return Estimate(list(parts.values()), queue)


def _left(run: PlannedRun) -> float:
    if run.state == "new":
        return 1.0
    return 1 - len(run.folder.read_trace()) / run.config["epochs"]


def _measured(run: PlannedRun, threads: int, device: str, data_directory: Path | None) -> Measured:
    """Measure in a process of its own, whose memory and environment variables are then those of a run."""
    with tempfile.TemporaryDirectory() as path:
        folder = prepare(run, Path(path), threads)
        code = f"import sys; sys.path[:] = {sys.path!r}; from harness.study.estimating import main; main()"
        command = [sys.executable, "-c", code, path, "--device", device]
        if data_directory is not None:
            command += ["--data-dir", str(data_directory)]
        content = run.custom.content if run.custom else b""
        done = subprocess.run(command, input=content, capture_output=True, env=worker_environment(), check=False)
        outcome = folder.read_json("measured.json") or {}
    if "seconds" not in outcome:
        reason = (
            outcome.get("reason") or f"its process died with code {done.returncode}, perhaps because memory ran out"
        )
        raise HarnessError(f"{run.config['label']} cannot be measured: {reason}")
    return Measured(outcome["seconds"], outcome["memory_mib"])


def prepare(run: PlannedRun, path: Path, threads: int) -> RunFolder:
    """A run's configuration in a folder of its own."""
    folder = RunFolder(path)
    folder.write_json("config.json", {**run.config, "threads": threads})
    if run.answers is not None:
        write_atomically(folder.path / "answers.npy", run.answers.to_bytes())
    return folder


def main() -> None:
    """Measure the run whose folder is named on the command line; a custom method comes on standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    folder, content = RunFolder(arguments.folder), sys.stdin.buffer.read()
    try:
        measured = measure(folder, content, arguments.device, arguments.data_dir)
    except HarnessError as error:
        folder.write_json("measured.json", {"reason": str(error)})
    except Exception as error:
        folder.write_json("measured.json", {"reason": failure(error)})
    else:
        folder.write_json("measured.json", asdict(measured))


def measure(folder: RunFolder, content: bytes, device: str, data_directory: Path | None) -> Measured:
    """Measure the run of a folder in this process.

    Args:
        folder: with ``config.json`` and, where a table answers, ``answers.npy``.
        content: the method by value, where it was handed in; else empty.
        device: PyTorch's name.
        data_directory: as given by the user.
    """
    config = folder.config
    diagnostics = stored_protocol(config["protocol"]).diagnostics
    config["protocol"]["diagnostics"] = NO_DIAGNOSTICS.model_dump(mode="json")  # measured apart
    folder.write_json("config.json", config)
    search = build(folder, data_directory, device, content)
    if isinstance(search, WeightSharingSearch):
        seconds = _gradient_seconds(search, config["epochs"], diagnostics, config["seed"])
    elif isinstance(search, TrainingQuerySearch):
        seconds = _query_seconds(search, config["epochs"])
    else:
        seconds = _table_seconds(search, config["epochs"])
    return Measured(seconds, _peak_mib(torch.device(device)))


def _gradient_seconds(search: WeightSharingSearch, epochs: int, diagnostics: Diagnostics, seed: int) -> float:
    data, batches = search.data, _batches(search.data.train)
    few = _first(data.valid, max(AT_ONCE, data.valid.batch_size))
    share = len(data.valid) / len(few)  # what derivation takes is mostly validation, where it is not next to nothing
    search.data = replace(data, train=_first(data.train, data.train.batch_size), valid=few)
    curvature, asked = search.state.curvature, 0

    def flat() -> float:
        """In the place of what takes one batch however many images there are: measured apart. Stops no search."""
        nonlocal asked
        asked += 1
        return 0.0

    search.state.curvature = flat
    for _ in range(2):
        _run_epoch(search, 0)
    asked = 0
    moments = min(MOMENTS, epochs)
    sampled = [(2 * moment + 1) * epochs // (2 * moments) for moment in range(moments)]
    timed = {epoch: _timed(search, epoch) for epoch in sampled}
    steps = sum(seconds for seconds, _ in timed.values()) / moments
    usual = [seconds for epoch, (_, seconds) in timed.items() if epoch < epochs - 1]
    derivation = sum(usual) / max(1, len(usual))
    curvatures = epochs * asked / moments * _seconds(curvature) if asked else 0.0
    _, last = _timed(search, epochs - 1)  # where some methods choose between candidates
    searched = epochs * steps * batches + ((epochs - 1) * derivation + last) * share
    searched += curvatures
    return searched + _diagnosis_seconds(
        SupernetDiagnostics(search.method, search.state, data.valid, diagnostics, seed)
    )


def _diagnosis_seconds(diagnosis: SupernetDiagnostics) -> float:
    """Seconds of all diagnostics of a run. Two cells stand for all that are ranked, one mixture for all perturbed."""
    state, settings = diagnosis.state, diagnosis.settings
    times = sum(diagnosis.due(epoch) for epoch in range(state.epochs))
    begun = time.perf_counter()
    if times:
        diagnosis.measure(diagnosis.method.derive(state))
    seconds = times * (time.perf_counter() - begun)
    if not diagnosis.due_at_end:
        return seconds
    mixture = deterministic_mixture(diagnosis.method, state)
    begun = time.perf_counter()
    for cell in sample_cells(state.space, 2):
        diagnosis.accuracy(single_path(mixture, cell))
    ranked, begun = time.perf_counter() - begun, time.perf_counter()
    diagnosis.accuracy(mixture)
    perturbed = (time.perf_counter() - begun) * (1 + mixture.weights.numel())
    return seconds + ranked * settings.ranking_cells / 2 + perturbed * settings.perturbation


def _query_seconds(search: TrainingQuerySearch, epochs: int) -> float:
    full, data, batches = search.method.epochs_per_cell, search.data, _batches(search.data.train)
    search.method = search.method.model_copy(update={"epochs_per_cell": 1})  # then an epoch of the search pays one cell
    one = data.train.batch_size
    search.data = replace(data, train=_first(data.train, one), valid=_first(data.valid, one))
    _run_epoch(search, 0)
    training = validation = 0.0
    for cell in range(1, CELLS + 1):
        step, rest = _timed(search, cell)
        training, validation = training + step / CELLS, validation + rest / CELLS
    affordable = 2 * epochs // (full + 1)
    return affordable * batches * (full * training + validation)


def _table_seconds(search: LookupQuerySearch, epochs: int) -> float:
    begun = time.perf_counter()
    _run_epoch(search, 0)
    return (time.perf_counter() - begun) * epochs


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _timed(search: WeightSharingSearch | TrainingQuerySearch, epoch: int) -> tuple[float, float]:
    """Seconds of an epoch, without and in derivation."""
    before, begun = search.cost.seconds["derivation"], time.perf_counter()
    _run_epoch(search, epoch)
    derivation = search.cost.seconds["derivation"] - before
    return time.perf_counter() - begun - derivation, derivation


def _run_epoch(search: WeightSharingSearch | TrainingQuerySearch | LookupQuerySearch, epoch: int) -> None:
    with suppress(Diverged):  # on so few images; it takes its time all the same
        search.run_epoch(epoch, lambda fraction: None)


def _first(images: Images, count: int) -> Images:
    """So many images, or all where there are fewer."""
    return replace(images, images=images.images[:count], labels=images.labels[:count])


def _batches(images: Images) -> float:
    """Batches of an epoch, the last one as the fraction it is."""
    return max(1.0, len(images) / images.batch_size)


def _peak_mib(device: torch.device) -> float:
    """Peak memory of this process so far: of the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resident_peak() / 2**20
