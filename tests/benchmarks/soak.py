"""By hand: many tiny runs whose processes are killed at random, workers and commands alike; is anything lost?

``python -m tests.soak --runs 200`` drives a study with the local executor. Every few seconds SIGKILL strikes one of its
workers, or the command itself, which is then given again. In the end every run must have finished exactly once, with
the bits of the same run undisturbed: status, cell, every row of the trace but its clocks, α after every epoch, and the
accuracies looked up. Takes about five processor seconds a run. On a busy machine raise ``--pause``, so that a worker
has the time to end an epoch between two strikes.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from harness.benchmarks.load import load_table
from harness.config.protocol import load_protocol
from harness.data.training_set import load_training_set
from harness.registry import get_method
from harness.runs.results import load_study
from harness.study.lookup import record_accuracies
from harness.study.planned_run import PlannedRun
from harness.study.planning import plan_runs
from tests.support.small_search import TINY, outcome
from tests.support.small_search import run as search
from tests.support.toy import NAS_BENCH_201

METHODS = ("gdas", "darts", "snas", "pc-darts")
SETTINGS = (*TINY, "search.epochs=6")
MOST_COMMANDS = 1000
"""After so many, something is wrong."""


def command(study: Path, seeds: int) -> list[str]:
    """The command line, with more retries than there will be deaths."""
    methods = [word for name in METHODS for word in ("--method", name)]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    where = ["--runs", str(study.parent), "--study", study.name, "--jobs", "2", "--retries", "1000", "--no-mlflow"]
    code = "from harness.cli.main import main; main()"
    return [sys.executable, "-c", code, "run", "--seeds", str(seeds), *methods, *settings, *where]


def disturbed(study: Path, seeds: int, chance: random.Random, pause: float) -> tuple[Counter[str], str]:
    """Give the command until it succeeds, while its processes are killed; what was done so often, and what it said."""
    count: Counter[str] = Counter()
    log = study.parent / "said.txt"
    while count["commands"] < MOST_COMMANDS:
        count["commands"] += 1
        with open(log, "ab") as said:
            process = subprocess.Popen(command(study, seeds), stdout=said, stderr=said)
        here = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(chance.uniform(0, 2 * pause))
            with suppress(psutil.NoSuchProcess):  # it has just ended
                workers = here.children()
                if workers and chance.random() < 0.15:
                    process.kill()
                    count["commands killed"] += 1
                elif workers:
                    chance.choice(workers).kill()
                    count["workers killed"] += 1
        if process.wait() == 0:
            return count, log.read_text()
    raise SystemExit(f"not done after {MOST_COMMANDS} commands; see {log}")


def faults(study: Path, alone: list[PlannedRun], said: str) -> list[str]:
    """What is wrong with a study, a line each; ``alone`` are its runs as planned elsewhere, undisturbed."""
    found = []
    loaded, table = load_study(study), load_table(None, NAS_BENCH_201)
    if loaded.superseded or len(loaded.runs) != len(alone):
        found.append(f"{len(loaded.runs)} runs and {len(loaded.superseded)} superseded, not {len(alone)}")
    by_name = {(run.label, run.seed): run.path for run in loaded.runs}
    for run in alone:
        path = by_name.get((run.config["label"], run.config["seed"]))
        if path is None or not (path / "result.json").is_file():
            found.append(f"{run.name}: lost")
            continue
        ended = re.findall(rf"^{re.escape(run.name)}: .* s, \|.*\|$", said, re.MULTILINE)
        if len(ended) > 1:
            found.append(f"{run.name}: finished {len(ended)} times")
        there = type(run.folder)(path)
        if [row["epoch"] for row in there.read_trace()] != list(range(1, run.config["epochs"] + 1)):
            found.append(f"{run.name}: its epochs are not each there once")
        if list(path.glob("checkpoint*")):
            found.append(f"{run.name}: left a checkpoint")
        run.folder.write_json("config.json", run.config)
        search(run.folder)
        if outcome(there) != outcome(run.folder):
            found.append(f"{run.name}: differs from the undisturbed run")
        record_accuracies(run.folder, table)
        if there.evaluation != run.folder.evaluation:
            found.append(f"{run.name}: its accuracies are others")
    return found


def main() -> None:
    """Soak, compare, and print the counts; exit code 1 where anything was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="a multiple of the number of methods")
    parser.add_argument("--seed", type=int, default=0, help="of the strikes")
    parser.add_argument("--pause", type=float, default=4.0, help="mean seconds between strikes")
    arguments = parser.parse_args()
    seeds = max(1, arguments.runs // len(METHODS))
    with tempfile.TemporaryDirectory() as place:
        study = Path(place) / "runs" / "soak"
        study.parent.mkdir()
        count, said = disturbed(study, seeds, random.Random(arguments.seed), arguments.pause)
        attempts = sum(len(found.read_text().split('"reason"')) - 1 for found in study.rglob("attempts.json"))
        rules, training = load_protocol("quick", SETTINGS), load_training_set("digits")
        threads = load_study(study).runs[0].config["threads"]
        methods = [get_method(name)() for name in METHODS]
        alone = plan_runs(Path(place) / "alone", methods, list(range(seeds)), NAS_BENCH_201, rules, training, threads)
        wrong = faults(study, alone, said)
        if attempts > count["workers killed"]:
            wrong.append(f"{attempts} deaths are recorded, and {count['workers killed']} workers were killed")
    print(f"{len(alone)} runs; {', '.join(f'{number} {what}' for what, number in sorted(count.items()))}")
    print(f"{attempts} deaths recorded in attempts.json")
    print("\n".join(wrong) or "every run finished exactly once, with the bits of the undisturbed one")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
