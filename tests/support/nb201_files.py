"""Small files in the formats of NAS-Bench-201 and NATS-Bench, with made-up numbers."""

from __future__ import annotations

import bz2
import pickle
import random
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.spaces.nas_bench_201.encoding import SIZE, cell_at, to_string
from harness.spaces.nas_bench_201.space import NASBench201

NAMES = [to_string(cell_at(row)) for row in range(SIZE)]
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


class SmallSpace(NASBench201):
    """The first architectures of NAS-Bench-201, as if there were no others."""

    size = 6


def trial(row: int, dataset: str, seed: int, epochs: int, draw: random.Random) -> dict[str, Any]:
    """A training's record: the state of a ``ResultsCount`` of either package. All its numbers are made up."""
    old = epochs == 200  # these hold only the last epoch of some sets, as many real records do
    sets = SETS[dataset]
    kept = {name: range(epochs) if not old or name == sets[0] else (epochs - 1,) for name in sets}
    keys = [f"{name}@{epoch}" for name in sets for epoch in kept[name]]
    seconds = draw.uniform(1, 60)
    passes = {name: draw.uniform(0.1, 3) for name in sets}
    return {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": {epoch: draw.uniform(0, 100) for epoch in range(epochs)},
        "train_acc5es": None if old else {epoch: draw.uniform(0, 100) for epoch in range(epochs)},
        "train_losses": {epoch: draw.uniform(0, 5) for epoch in range(epochs)},
        "train_times": OrderedDict((epoch, seconds) for epoch in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": NAMES[row], "class_num": 10},
        "params": np.float64(round(0.1 + row / 7, 6)),
        "flop": round(7.8 + row / 3, 5),
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(draw.uniform(0.01, 0.02))],
        "eval_names": list(sets),
        "eval_acc1es": {key: draw.uniform(0, 100) for key in keys},
        "eval_times": {f"{name}@{epoch}": passes[name] for name in sets for epoch in range(epochs)},
        "eval_losses": {key: draw.uniform(0, 5) for key in keys},
    }


def results(row: int, epochs: int, trained: dict[str, Sequence[int]], draw: random.Random) -> dict[str, Any]:
    """The state of an ``ArchResults`` of either package."""
    return {
        "arch_index": row,
        "arch_str": NAMES[row],
        "all_results": {
            (dataset, seed): trial(row, dataset, seed, epochs, draw)
            for dataset, seeds in trained.items()
            for seed in seeds
        },
        "dataset_seed": {dataset: list(seeds) for dataset, seeds in trained.items()},
        "clear_net_done": True,
    }


def full_seeds(row: int) -> dict[str, Sequence[int]]:
    """The seeds of the 200-epoch trainings: three, two or one."""
    return dict.fromkeys(SETS, ((777, 888, 999), (777, 999), (888,))[row % 3])


SHORT_SEEDS: dict[str, Sequence[int]] = {"cifar10-valid": (111, 777), **dict.fromkeys(list(SETS)[1:], (777,))}


def official(rows: Sequence[int] = range(SmallSpace.size), size: int = SmallSpace.size) -> dict[str, Any]:
    """The content of a NAS-Bench-201 file: the records of ``rows``, of ``size`` architectures."""
    draw = random.Random(1)
    return {
        "meta_archs": NAMES[:size],
        "total_archs": size,
        "basestr": "C16-N5",
        "arch2infos": {
            row: {"full": results(row, 200, full_seeds(row), draw), "less": results(row, 12, SHORT_SEEDS, draw)}
            for row in rows
        },
        "evaluated_indexes": set(rows),
    }


def write_official(path: Path, content: Any, new: bool = True) -> Path:
    """A file of ``torch.save``, in its format since torch 1.6 or before."""
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


def write_nats(folder: Path, rows: Sequence[int] = range(SmallSpace.size), size: int = SmallSpace.size) -> Path:
    """A NATS-Bench topology folder."""
    draw = random.Random(2)
    folder.mkdir()
    meta = {"meta_archs": NAMES[:size], "total_archs": size, "arch2infos": None, "evaluated_indexes": set()}
    compress(folder / "meta.pickle.pbz2", meta)
    for row in rows:
        record = OrderedDict(
            [("12", results(row, 12, SHORT_SEEDS, draw)), ("200", results(row, 200, full_seeds(row), draw))]
        )
        compress(folder / f"{row:06d}.pickle.pbz2", record)
    return folder


def compress(path: Path, content: Any) -> None:
    """A file of NATS-Bench's ``pickle_save``."""
    path.write_bytes(bz2.compress(pickle.dumps(content, 4)))
