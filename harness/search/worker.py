"""The work of a search: what its run's folder configures is built, and searched to the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.runs import process
from harness.runs.folder import RunFolder

if TYPE_CHECKING:
    from harness.data.training_set import TrainingSet
    from harness.runs.process import Emit, Progress
    from harness.search.query_by_lookup import LookupQuerySearch
    from harness.search.query_by_training import TrainingQuerySearch
    from harness.search.weight_sharing import WeightSharingSearch


def main() -> None:
    """Search in the run folder named on the command line."""
    process.main(search)


def search(progress: Progress, data_directory: Path | None, device: str, emit: Emit) -> dict[str, Any]:
    """The work of a search."""
    config = progress.folder.config
    searched = build(progress.folder, data_directory, device)
    progress.resume(searched, emit)
    progress.to_the_end(searched, config["epochs"], emit)
    last = searched.last_diagnosis()
    if last is not None:
        progress.folder.write_json("diagnostics.json", last)
    seconds = searched.cost.seconds["diagnostics"]
    return {"diagnostics_seconds": seconds} if seconds else {}


def build(
    folder: RunFolder, data_directory: Path | None, device_name: str
) -> WeightSharingSearch | TrainingQuerySearch | LookupQuerySearch:
    """The search of a run's configuration, at its beginning."""
    import torch

    from harness.config.protocol import stored_protocol
    from harness.data.batches import search_data
    from harness.methods.base import QueryMethod, WeightSharingMethod
    from harness.registry import get_method, get_space
    from harness.runs.environment import compute_reproducibly
    from harness.runs.identity import method_source
    from harness.search.benchmark_query import BenchmarkQuery
    from harness.search.query_by_lookup import LookupQuerySearch
    from harness.search.query_by_training import TrainingQuerySearch
    from harness.search.weight_sharing import WeightSharingSearch

    config = folder.config
    compute_reproducibly(config["threads"])
    device = torch.device(device_name)
    protocol = stored_protocol(config["protocol"])
    method = get_method(config["method"])(**config["hyperparameters"])
    if method_source(type(method)) != config["method_source"]:
        raise HarnessError(f"the source of {method.name} is no longer what the run was planned with; run again")
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


def training_set(folder: RunFolder, data_directory: Path | None) -> TrainingSet:
    """The images of a run. Raises :class:`HarnessError` where they are not those it was planned on."""
    from harness.data.training_set import load_training_set

    config = folder.config
    found = load_training_set(config["dataset"], data_directory, download=False)
    if found.digest != config["dataset_digest"]:
        raise HarnessError(
            f"{found.name} on this machine (digest {found.digest[:12]}) is not what the run was planned on "
            f"({config['dataset_digest'][:12]}); put the same files there"
        )
    return found
