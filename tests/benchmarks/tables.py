"""Measures importing a file of the official NAS-Bench-201's structure and size, and loading and querying the table.

    python tests/benchmarks/tables.py /tmp/space

writes a file of 4.7 GiB there, in the format of before torch 1.6, and deletes it at the end. Its numbers are random.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np

from harness.benchmark_import.nas_bench_201 import MAGIC, PROTOCOL
from harness.benchmarks.load import load_table
from harness.benchmarks.store import stored_tables
from harness.registry import get_space
from harness.spaces.nas_bench_201.encoding import SIZE
from tests.support import nb201_files as files

SHARES = (2225, 5439, 7961)
"""Cells of the file of version 1.1 with one, two and three training seeds."""

CODE = """
import resource, sys, time
from pathlib import Path
from harness.registry import get_space
from harness.benchmark_import.importing import import_table
began = time.perf_counter()
import_table(Path(sys.argv[1]), get_space("nas-bench-201"), "measured")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"imported in {time.perf_counter() - began:.0f} s, peak memory {peak:.2f} GiB")
"""


class Template:
    """The pickle of a record, to be written many times with other names, memo numbers and floats."""

    def __init__(self, seeds: int) -> None:
        draw = random.Random(seeds)
        trained = dict.fromkeys(files.SETS, (777, 888, 999)[:seeds])
        record = OrderedDict(
            full=files.results(0, 200, trained, draw), less=files.results(0, 12, files.SHORT_SEEDS, draw)
        )
        stream = io.BytesIO()
        pickler = pickle.Pickler(stream, 2)
        pickler.dump([str(number) for number in range(300)])  # so that all memo numbers have four bytes
        start = stream.tell()
        pickler.dump(record)
        content = stream.getvalue()[start:]
        name = files.NAMES[0].encode()
        puts, floats = [], []
        for opcode, argument, place in pickletools.genops(content):
            if opcode.name in {"LONG_BINPUT", "LONG_BINGET"}:
                puts.append(place + 1)
            elif opcode.name == "BINFLOAT":
                floats.append(place + 1)
            elif argument == files.NAMES[0]:
                self.cut = place
        self.base = min(struct.unpack_from("<I", content, place)[0] for place in puts)
        self.numbers = 1 + max(struct.unpack_from("<I", content, place)[0] for place in puts) - self.base
        self.bytes = np.frombuffer(content, np.uint8)[2:-1]  # without PROTO and STOP
        self.cut -= 2
        self.after = self.cut + 5 + len(name)
        self.puts = np.array(puts)[:, None] - 2 + np.arange(4)
        self.floats = np.array(floats)[:, None] - 2 + np.arange(8)

    def write(self, name: str, first: int, draw: np.random.Generator) -> bytes:
        """The record of an architecture, whose memo numbers begin with ``first``."""
        content = self.bytes.copy()
        places = content[self.puts].view("<u4") - self.base + first
        content[self.puts] = places.astype("<u4").view(np.uint8)
        values = draw.integers(0, 100_000, len(self.floats)) / 1000
        content[self.floats] = values.astype(">f8").view(np.uint8).reshape(-1, 8)
        raw = name.encode()
        return b"".join(
            [content[: self.cut].tobytes(), b"X", struct.pack("<I", len(raw)), raw, content[self.after :].tobytes()]
        )


def generate(path: Path, size: int = SIZE) -> None:
    """Write the records of ``size`` architectures."""
    draw = np.random.default_rng(0)
    templates = [Template(seeds) for seeds in (1, 2, 3)]
    kinds = draw.permutation(np.repeat(range(3), SHARES))
    memo = 0

    def text(value: str) -> bytes:
        nonlocal memo
        memo += 1
        return b"X" + struct.pack("<I", len(value)) + value.encode() + b"r" + struct.pack("<I", memo - 1)

    def put() -> bytes:
        nonlocal memo
        memo += 1
        return b"r" + struct.pack("<I", memo - 1)

    with open(path, "wb") as file:
        for value in (MAGIC, PROTOCOL, {"little_endian": True}):
            pickle.dump(value, file, 2)
        file.write(b"\x80\x02}" + put() + b"(" + text("meta_archs") + b"]" + put() + b"(")
        file.writelines([text(name) for name in files.NAMES[:size]])
        file.write(b"e" + text("total_archs") + b"J" + struct.pack("<i", size) + text("arch2infos") + b"}" + put())
        for row in range(size):
            template = templates[kinds[row]]
            if row % 1000 == 0:
                file.write(b"u(" if row else b"(")
            file.write(b"J" + struct.pack("<i", row) + template.write(files.NAMES[row], memo, draw))
            memo += template.numbers
        file.write(b"u" + text("evaluated_indexes") + b"]" + put() + b"(")
        file.writelines([b"J" + struct.pack("<i", row) for row in range(size)])
        file.write(b"eu.")
        pickle.dump([], file, 2)


def main(folder: Path) -> None:
    """Generate, import, load and query."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "generated.pth"
    os.environ["HARNESS_TABLES_DIR"] = str(folder / "tables")
    try:
        began = time.perf_counter()
        generate(path)
        print(f"generated {path.stat().st_size / 2**30:.2f} GiB in {time.perf_counter() - began:.0f} s", flush=True)
        subprocess.run([sys.executable, "-c", CODE, str(path)], check=True)
        measure()
    finally:
        path.unlink(missing_ok=True)


def measure() -> None:
    """Load and query the table that was imported."""
    space = get_space("nas-bench-201")
    file = stored_tables()["measured"]
    print(f"stored in {file.stat().st_size / 2**20:.1f} MiB")
    for attempt in ("first", "second"):
        began = time.perf_counter()
        table = load_table("measured", space)
        loaded = time.perf_counter()
        table.test_accuracy("cifar10")
        first = time.perf_counter()
        table.valid_accuracy("cifar10", 12)[np.arange(space.size)]
        second = time.perf_counter()
        table.test_accuracy("cifar10")[np.arange(space.size)]
        third = time.perf_counter()
        spans = (loaded - began, first - loaded, second - first, third - second)
        print(
            f"{attempt} time (ms): load, query all cells of a column, of another, again:",
            *(f"{1000 * s:.1f}" for s in spans),
        )
    file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
