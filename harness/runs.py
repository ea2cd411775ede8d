"""Run folders: the durable truth of a study. Everything else (MLflow, reports, progress) reads them.

``<runs>/<study>/<label>/seed-<n>-<identity>/`` holds

* ``config.json``: what was run, resolved (see :class:`RunConfig`), written first and never changed;
* ``environment.json``: what it ran on;
* ``trace.jsonl``: a row an epoch (see :class:`TraceRow`), rewritten whole after each epoch;
* ``alphas.json``: α after each epoch, a list of {name: nested list}, with the ``operation_weights`` that the method
  makes of it where they are not softmax(α); of a query-based method, its evaluations so far;
* ``answers.npy``: of a search that a table answers, what it may see of the table (see :mod:`harness.answers`);
* ``checkpoint.pt`` and ``checkpoint-previous.pt``: present while the run is unfinished (see :mod:`harness.checkpoint`);
* ``attempts.json``: when and why processes of this run died, and with what result it ended before it was begun again;
  absent where neither happened (see :class:`Attempt`);
* ``result.json``: status and totals (see :class:`RunResult`), written last;
* ``diagnostics.json``: what was measured of the trained supernet, where it was asked for (see
  :class:`LastDiagnosed`);
* ``evaluation.json``: accuracies of the derived cells (see :class:`RunEvaluation`), joined in afterwards;
* ``log.txt``: what the worker printed: warnings, and the traceback of a failure;
* ``mlflow.json``: what of this run has reached MLflow.

A cell's training from scratch (see :class:`TrainingConfig`) has a folder of the same kind, without ``alphas.json`` and
``evaluation.json``, in ``<runs>/.retrained/<label>/``: whichever studies derive the cell, it is trained once.

Every file is written beside its place and renamed into it, so that a reader never sees half a file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from harness.errors import HarnessError

TRAININGS = ".retrained"
"""Folder of the trainings, among the studies; no study can have this name."""

SCHEMA_VERSION = 4
"""Raised whenever the same configuration would give another result than before; part of every run's identity."""

Status = Literal["finished", "diverged", "failed", "timed out", "interrupted"]
"""How a run ended. A run without a result is ``interrupted``: its next start goes on from the last checkpoint."""

OVER: tuple[Status, ...] = ("finished", "diverged")
"""Ends after which a run would only repeat itself, bit for bit; after any other it goes on."""


class Given(TypedDict, total=False):
    """What ``config.json`` has of some searches only."""

    answers: str  # SHA-256 of ``answers.npy``, where a table answers
    oracle_on_test: bool  # there, and true, where ``valid_accuracy`` is the table's test accuracy
    latencies: list[list[float]]  # seconds by edge and operation, where the loss of α pays for them


class RunConfig(Given):
    """``config.json``. All but ``identity``, ``study``, ``label`` and ``threads`` enters the identity."""

    schema: int
    identity: str  # hash of everything that can change the result
    study: str
    method: str  # registered name
    label: str  # name printed in reports: the method's, with hyper-parameters that differ from their defaults
    hyperparameters: dict[str, Any]
    method_source: str  # SHA-256 of the method's source
    space: str
    dataset: str
    dataset_digest: str
    protocol: dict[str, Any]  # every field
    protocol_hash: str
    epochs: int  # of this method under this protocol
    seed: int
    threads: int  # of PyTorch; a resumed run keeps them, since results depend on them in the last bits


class TrainingConfig(TypedDict):
    """``config.json`` of a training. All but ``identity``, ``study``, ``label``, ``threads`` enters the identity."""

    schema: int
    identity: str  # hash of everything that can change the result
    study: str  # name of MLflow's experiment
    label: str  # cell, data set and recipe, for print
    space: str
    architecture: str  # official string
    index: int  # of that architecture
    dataset: str
    dataset_digest: str  # of the training images
    test_digest: str  # of the test images
    recipe: dict[str, Any]  # every field
    recipe_hash: str
    epochs: int
    seed: int
    threads: int


class Clocked(TypedDict, total=False):
    """A search that was diagnosed says how long that took so far: seconds that are no part of its cost."""

    diagnostics_seconds: float


class Diagnosed(Clocked, total=False):
    """What diagnostics add to a row of the trace, after the epochs in which they were due; see README, Diagnostics."""

    mixture_accuracy: float  # %, of the supernet on search-validation images, with the method's mixed weights
    derived_accuracy: float  # %, of the derived cell alone, with the weights inherited from the supernet
    hessian_eigenvalue: float | None  # largest, of ∇²_α L_val without weight decay; None where not finite


class Looked(TypedDict, total=False):
    """What a search that a table answers adds to a row of the trace; its own seconds are those of the method alone."""

    evaluations: int  # cells looked up so far
    simulated_seconds: float  # of the trainings behind what was looked up so far; absent where the table has no times


class TraceRow(Diagnosed, Looked):
    """One row of ``trace.jsonl``: the state after an epoch. Costs count from the start of the search.

    Of a training, whose cell does not change: ``weight_seconds`` is its time, and no edges are counted.
    """

    epoch: int  # finished epochs, from 1
    architecture: str  # the derived cell, official string
    index: int  # its row in the space's tables
    operations: dict[str, int]  # edges of the derived cell per operation name
    train_loss: float | None
    train_accuracy: float | None  # %, of the mixture trained
    valid_loss: float | None  # None where the method took no validation batch in this epoch
    valid_accuracy: float | None  # %
    alpha_entropy: float | None  # mean over edges of the entropy of softmax(α), nats; None without α
    alpha_margin: float | None  # mean over edges of the largest softmax(α) less the second largest; None without α
    weight_seconds: float  # search cost, in parts
    alpha_seconds: float
    derivation_seconds: float
    examples: int  # images passed forward
    forward_passes: int
    backward_passes: int
    peak_memory_mib: float  # above what the process held before the search


