"""What a user waits for, measured through the command line: ``tox -e bench`` runs it after the step times.

* throughput: the same searches one at a time on one thread, and two at a time on one thread each, as a ratio;
* look-ups: loading the embedded table, and asking it for all 15,625 cells;
* report: a whole report of that study.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.benchmarks.load import load_table
from harness.registry import get_space

SEARCH = ["--protocol", "quick", "--seeds", "4", "--no-mlflow"]
"""Four runs of about ten seconds each."""


def harness(*arguments: str) -> float:
    """Seconds that a command takes, on as many cores as the environment's affinity says."""
    began = time.perf_counter()
    code = "from harness.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


def throughput(runs: Path, method: str) -> None:
    """Print the seconds of four searches on one core, and two at a time on two, and their ratio."""
    if not hasattr(os, "sched_setaffinity") or len(everywhere := os.sched_getaffinity(0)) < 2:
        print("throughput: measured on Linux, with two cores")
        return
    first, second = sorted(everywhere)[:2]
    seconds = []
    for jobs, cores in ((1, {first}), (2, {first, second})):
        os.sched_setaffinity(0, cores)  # a run's threads are the cores it may use, shared out among the jobs
        study = ["--runs", str(runs), "--study", f"{method}-{jobs}", "--jobs", str(jobs)]
        seconds.append(harness("run", "--method", method, *SEARCH, *study))
    os.sched_setaffinity(0, everywhere)
    one, two = seconds
    print(f"{method:10} 4 searches: {one:.1f} s on one core, {two:.1f} s on two, ratio {one / two:.2f}", flush=True)


def look_ups() -> None:
    """Print the milliseconds of loading the embedded table and of a query of all its cells."""
    space = get_space("nas-bench-201")
    began = time.perf_counter()
    table = load_table("embedded", space)
    loaded = time.perf_counter()
    table.test_accuracy("cifar10")[np.arange(space.size)]
    asked = time.perf_counter()
    print(f"embedded table: loaded in {1000 * (loaded - began):.0f} ms, all cells in {1000 * (asked - loaded):.1f} ms")


def main() -> None:
    look_ups()
    with tempfile.TemporaryDirectory() as folder:
        for method in ("darts", "gdas"):
            throughput(Path(folder), method)
        seconds = harness("report", "--runs", folder, "--study", "gdas-2")
        print(f"report of four runs: {seconds:.1f} s")


if __name__ == "__main__":
    main()
