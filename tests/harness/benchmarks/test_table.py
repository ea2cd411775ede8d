"""Tables: what the embedded one and the published one say of known cells, and what is refused."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from harness.benchmarks.analog import read_baseline
from harness.benchmarks.load import load_table
from harness.benchmarks.retraining_noise import retraining_noise
from harness.benchmarks.table import EMBEDDED, TabularBenchmark
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from harness.retraining.test_set import load_test_set
from harness.spaces.base import isomorphic_groups
from harness.spaces.nas_bench_201.encoding import EDGES, NONE, SIZE, SKIP, cell_at, index, parse
from harness.spaces.nas_bench_201.space import NASBench201
from tests.support.paths import DATA

SPACE = NASBench201()
ALL_SKIP, ALL_CONV3, ALL_NONE = ((operation,) * 6 for operation in (1, 3, 0))


@pytest.fixture(scope="module")
def embedded() -> TabularBenchmark:
    return load_table(None, SPACE)


@pytest.fixture(scope="module")
def published() -> TabularBenchmark:
    """NAS-Bench-201's own test accuracies."""
    file = DATA / "nas-bench-201" / "test_accuracy_200ep.csv"
    if not file.is_file():
        pytest.skip(f"no {file}: set HARNESS_DATA_DIR")
    return load_table(file, SPACE)


def cell(text: str) -> int:
    """The index of a cell in short names: ``c3|skip c1|...``, a word an edge, nodes apart."""
    long = {"c3": "nor_conv_3x3", "c1": "nor_conv_1x1", "skip": "skip_connect", "avg": "avg_pool_3x3", "none": "none"}
    nodes = [[f"{long[name]}~{source}" for source, name in enumerate(node.split())] for node in text.split("|")]
    return index(parse("+".join(f"|{'|'.join(node)}|" for node in nodes)))


class OtherSpace(NASBench201):
    name = "other"


# The embedded table


def test_known_cells_of_the_embedded_table(embedded: TabularBenchmark) -> None:
    column = embedded.test_accuracy("cifar10")
    known = {ALL_SKIP: 60.78, ALL_NONE: 10.00, ALL_CONV3: 93.24}
    assert {each: round(float(column[index(each)]), 2) for each in known} == known
    best = "c3|c3 c3|skip c1 c3"  # key (2, 2, 0, 2, 3, 2) of the file, whose edges are in another order
    assert int(column.argmax()) == cell(best)
    assert column.max() == pytest.approx(94.07, abs=0.005)


def test_the_embedded_table_is_the_default(embedded: TabularBenchmark) -> None:
    assert embedded.datasets == ["cifar10", "digits"]
    assert all(column.shape == (SIZE,) for column in embedded.columns.values())
    assert np.array_equal(embedded.valid_accuracy("digits"), load_table(EMBEDDED, SPACE).valid_accuracy("digits"))
    assert embedded.query(7)["cifar10", "test_accuracy"] == embedded.test_accuracy("cifar10")[7]
    with pytest.raises(HarnessError, match=r"has no valid_accuracy on cifar10"):
        embedded.valid_accuracy("cifar10")


def test_the_embedded_table_says_what_it_is(embedded: TabularBenchmark) -> None:
    assert embedded.name == embedded.provenance["name"] == EMBEDDED
    assert "harness benchmark build" in embedded.provenance["source"]
    assert len(bytes.fromhex(embedded.provenance["sha256"])) == 32
    assert embedded.provenance["source"].startswith("analog-nasbench 0.")
    description = embedded.provenance["description"]
    for said in ("digits accuracies of cells trained by this harness", "validated on the other half"):
        assert said in description
    for said in ("digital (floating-point) baseline", "CIFAR-10", "not NAS-Bench-201's own numbers", "Spearman 0.991"):
        assert said in description


def test_digits_of_the_embedded_table_are_those_that_install_with_the_package(embedded: TabularBenchmark) -> None:
    plan = embedded.provenance["plan"]
    training, test = load_training_set("digits"), load_test_set("digits")
    assert (plan["dataset_digest"], plan["test_digest"]) == (training.digest, test.digest)


def test_digits_of_the_embedded_table_are_means_over_training_seeds(embedded: TabularBenchmark) -> None:
    plan = embedded.provenance["plan"]
    for epochs, end in ((plan["recipe"]["training"]["epochs"], ""), (plan["short"], f"@{plan['short']}")):
        for metric in ("valid_accuracy", "test_accuracy"):
            seeds = [embedded.column("digits", f"{metric}@{epochs}/{seed}") for seed in plan["seeds"]]
            assert np.allclose(np.mean(seeds, axis=0), embedded.column("digits", metric + end))
    assert (embedded.column("digits", "valid_seconds") > 0).all()