def search_seconds(row: TraceRow) -> float:
    """Search cost so far: the search's own seconds and the simulated ones."""
    own = row["weight_seconds"] + row["alpha_seconds"] + row["derivation_seconds"]
    return own + row.get("simulated_seconds", 0.0)


class RunResult(Clocked):
    """``result.json``. ``architecture`` and ``index`` are None unless the status is ``finished``."""

    status: Status
    reason: str  # one line; empty when finished
    architecture: str | None
    index: int | None
    search_seconds: float  # weight + alpha + derivation + simulated
    other_seconds: float  # checkpoints, logging, diagnostics: not search cost
    started: str  # ISO 8601, UTC
    ended: str


class TrainingResult(RunResult, total=False):
    """``result.json`` of a training. If it finished, what the network gave on the test images after the last epoch."""

    test_loss: float
    test_accuracy: float  # %


class SupernetRanking(TypedDict):
    """What the supernet says of a sample of cells at the end of the search."""

    indices: list[int]  # official; the same cells for all methods and seeds
    accuracies: list[float]  # %, on search-validation images, with the weights inherited from the supernet


class Attempt(TypedDict, total=False):
    """An entry of ``attempts.json``: how an earlier attempt at the run ended."""

    ended: str  # ISO 8601, UTC
    reason: str
    epochs: int  # done by then
    status: Status  # of an attempt that had a result and was begun again on demand; else its process died without one


class LastDiagnosed(TypedDict, total=False):
    """``diagnostics.json``: what was measured of the supernet after the last epoch; each where it was asked for."""

    indices: list[int]  # with ``accuracies``: see SupernetRanking
    accuracies: list[float]
    perturbation: list[list[float]]  # (edges, operations): see Diagnosis.perturbation


class Retrained(TypedDict, total=False):
    """The part of ``evaluation.json`` that is there once the final derived cell was trained from scratch."""

    retrained: dict[str, list[float | None]]  # dataset: test accuracy (%) per training seed; None: it did not finish
    recipe: str  # name, version and hash


class RunEvaluation(Retrained):
    """``evaluation.json``: what the table says of the derived cell after each epoch, in trace order."""

    table: dict[str, Any]  # the table's provenance; empty where nothing was looked up
    accuracy: dict[str, list[float]]  # dataset: test accuracy (%) per trace row


@dataclass(frozen=True)
class RunFolder:
    """One run's folder and the atomic reading and writing of its files."""

    path: Path

    def check_there(self) -> None:
        """Raise :class:`HarnessError` where the folder was taken away; who then wrote in it would make half a run."""
        if not os.path.isfile(self.path / "config.json"):
            raise HarnessError(f"{self.path} is gone or cannot be reached; bring it back and run the same command")

    def write_json(self, name: str, content: Any) -> None:
        """Write ``content`` as JSON under ``name``, atomically."""
        write_atomically(self.path / name, json.dumps(content, indent=1).encode())

    def read_json(self, name: str) -> Any:
        """A JSON file's content, or None where there is none. Raises :class:`HarnessError` if damaged or unreadable."""
        return self._read(name, json.loads)

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        file = self.path / name
        try:
            return parse(file.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise HarnessError(f"{file} is damaged ({error}); delete {self.path} and run again") from None
        except OSError as error:
            raise HarnessError(f"cannot read {file}: {error.strerror}; make it readable and run again") from None

    def write_trace(self, rows: list[TraceRow]) -> None:
        """Replace the trace."""
        write_atomically(self.path / "trace.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())

    def read_trace(self) -> list[TraceRow]:
        """The trace so far; empty before the first epoch is done. Raises as :meth:`read_json` does."""
        return self._read("trace.jsonl", lambda text: [json.loads(line) for line in text.splitlines()]) or []

    @property
    def config(self) -> RunConfig:
        """What was run."""
        found: RunConfig = self.read_json("config.json")
        return found

    @property
    def result(self) -> RunResult | None:
        """How it ended, or None while it has not."""
        found: RunResult | None = self.read_json("result.json")
        return found

    def add_attempt(self, attempt: Attempt) -> None:
        """Add an entry to ``attempts.json``."""
        self.write_json("attempts.json", [*(self.read_json("attempts.json") or []), attempt])

    @property
    def last_diagnosed(self) -> LastDiagnosed:
        """What was measured of its supernet after the last epoch; empty where nothing was."""
        found: LastDiagnosed | None = self.read_json("diagnostics.json")
        return found or LastDiagnosed()

    @property
    def ranking(self) -> SupernetRanking | None:
        """What its supernet said of a sample of cells, or None where that was not asked for."""
        found = self.last_diagnosed
        return SupernetRanking(indices=found["indices"], accuracies=found["accuracies"]) if "indices" in found else None

    @property
    def evaluation(self) -> RunEvaluation | None:
        """Its table accuracies, or None where not looked up."""
        found: RunEvaluation | None = self.read_json("evaluation.json")
        return found


def folder_name(label: str) -> str:
    """A label as a folder name: ``gdas[tau_max=5.0]`` becomes ``gdas-tau_max=5.0``."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", label).strip("-")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that after any crash it holds either its old content or its new one.

    Raises :class:`HarnessError` where the disk is full or not writable.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # where the folder itself is gone, or closed to us
            temporary.unlink(missing_ok=True)
        raise HarnessError(f"cannot write {path}: {error.strerror}; make room or choose another folder") from None
