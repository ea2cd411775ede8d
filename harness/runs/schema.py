"""The files of a run folder, field by field."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

TRAININGS = ".retrained"
"""Folder of the trainings, among the studies; no study can have this name."""


SCHEMA_VERSION = 5
"""Raised whenever the same configuration would give another result than before; part of every run's identity."""


Status = Literal["finished", "diverged", "failed", "timed out", "interrupted"]
"""The end of a run. A run without a result is ``interrupted``: its next start goes on from the last checkpoint."""


OVER: tuple[Status, ...] = ("finished", "diverged")
"""Ends after which a run would only repeat itself, bit for bit; after any other it goes on."""


class OptionalFields(TypedDict, total=False):
    """Fields of ``config.json`` that only some searches have."""

    answers: str  # SHA-256 of ``answers.npy``, where a table answers
    oracle_on_test: bool  # there, and true, where ``valid_accuracy`` is the table's test accuracy
    by_value: bool  # there, and true, where the method was handed in as a class or an object
    latencies: list[list[float]]  # seconds by edge and operation, where the loss of α pays for them


class RunConfig(OptionalFields):
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


class TimingFields(TypedDict, total=False):
    """A search that was diagnosed says how long that took so far: seconds that are no part of its cost."""

    diagnostics_seconds: float


class DiagnosticFields(TimingFields, total=False):
    """Fields that diagnostics add to a row of the trace, after the epochs in which they were due."""

    mixture_accuracy: float  # %, of the supernet on search-validation images, with the method's mixed weights
    derived_accuracy: float  # %, of the derived cell alone, with the weights inherited from the supernet
    hessian_eigenvalue: float | None  # largest, of ∇²_α L_val without weight decay; None where not finite


class LookupFields(TypedDict, total=False):
    """Fields that a search by table look-ups adds to a row of the trace; its own seconds are the method's alone."""

    evaluations: int  # cells looked up so far
    simulated_seconds: float  # of the trainings behind what was looked up so far; absent where the table has no times


class TraceRow(DiagnosticFields, LookupFields):
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


class RunResult(TimingFields):
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
    """The supernet's accuracies of a sample of cells at the end of the search."""

    indices: list[int]  # official; the same cells for all methods and seeds
    accuracies: list[float]  # %, on search-validation images, with the weights inherited from the supernet


class Attempt(TypedDict, total=False):
    """An entry of ``attempts.json``: how an earlier attempt at the run ended."""

    ended: str  # ISO 8601, UTC
    reason: str
    epochs: int  # done by then
    status: Status  # of an attempt that had a result and was begun again on demand; else its process died without one


class LastDiagnostics(TypedDict, total=False):
    """``diagnostics.json``: what was measured of the supernet after the last epoch; each where it was asked for."""

    indices: list[int]  # with ``accuracies``: see SupernetRanking
    accuracies: list[float]
    perturbation: list[list[float]]  # (edges, operations): see SupernetDiagnostics.perturbation


class RetrainedFields(TypedDict, total=False):
    """The part of ``evaluation.json`` that is there once the final derived cell was trained from scratch."""

    retrained: dict[str, list[float | None]]  # dataset: test accuracy (%) per training seed; None: it did not finish
    recipe: str  # name, version and hash


class RunEvaluation(RetrainedFields):
    """``evaluation.json``: what the table says of the derived cell after each epoch, in trace order."""

    table: dict[str, Any]  # the table's provenance; empty where nothing was looked up
    accuracy: dict[str, list[float]]  # dataset: test accuracy (%) per trace row
