"""``harness new`` and ``harness check``: from an empty folder to a method that keeps to the contract."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from tests.support.command_line import call, files, refusal
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("work")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Look for plug-ins anew in and after every test."""
    registry.refresh()
    yield
    registry.refresh()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Make the modules of a folder importable and its methods known, as ``pip install -e`` would."""
    info = folder / "plugins-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins\nVersion: 1.2\n")
    lines = "".join(f"{name.replace('_', '-')} = {target}\n" for name, target in points.items())
    (info / "entry_points.txt").write_text(f"[harness.methods]\n{lines}")
    monkeypatch.syspath_prepend(folder)
    for target in points.values():
        monkeypatch.delitem(sys.modules, target.partition(":")[0], raising=False)
    registry.refresh()


def plug_in(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Install a method of this name, whose class is its name with a capital, from a module of its own."""
    (folder / f"{name}.py").write_text(source)
    install(folder, monkeypatch, **{name: f"{name}:{name.capitalize()}"})


def test_a_package_holds_a_method_its_tests_and_how_to_install_it(work: Path) -> None:
    output = call("new", "method", "my-darts", "--package").output
    assert files(work / "my-darts") == ["README.md", "my_darts.py", "pyproject.toml", "tests/test_my_darts.py"]
    assert all(f"my-darts/{file}" in output for file in files(work / "my-darts"))
    assert "pip install -e 'my-darts[test]'" in output
    assert '\nmy-darts = "my_darts:MyDarts"\n' in (work / "my-darts/pyproject.toml").read_text()


