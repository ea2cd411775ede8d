"""The wheel, and virtual environments that have it beside all that the tests run with."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.packaging.environments import BUILT_FROM, Environment, distribution
from tests.support.paths import ROOT

Create = Callable[..., Environment]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of the tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "packaging"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that the first process to come makes, and the others wait for."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            try:
                make(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return folder


@pytest.fixture(scope="session")
def checkout(shared: Path) -> Path:
    """A copy of what a distribution is built from, which builds and editable installations write into."""

    def copy(folder: Path) -> None:
        folder.mkdir()
        skipped = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
        for name in BUILT_FROM:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=skipped)
            else:
                shutil.copy(ROOT / name, folder / name)

    return once(shared / "checkout", copy)


@pytest.fixture(scope="session")
def sdist(shared: Path, checkout: Path) -> Path:
    """The source distribution, unpacked."""

    def build(folder: Path) -> None:
        source = shutil.copytree(checkout, shared / "source")
        backend("build_sdist", source, folder)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            archive.extractall(folder)

    return next(path for path in once(shared / "sdist", build).iterdir() if path.is_dir())


@pytest.fixture(scope="session")
def wheel(shared: Path, sdist: Path) -> Path:
    """The wheel, built from the source distribution, in which an earlier build has left a file."""

    def build(folder: Path) -> None:
        left = sdist / "build" / "lib" / "harness" / "removed.py"
        left.parent.mkdir(parents=True)
        left.touch()
        backend("build_wheel", sdist, folder)

    return next(once(shared / "wheel", build).glob("*.whl"))


def backend(hook: str, source: Path, folder: Path) -> None:
    """Build with setuptools of this environment, so that nothing is downloaded."""
    pytest.importorskip("setuptools", minversion="77")
    folder.mkdir()
    code = f"from setuptools import build_meta; build_meta.{hook}({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def spaces_of_others(shared: Path) -> Path:
    """The wheel of a distribution that has the names of our folders, as the package ``spaces`` of Hugging Face has."""

    def build(folder: Path) -> None:
        folder.mkdir()
        files = {f"{name}/__init__.py": "theirs = True\n" for name in ("methods", "spaces", "reports")}
        distribution(folder, "theirs", files)

    return next(once(shared / "theirs", build).glob("*.whl"))


@pytest.fixture(scope="session")
def create(shared: Path) -> Create:
    """Create a virtual environment with these distributions, installed one after another."""

    def create(name: str, *distributions: str | Path) -> Environment:
        def make(folder: Path) -> None:
            environment = Environment.create(folder)
            for each in distributions:
                environment.install(each)

        return Environment(once(shared / name, make))

    return create


@pytest.fixture(scope="session")
def installed(create: Create, wheel: Path, spaces_of_others: Path) -> Environment:
    """An environment with the wheel, and then the distribution that has the names of our folders."""
    return create("installed", wheel, spaces_of_others)


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder with packages of its own that are called as our folders are."""
    folder = tmp_path / "project"
    for name in ("methods", "spaces", "reports"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("mine = True\n")
    return folder
