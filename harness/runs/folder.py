"""Run folders: the durable truth of a study. Everything else (MLflow, reports, progress) reads them.

``<runs>/<study>/<label>/seed-<n>-<identity>/`` holds

* ``config.json``: what was run, resolved (see :class:`RunConfig`), written first and never changed;
* ``environment.json``: what it ran on;
* ``trace.jsonl``: a row an epoch (see :class:`TraceRow`), rewritten whole after each epoch;
* ``alphas.json``: α after each epoch, a list of {name: nested list}, with the ``operation_weights`` that the method
  makes of it where they are not softmax(α); of a query-based method, its evaluations so far;
* ``answers.npy``: of a search that a table answers, what it may see of the table (see
  :mod:`harness.search.benchmark_query`);
* ``checkpoint.pt`` and ``checkpoint-previous.pt``: present while the run is unfinished (see
  :mod:`harness.runs.checkpoint`);
* ``attempts.json``: when and why processes of this run died, and with what result it ended before it was begun again;
  absent where neither happened (see :class:`Attempt`);
* ``result.json``: status and totals (see :class:`RunResult`), written last;
* ``diagnostics.json``: what was measured of the trained supernet, where it was asked for (see
  :class:`LastDiagnostics`);
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
from typing import Any

from harness.errors import HarnessError
from harness.runs.schema import Attempt, LastDiagnostics, RunConfig, RunEvaluation, RunResult, SupernetRanking, TraceRow


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
        """The configuration of the run."""
        config: RunConfig = self.read_json("config.json")
        return config

    @property
    def result(self) -> RunResult | None:
        """The result of the run; None while it has none."""
        result: RunResult | None = self.read_json("result.json")
        return result

    def add_attempt(self, attempt: Attempt) -> None:
        """Add an entry to ``attempts.json``."""
        self.write_json("attempts.json", [*(self.read_json("attempts.json") or []), attempt])

    @property
    def last_diagnostics(self) -> LastDiagnostics:
        """Measurements of the supernet after the last epoch; empty where there are none."""
        diagnostics: LastDiagnostics | None = self.read_json("diagnostics.json")
        return diagnostics or LastDiagnostics()

    @property
    def ranking(self) -> SupernetRanking | None:
        """The supernet's ranking of a sample of cells; None where it was not asked for."""
        last = self.last_diagnostics
        return SupernetRanking(indices=last["indices"], accuracies=last["accuracies"]) if "indices" in last else None

    @property
    def evaluation(self) -> RunEvaluation | None:
        """Its table accuracies, or None where not looked up."""
        evaluation: RunEvaluation | None = self.read_json("evaluation.json")
        return evaluation


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