def test_a_package_goes_where_the_program_is(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/harness"])
    output = call("new", "method", "my-darts", "--package").output
    assert "install it: .venv/bin/python -m pip install -e 'my-darts[test]'\n" in output
    assert "hold it to the contract: .venv/bin/harness check my-darts\n" in output


def test_in_a_checkout_they_are_files_of_it_and_formatted_as_its_own(work: Path) -> None:
    for module in ("methods/base.py", "spaces/base.py", "tests/methods/__init__.py"):
        (work / module).parent.mkdir(parents=True)
        (work / module).touch()
    (work / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    call("new", "method", "my-darts", "--dir", "spaces")
    written = ["methods/my_darts.py", "tests/methods/test_my_darts.py"]
    assert all((work / file).is_file() for file in written)
    for check in (["check"], ["format", "--check"]):
        subprocess.run([sys.executable, "-m", "ruff", *check, "--no-cache", *written], check=True, cwd=work)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("My_Darts", "'My_Darts' is not of lower-case words"),
        ("2nd", "'2nd' is not of lower-case words"),
        ("../up", "is not of lower-case words"),
        ("class", "'class' is not possible as the name of a module"),
        ("search", "'search' is a section of the settings already"),
        ("mixture", "would hide the class Mixture"),
        ("darts", r"there is a method 'darts' already, harness\.methods\.darts:DARTS of the harness"),
        ("torch", "there is a module 'torch' already"),
        ("methods", "there is a module 'methods' already"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, fault: str, work: Path) -> None:
    assert re.search(fault, refusal(call("new", "method", name, "--package")))
    assert files(work) == []


def test_nothing_is_overwritten(work: Path) -> None:
    test = work / "mine/tests/test_mine.py"
    test.parent.mkdir(parents=True)
    test.write_text("precious")
    assert "mine/tests/test_mine.py exists already" in refusal(call("new", "method", "mine", "--package"))
    assert files(work) == ["mine/tests/test_mine.py"]
    assert test.read_text() == "precious"


def test_outside_of_a_checkout_it_says_what_to_do() -> None:
    assert "add --package" in refusal(call("new", "method", "mine"))


def test_the_new_method_keeps_to_the_contract_beside_broken_ones(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("new", "method", "fresh-darts", "--package")
    folder = work / "fresh-darts"
    (folder / "absent.py").write_text("import no_such_library\n")
    (folder / "no_method.py").write_text("class Other: pass\n")
    install(
        folder,
        monkeypatch,
        absent="absent:Absent",
        no_method="no_method:Other",
        gdas="fresh_darts:FreshDarts",
        fresh_darts="fresh_darts:FreshDarts",
    )
    listed = call("list", "methods").output
    assert re.search(r"^fresh-darts +DARTS at a falling softmax temperature \(package plugins 1\.2\)$", listed, re.M)
    assert re.search(
        r"^absent +broken: absent of package plugins 1\.2 cannot be imported .*no_such_library", listed, re.M
    )
    assert re.search(r"^no-method +broken: no-method is no method", listed, re.M)
    assert re.search(r"^gdas +broken: two methods are called 'gdas'", listed, re.M)
    assert re.search(r"^darts +softmax mixture", listed, re.M)

    checked = call("check", "absent", "no-method", "gdas", "fresh-darts")
    assert checked.exit_code == 1
    assert checked.output.count("FAIL  it can be loaded: ") == 3
    assert re.search(r"^fresh-darts: \d\d checks passed, 0 failed, 0 not applicable$", checked.output, re.M)
    dry = call("run", "--method", "fresh-darts", "--method", "darts", "--seeds", "1", "--dry-run")
    assert "fresh-darts seed 0: 30 epochs, new" in dry.output
    assert refusal(call("run", "--method", "darts", "--method", "absent")).startswith("absent of package plugins 1.2")


def test_checks_that_fail_or_do_not_apply_say_so(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(
        work,
        monkeypatch,
        "stuck",
        "from harness.methods.random_search import RandomSearch\n"
        "class Stuck(RandomSearch):\n"
        "    name = 'stuck'\n"
        "    def ask(self, state):\n"
        "        raise RuntimeError('no idea')\n",
    )
    result = call("check", "stuck")
    assert result.exit_code == 1
    assert "FAIL  it searches every registered space and derives a valid cell\n" in result.output
    assert "RuntimeError: no idea at stuck.py:5" in result.output
    assert "not applicable: it asks for cells and has no supernet" in result.output
    passed, failed, apart = map(int, re.findall(r"(\d+) (?:checks passed|failed|not applicable)", result.output)[-3:])
    assert (passed > 0, failed > 3, apart) == (True, True, 5)


def test_a_default_that_is_refused_is_one_failure(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(
        work,
        monkeypatch,
        "beyond",
        "from pydantic import Field\n"
        "from harness.methods.darts import DARTS\n"
        "class Beyond(DARTS):\n"
        "    name = 'beyond'\n"
        "    size: float = Field(-1.0, ge=0, description='of it')\n",
    )
    result = call("check", "beyond")
    assert result.exit_code == 1
    assert result.output.count("FAIL") == 1
    assert "FAIL  it can be loaded: beyond: size: input should be greater than or equal to 0 (got -1" in result.output


def test_a_method_that_cannot_begin_is_refused_in_a_line(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(
        work,
        monkeypatch,
        "mute",
        "from harness.methods.darts import DARTS\n"
        "class Mute(DARTS):\n"
        "    name = 'mute'\n"
        "    def supernet_options(self):\n"
        "        pass\n",
    )
    line = refusal(call("run", "--method", "mute", "--seeds", "1", "--dry-run"))
    assert line.startswith("mute cannot begin: TypeError: supernet_options lacks a return")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("self.seen = 1", r"ValidationError: keep what changes in state\.memory; seen: .*frozen.* at own\.py:6"),
        ("F.cross_entropy(state.alpha, state.alpha[0, 0].long())", r"\w+Error: .* at own\.py:6"),
    ],
)
def test_a_failure_is_placed_in_the_code_that_called_a_library(
    body: str, line: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(
        work,
        monkeypatch,
        "own",
        "from torch.nn import functional as F\n"
        "from harness.methods.darts import DARTS\n"
        "class Own(DARTS):\n"
        "    name = 'own'\n"
        "    def mixture(self, state):\n"
        f"        {body}\n",
    )
    assert re.search(rf"^ +{line}$", call("check", "own").output, re.M)


def test_an_unknown_name_is_told_what_was_meant() -> None:
    assert "did you mean 'darts'?" in refusal(call("check", "dart"))
    assert "install its package" in refusal(call("info", "my-own"))


def test_the_templates_are_python() -> None:
    call("new", "method", "mine", "--package")
    for file in ("mine/mine.py", "mine/tests/test_mine.py"):
        assert ast.get_docstring(ast.parse(Path(file).read_text()))
