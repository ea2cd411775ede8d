"""Python started in the root of a checkout: beside an installed wheel, installed as editable, and not installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging.conftest import Create, once
from tests.packaging.environments import Environment

PACKAGES = ("methods", "spaces", "reports")

CODE = "".join(f"import harness.{name}; print(harness.{name}.__path__[0])\n" for name in PACKAGES)

TEST = """
import harness.reports
from harness.registry import methods

def test_imports():
    assert "gdas" in methods()
    print("imported", harness.__path__[0])
"""


@pytest.fixture(scope="session")
def root(shared: Path, checkout: Path) -> Path:
    """A checkout with one test, to start Python in and to install as editable."""

    def copy(folder: Path) -> None:
        shutil.copytree(checkout, folder)
        (folder / "tests" / "harness").mkdir(parents=True)
        (folder / "tests" / "__init__.py").touch()
        (folder / "tests" / "test_one.py").write_text(TEST)

    return once(shared / "root", copy)


@pytest.fixture(scope="session", params=["wheel", "editable", "strict", "none"])
def environment(request: pytest.FixtureRequest, create: Create, root: Path, wheel: Path, shared: Path) -> Environment:
    """An environment with the harness installed in one of the ways there are, or not at all."""
    how: str = request.param
    if how in {"wheel", "none"}:
        return create(f"root-{how}", *([wheel] if how == "wheel" else []))

    def make(folder: Path) -> None:
        options = ["--config-settings", "editable_mode=strict"] if how == "strict" else []
        Environment.create(folder).install(*options, "--editable", root)

    return Environment(once(shared / f"root-{how}", make))


def folders_of(checkout: Path) -> list[str]:
    return [str(checkout / name) for name in PACKAGES]


def test_imports_in_the_root_come_from_the_checkout(environment: Environment, root: Path) -> None:
    assert environment.output(root, "python", "-c", CODE).splitlines() == folders_of(root)


def test_a_module_is_run_in_the_root(environment: Environment, root: Path) -> None:
    assert "\ngdas " in environment.output(root, "python", "-m", "harness", "list", "methods")
    assert "tests/test_one.py: 1\n" in environment.output(root, "python", "-m", "pytest", "--co", "-q")


def test_the_command_pytest_tests_what_is_installed(environment: Environment, root: Path) -> None:
    """Here ``python -P``: as the command, it does not put the working directory on the path."""
    output = environment.output(root, "python", "-P", "-m", "pytest", "-s")
    folder = Path(output.partition("imported ")[2].splitlines()[0])
    match environment.folder.name:
        case "root-wheel":
            assert folder == environment.site_packages / "harness"
        case "root-editable":
            assert folder == root / "harness"
        case "root-strict":
            assert folder.is_relative_to(root / "build")


def test_another_checkout_on_the_path_is_used_whole(environment: Environment, checkout: Path, tmp_path: Path) -> None:
    printed = environment.output(tmp_path, "python", "-c", CODE, PYTHONPATH=str(checkout))
    assert printed.splitlines() == folders_of(checkout)


class TestOneLineSaysWhatToDo:
    @pytest.fixture
    def bare(self, create: Create) -> Environment:
        return create("root-none")

    @pytest.mark.parametrize("name", ["methods", "spaces", "reports"])
    def test_where_a_folder_is_imported_by_itself(self, bare: Environment, root: Path, name: str) -> None:
        done = bare.call(root, "python", "-c", f"import {name}")
        said = f"ImportError: this folder is imported as harness.{name}: write harness.{name} in the place of {name}"
        assert done.stderr.splitlines()[-1] == said

    def test_where_a_folder_is_missing(self, bare: Environment, checkout: Path, tmp_path: Path) -> None:
        shutil.copytree(checkout / "harness", tmp_path / "harness")
        done = bare.call(tmp_path, "python", "-m", "harness", "list", "methods")
        assert done.returncode == 2
        assert done.stderr == (
            f"harness: harness.methods is missing: there is no {tmp_path / 'methods' / '__init__.py'}; take the whole "
            "checkout of nas-harness, or install it\n"
        )

    def test_where_a_folder_is_empty(self, bare: Environment, checkout: Path, tmp_path: Path) -> None:
        shutil.copytree(checkout / "harness", tmp_path / "harness")
        (tmp_path / "methods").mkdir()
        (tmp_path / "methods" / "__init__.py").touch()
        listed = bare.output(tmp_path, "python", "-m", "harness", "list", "methods")
        assert listed == "no methods  install nas-harness again: it is incomplete\n"
