"""A method handed in as a class: its source, its way to a worker, and what is refused."""

from __future__ import annotations

import linecache
import math
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import HarnessError
from harness.runs.custom_method import from_bytes, is_installed, source_of, to_bytes
from tests.support.custom import Sharp

HEAD = """
from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Mixture
"""
METHOD = """
class Mine(WeightSharingMethod):
    name = "mine"
    paper = "none"
    summary = "one line"

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture({body})
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Import source as a module of the user's own."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_helpers.py").write_text("STEP = 1\n\ndef scaled(alpha):\n    return alpha * STEP\n")
    names = []

    def imported(source: str, body: str = "state.alpha.softmax(dim=1)") -> ModuleType:
        name = f"their_method_{len(names)}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text(HEAD + source + METHOD.format(body=body))
        return __import__(name)

    yield imported
    for name in [*names, "their_helpers"]:
        sys.modules.pop(name, None)


def test_the_source_holds_what_the_class_uses_and_changes_with_it(module) -> None:
    plain = source_of(module("").Mine)
    used = source_of(module("SCALE = 2.0\n\ndef f(x):\n    return x * SCALE\n", "f(state.alpha)").Mine)
    other = source_of(module("SCALE = 3.0\n\ndef f(x):\n    return x * SCALE\n", "f(state.alpha)").Mine)
    unused = source_of(module("SCALE = 2.0\n", "state.alpha.softmax(dim=1)").Mine)
    assert "class Mine" in plain
    assert "def f(x)" in used
    assert "SCALE = 2.0" in used
    assert "SCALE = 3.0" in other
    assert "SCALE" not in unused


def test_helpers_of_other_modules_and_bases_are_followed(module) -> None:
    source = source_of(module("from their_helpers import scaled\n", "scaled(state.alpha)").Mine)
    assert "def scaled(alpha)" in source
    assert "STEP = 1" in source
    assert "class WeightSharingMethod" not in source


@pytest.mark.parametrize(
    ("line", "body", "named"),
    [
        (
            "import their_helpers",
            "their_helpers.scaled(state.alpha)",
            "uses their_helpers, which is the module their_helpers",
        ),
        ("LOCK = __import__('threading').Lock()", "LOCK and state.alpha", "uses LOCK, which is a lock"),
        ("FILES = [open(__file__)]", "FILES and state.alpha", "uses FILES, which is a list"),
    ],
)
def test_what_has_no_text_is_refused_by_its_name(line: str, body: str, named: str, module) -> None:
    with pytest.raises(HarnessError, match=f"Mine cannot be handed in: Mine {named}"):
        source_of(module(line + "\n", body).Mine)


def test_installed_modules_and_functions_are_taken_as_they_are(module) -> None:
    source = source_of(module("import math\nfrom torch import softmax\n", "softmax(state.alpha * math.pi, 1)").Mine)
    assert "softmax(state.alpha * math.pi, 1)" in source
    assert all(is_installed(name) for name in ("math", "torch", "harness.methods.base", "json"))
    assert not is_installed("tests.support.custom")
    assert math.pi


def test_a_process_that_cannot_find_the_class_gets_it_by_value(tmp_path: Path) -> None:
    content = to_bytes(Sharp(power=3))
    assert b"tests.support.custom" not in content or pickle.loads(content).power == 3
    code = "import sys; from harness.runs.custom_method import from_bytes; m = from_bytes(sys.stdin.buffer.read()); "
    code += "print(m.label(), sorted(n for n in sys.modules if n.startswith('tests')))"
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.decode().strip() == "sharp[power=3] []"
    assert from_bytes(content).label() == "sharp[power=3]"


@pytest.mark.parametrize("body", ["    def mixture(self, state):\n        return state.alpha\n", ""])
def test_a_class_of_a_notebook_is_read_from_its_cell(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "from harness.methods.darts import DARTS\n\n"
    first, second = (
        f"{head}class Mine(DARTS):\n    name, paper, summary = 'mine', '', '{text}'\n\n{body}" for text in "ab"
    )
    main = ModuleType("__main__")  # which has no file
    main.In = ["", first, "x = (", second]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    for number, cell in enumerate((first, second)):
        name = f"/tmp/ipykernel_1/{number}.py"
        monkeypatch.setitem(linecache.cache, name, (len(cell), None, cell.splitlines(True), name))
        exec(compile(cell, name, "exec"), vars(main))
    source = source_of(main.Mine)
    assert "class Mine(DARTS):\n    name, paper, summary = 'mine', '', 'b'" in source
    assert "'a'" not in source
    assert ("def mixture" in source) is bool(body)
