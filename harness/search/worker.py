"""The work of a search: build what the configuration of a run's folder says, and search to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from harness.config.protocol import stored_protocol
from harness.data.batches import search_data
from harness.data.training_set import TrainingSet, load_training_set
from harness.errors import HarnessError
from harness.methods.base import Method, QueryMethod, WeightSharingMethod
from harness.registry import get_method, get_space
from harness.runs import custom_method, process
from harness.runs.environment import compute_reproducibly
from harness.runs.folder import RunFolder
from harness.runs.identity import method_source
from harness.runs.process import Emit, Progress
from harness.runs.schema import RunConfig
from harness.search.benchmark_query import BenchmarkQuery
from harness.search.query_by_lookup import LookupQuerySearch
from harness.search.query_by_training import TrainingQuerySearch
from harness.search.weight_sharing import WeightSharingSearch

AnySearch = WeightSharingSearch | TrainingQuerySearch | LookupQuerySearch


def main() -> None:
    """Search in the run folder named on the command line."""
    process.main(search)


def search(progress: Progress, data_directory: Path | None, device: str, emit: Emit) -> dict[str, Any]:
    """Search to the end; returns further fields of the run's result."""
    config = progress.folder.config
    current = build(progress.folder, data_directory, device, progress.content)
    progress.resume(current, emit)
    progress.to_the_end(current, config["epochs"], emit)
    last = current.final_diagnostics()
    if last is not None:
        progress.folder.write_json("diagnostics.json", last)
    seconds = current.cost.seconds["diagnostics"]
    return {"diagnostics_seconds": seconds} if seconds else {}


def build(folder: RunFolder, data_directory: Path | None, device_name: str, content: bytes = b"") -> AnySearch:
    """The search of a run's configuration, at its beginning.

    Args:
        folder: of the run.
        data_directory: as given by the user.
        device_name: PyTorch's name.
        content: the method by value, where the run's method was handed in; else empty.
    """
    config = folder.config
    compute_reproducibly(config["threads"])
    device = torch.device(device_name)
    protocol = stored_protocol(config["protocol"])
    method = _method(config, content)
    space = get_space(config["space"])
    if isinstance(method, QueryMethod) and "answers" in config:
        return LookupQuerySearch(
            method, space, BenchmarkQuery.read(folder.path / "answers.npy"), protocol, config["seed"]
        )
    # the whole set is given up before the search begins, and with it before its memory is measured
    data = search_data(training_set(folder, data_directory), protocol, config["seed"], device)
    if isinstance(method, WeightSharingMethod):
        return WeightSharingSearch(method, space, data, protocol, config["seed"], device, config.get("latencies"))
    assert isinstance(method, QueryMethod)
    return TrainingQuerySearch(method, space, data, protocol, config["seed"], device)


def _method(config: RunConfig, content: bytes) -> Method:
    """The method of a run. Raises :class:`HarnessError` where it is not the one that the run was planned with."""
    if config.get("by_value"):
        if not content:
            raise HarnessError(f"{config['method']} was handed in from Python; hand its class in again to go on")
        return custom_method.from_bytes(content)
    method = get_method(config["method"])(**config["hyperparameters"])
    if method_source(type(method)) != config["method_source"]:
        raise HarnessError(f"the source of {method.name} is no longer what the run was planned with; run again")
    return method


def training_set(folder: RunFolder, data_directory: Path | None) -> TrainingSet:
    """The images of a run. Raises :class:`HarnessError` where they are not those it was planned on."""
    config = folder.config
    training = load_training_set(config["dataset"], data_directory, download=False)
    if training.digest != config["dataset_digest"]:
        raise HarnessError(
            f"{training.name} on this machine (digest {training.digest[:12]}) is not what the run was planned on "
            f"({config['dataset_digest'][:12]}); put the same files there"
        )
    return training
