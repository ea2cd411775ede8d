"""What the wheel and the source distribution hold."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from harness import __version__
from tests.packaging.environments import BUILT_FROM
from tests.support.paths import ROOT, TESTED

FOLDERS = ("methods", "spaces", "reports")


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def in_wheel(file: Path) -> str:
    """A file of the checkout, by its name in the wheel."""
    return file.as_posix() if file.parts[0] == "harness" else f"harness/{file.as_posix()}"


@pytest.mark.skipif("HARNESS_TEST_INSTALLED" not in os.environ, reason="only tox installs the harness for the tests")
def test_the_tests_are_of_an_installed_harness() -> None:
    assert TESTED != ROOT / "harness"
    assert (TESTED / "methods" / "base.py").is_file()


def test_the_wheel_has_one_import_name(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"harness", f"nas_harness-{__version__}.dist-info"}


def test_the_wheel_has_every_file_of_the_four_folders_and_no_other(names: set[str], checkout: Path) -> None:
    files = {
        in_wheel(file.relative_to(checkout))
        for folder in ("harness", *FOLDERS)
        for file in (checkout / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert {name for name in names if name.startswith("harness/")} == files
    data = {
        "harness/py.typed",
        "harness/benchmarks/digits.parquet",
        "harness/config/protocols/quick.yaml",
        "harness/config/recipes/nas-bench-201.yaml",
        "harness/methods/gdas.py",
        "harness/reports/page/templates/page.css",
        "harness/reports/tables/published.csv",
        "harness/scaffold/templates/method.py.jinja",
        "harness/spaces/nas_bench_201/space.py",
    }
    assert data <= files


def test_the_source_distribution_has_what_the_wheel_is_built_from(sdist: Path, checkout: Path) -> None:
    def files(folder: Path) -> set[str]:
        return {
            str(file.relative_to(folder))
            for name in BUILT_FROM
            for file in [folder / name, *(folder / name).rglob("*")]
            if file.is_file() and file.suffix != ".pyc"
        }

    assert files(sdist) == files(checkout)