def test_digits_of_the_embedded_table_tell_cells_apart(embedded: TabularBenchmark) -> None:
    """Differences between cells are far above those between training seeds, and a cell that passes nothing guesses."""
    column = embedded.test_accuracy("digits")
    assert column[index(ALL_NONE)] == pytest.approx(10, abs=2.5)
    passing = column[column > 20]
    assert len(passing) > 0.9 * SIZE
    assert passing.std() > 2 * retraining_noise(embedded, "digits", SPACE)


def test_isomorphic_cells_have_one_record_on_digits(embedded: TabularBenchmark) -> None:
    column = embedded.test_accuracy("digits")
    for group in isomorphic_groups(SPACE).values():
        assert len(set(column[group])) == 1


def test_the_package_of_the_embedded_table_is_not_imported(embedded: TabularBenchmark) -> None:
    assert not [name for name in sys.modules if name.startswith("analognasbench")]


def test_the_embedded_table_covers_one_space() -> None:
    with pytest.raises(
        HarnessError,
        match=r"covers nas-bench-201 only, not other; .*--table PATH, or train its cells with --evaluate retrain$",
    ):
        load_table(None, OtherSpace())


def test_the_embedded_table_ranks_cells_as_nas_bench_201_does(
    embedded: TabularBenchmark, published: TabularBenchmark
) -> None:
    ours, theirs = embedded.test_accuracy("cifar10"), published.test_accuracy("cifar10")
    assert spearmanr(ours, theirs).statistic == pytest.approx(0.991, abs=5e-4)
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(0.9994, abs=5e-5)
    assert (theirs - ours).mean() == pytest.approx(0.29, abs=0.005)


# A package whose data file is not what it should be


class Architecture:
    """Pickles as the package's class of this name, which the reader must not import."""

    def __init__(self, accuracy: Any) -> None:
        self.baseline_accuracy = accuracy


Install = Callable[[bytes], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs an analog-nasbench before the real one, with the given content of its data file."""

    def place(content: bytes) -> None:
        information = tmp_path / "analog_nasbench-0.1.3.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: analog-nasbench\nVersion: 0.1.3\n")
        (information / "RECORD").write_text("analognasbench/data.anb,,\n")
        (tmp_path / "analognasbench").mkdir()
        (tmp_path / "analognasbench" / "data.anb").write_bytes(content)
        monkeypatch.syspath_prepend(tmp_path)

    return place


def data_file(accuracies: dict[tuple[int, ...], Any]) -> bytes:
    entries = {key: Architecture(value) for key, value in accuracies.items()}
    return pickle.dumps(entries, 2).replace(f"c{__name__}\nArch".encode(), b"canalognasbench.data\nArch")


ENTRIES: dict[tuple[int, ...], Any] = dict.fromkeys(itertools.product(range(5), repeat=6), 90.0)
FIRST = (0,) * 6  # all-skip, as skip_connect is the package's operation 0


def test_a_sound_data_file_of_another_version_is_read(install: Install) -> None:
    content = data_file(ENTRIES | {FIRST: 50.0})
    install(content)
    table = read_baseline(SPACE)
    assert table.test_accuracy("cifar10")[index(ALL_SKIP)] == 50
    assert table.provenance["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (data_file(ENTRIES | {FIRST: float("nan")}), r"no baseline accuracy between 0 and 100 for \|skip_connect~0\|"),
        (data_file(ENTRIES | {FIRST: 100.5}), "between 0 and 100"),
        (data_file(ENTRIES | {FIRST: "90"}), "between 0 and 100"),
        (data_file({key: value for key, value in ENTRIES.items() if key != FIRST}), "not hold 15,625 cells"),
        (data_file({key if any(key) else (9,) * 6: value for key, value in ENTRIES.items()}), "between 0 and 100"),
        (pickle.dumps(dict.fromkeys(ENTRIES, 90.0)), "between 0 and 100"),
        (pickle.dumps([90.0] * SIZE), "not hold 15,625 cells"),
        (data_file(ENTRIES)[:100_000], "damaged"),
        (b"", "damaged"),
    ],
    ids=["nan", "above 100", "text", "a cell lacks", "no such cell", "bare numbers", "a list", "truncated", "empty"],
)
def test_a_damaged_data_file_is_refused_in_one_line(install: Install, content: bytes, said: str) -> None:
    install(content)
    with pytest.raises(HarnessError, match=f"{said}.*; install it anew: pip install .*analog-nasbench==0.1.3$"):
        load_table(None, SPACE)


def test_a_hostile_data_file_is_refused_and_nothing_runs(install: Install, tmp_path: Path) -> None:
    created = tmp_path / "created"

    class Hostile:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {created}",)

    content = pickle.dumps({FIRST: Hostile()})
    pickle.loads(content)
    assert created.exists()  # a plain load runs it
    created.unlink()
    install(content)
    with pytest.raises(HarnessError, match=r"was refused: .*'posix\.system'|'nt\.system'"):
        load_table(None, SPACE)
    assert not created.exists()


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(HarnessError, match=r"which is not there; install it: pip install .*analog-nasbench"):
        load_table(None, SPACE)


# NAS-Bench-201's own table


@pytest.mark.parametrize(
    ("text", "accuracies"),
    [
        ("skip|skip skip|skip skip skip", [54.30, 15.61, 16.32]),
        ("c3|c3 c3|c3 c3 c3", [93.76, 71.11, 41.44]),
        ("skip|skip none|skip skip skip", [70.92, 38.97, 18.41]),
        ("c3|c3 c3|skip c3 c3", [94.36, 73.51, 46.34]),
        ("c1|c1 c3|skip c3 c3", [93.99, 72.88, 47.31]),
        ("c3|none c3|skip none skip", [93.91, 70.89, 44.23]),
        ("avg|skip avg|skip avg skip", [54.48, 10.80, 12.85]),
    ],
)
def test_published_cells(published: TabularBenchmark, text: str, accuracies: list[float]) -> None:
    found = [published.test_accuracy(name)[cell(text)] for name in ("cifar10", "cifar100", "ImageNet16-120")]
    assert found == pytest.approx(accuracies, abs=0.006)


def test_published_statistics(published: TabularBenchmark) -> None:
    columns = [published.test_accuracy(name) for name in published.datasets]
    assert [column.mean() for column in columns] == pytest.approx([87.06, 61.41, 33.59], abs=0.006)
    assert [column.std() for column in columns] == pytest.approx([12.93, 12.17, 9.51], abs=0.006)
    assert [column.max() for column in columns] == pytest.approx([94.37, 73.51, 47.31], abs=0.006)
    best = np.flatnonzero(columns[0] == columns[0].max())
    assert set(best.tolist()) == {cell("c3|c3 c3|skip c3 c1"), cell("c3|c3 c3|skip c1 c3")}
    assert int(columns[1].argmax()) == cell("c3|c3 c3|skip c3 c3") == 9930


def gain(choice: tuple[int, ...]) -> int:
    """Number of identity paths from input to output of a cell of skips and nones."""
    paths = [1, 0, 0, 0]
    for (source, target), operation in zip(EDGES, choice, strict=True):
        paths[target] += paths[source] * (operation == SKIP)
    return paths[3]


@pytest.mark.parametrize(
    ("paths", "cells", "ranges"),
    [
        (0, 17, [(10.00, 10.00), (1.00, 1.00), (0.83, 0.83)]),
        (1, 28, [(86.23, 86.80), (57.7, 58.8), (27.6, 28.5)]),
        (2, 14, [(84.01, 84.64), (54.4, 55.2), (25.8, 26.7)]),
        (3, 4, [(70.52, 70.92), (39.0, 39.7), (18.4, 18.8)]),
        (4, 1, [(54.30, 54.30), (15.61, 15.61), (16.32, 16.32)]),
    ],
)
def test_collapse_is_the_number_of_identity_paths(
    published: TabularBenchmark, paths: int, cells: int, ranges: list[tuple[float, float]]
) -> None:
    chosen = [index(each) for each in itertools.product((NONE, SKIP), repeat=6) if gain(each) == paths]
    assert len(chosen) == cells
    for dataset, (low, high), rounding in zip(published.datasets, ranges, (0.006, 0.06, 0.06), strict=True):
        column = published.test_accuracy(dataset)[chosen]
        assert (column.min(), column.max()) == pytest.approx((low, high), abs=rounding)


def test_retraining_noise_of_the_embedded_table(embedded: TabularBenchmark) -> None:
    assert retraining_noise(embedded, "cifar10", NASBench201()) == pytest.approx(0.23, abs=0.005)


def test_published_retraining_noise(published: TabularBenchmark) -> None:
    found = [retraining_noise(published, dataset, NASBench201()) for dataset in published.datasets]
    assert found == pytest.approx([0.17, 0.31, 0.40], abs=0.005)


def test_retraining_noise_by_hand() -> None:
    space = NASBench201()
    column = np.zeros(SIZE)
    alone = index((SKIP,) * 6)
    column[alone] = 50.0  # no other cell computes the same
    assert [space.canonical(cell_at(row)) for row in range(SIZE)].count(space.canonical((SKIP,) * 6)) == 1
    table = TabularBenchmark("zeros", space.name, {("cifar10", "test_accuracy"): column}, {})
    assert retraining_noise(table, "cifar10", space) == 0
    forms = [space.canonical(cell_at(row)) for row in range(SIZE)]
    groups = {form: forms.count(form) for form in set(forms[:200])}
    pair = next(form for form, size in groups.items() if size == 2)
    column[forms.index(pair)] = 2.0  # 2 and 0: sd 1 in one group, 0 in all others
    several = sum(size > 1 for size in np.unique(forms, return_counts=True)[1])
    assert retraining_noise(table, "cifar10", space) == pytest.approx(1 / several)
