"""Finding methods and spaces by name, those of other packages included."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import methods, registry
from harness.config.method_names import name_fault
from harness.errors import HarnessError
from harness.methods.base import QueryMethod, WeightSharingMethod
from harness.registry import get_method, get_space
from tests.support.paths import ROOT, printed

GOOD = '''
from harness.methods.base import WeightSharingMethod
from harness.spaces.base import Mixture

class Uniform(WeightSharingMethod):
    """Every operation weighs the same."""

    name = "uniform"
    paper = "nowhere"
    summary = "every operation weighs the same"

    def mixture(self, search):
        return Mixture(search.alpha.detach() * 0 + 0.2)
'''

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Look for plug-ins anew in and after every test."""
    registry.refresh()
    yield
    registry.refresh()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package of the given source with entry points, as pip would."""
    loaded = set(sys.modules)

    def install(source: str, *points: str, group: str = "harness.methods", package: str = "plugin") -> None:
        (tmp_path / f"{package}_module.py").write_text(source)
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = "\n".join(point.replace(":", f"{package}_module:") for point in points)
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    for name in set(sys.modules) - loaded:
        if name.endswith("_module"):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files count as files of ``methods/``."""
    places = [*methods.__path__, str(tmp_path)]
    monkeypatch.setattr(methods, "__path__", places)
    monkeypatch.setattr(methods.__spec__, "submodule_search_locations", places)
    return tmp_path


def test_the_shipped_methods_and_spaces() -> None:
    assert {"darts", "darts-2nd", "gdas", "pc-darts", "random-search", "snas", "snas-bilevel"} <= set(
        registry.methods()
    )
    assert "nas-bench-201" in registry.spaces()
    assert get_space("nas-bench-201").size == 15625


def ours(entries: dict[str, registry.Plugin]) -> list[str]:
    """The names of what comes with the harness, whatever else is installed."""
    return [name for name, entry in entries.items() if entry.provider == registry.OURS]


@pytest.mark.parametrize("name", ours(registry.methods()))
def test_every_method_loads_under_its_name(name: str) -> None:
    method = get_method(name)
    assert method.name == name
    assert issubclass(method, WeightSharingMethod | QueryMethod)
    assert registry.methods()[name].summary == method.summary


@pytest.mark.parametrize("name", ours(registry.spaces()))
def test_every_space_loads_under_its_name(name: str) -> None:
    space = get_space(name)
    assert space.name == name
    assert registry.spaces()[name].summary == space.summary


def test_names_are_found_without_importing_torch() -> None:
    code = (
        "import sys; from harness.registry import methods_of_group, spaces; methods_of_group('query'), spaces(); "
        "print('torch' in sys.modules or 'harness.methods.base' in sys.modules)"
    )
    assert printed(code) == "False"


@pytest.mark.parametrize("name", ["DARTS", "darts", "Darts"])
def test_case_does_not_count(name: str) -> None:
    assert get_method(name).name == "darts"
    assert get_space(name).name == "darts"


def test_an_underscore_is_a_hyphen() -> None:
    assert get_method("PC_DARTS").name == "pc-darts"
    assert get_space("nas_bench_201").name == "nas-bench-201"


def test_the_exact_name_goes_before_one_that_differs_in_case(install: Install) -> None:
    install(GOOD.replace('"uniform"', '"GDAS"'), "GDAS = :Uniform")
    assert get_method("GDAS").summary == "every operation weighs the same"
    assert get_method("gdas").summary != "every operation weighs the same"
    with pytest.raises(HarnessError, match="unknown method 'Gdas'"):
        get_method("Gdas")


WEIGHT_SHARING = ["darts-pt", "enas", "random-search-ws", "setn", "spos"]


def test_groups_are_the_lists_of_the_readme() -> None:
    listed = {
        "gradient": r"^\* gradient methods: (.*?)^\*",
        "weight-sharing": r"^\* weight-sharing methods, where the trained supernet chooses the cell: (.*?)^\*",
        "query": r"^\* query-based methods, without a supernet: (.*?)^$",
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for group, pattern in listed.items():
        section = re.search(pattern, readme, re.DOTALL | re.MULTILINE)
        assert section
        assert registry.methods_of_group(group) == sorted(re.findall(r"`([a-z0-9-]+)`", section[1]))
    assert registry.methods_of_group("weight-sharing") == WEIGHT_SHARING
    assert registry.methods_of_group("all") == list(registry.methods())


def test_the_source_says_the_group_that_the_class_has() -> None:
    for name, plugin in registry.methods().items():
        assert plugin.group == get_method(name).group, name


def test_a_name_and_its_group_are_one_method() -> None:
    assert registry.expand(["Weight_Sharing", "GDAS", "spos"]) == [*WEIGHT_SHARING, "gdas"]
    with pytest.raises(HarnessError, match="unknown group of methods 'evolution'"):
        registry.methods_of_group("evolution")


@pytest.mark.parametrize("name", registry.GROUPS)
def test_no_method_can_have_the_name_of_a_group(name: str) -> None:
    assert "is a group of methods already" in str(name_fault(name))


def test_a_method_of_another_package_has_the_group_of_its_class(install: Install) -> None:
    install(GOOD + '    group = "weight-sharing"\n', "uniform = :Uniform")
    assert registry.methods_of_group("weight-sharing") == [*WEIGHT_SHARING, "uniform"]
    assert "uniform" not in registry.methods_of_group("gradient")


def test_a_near_miss_is_told_the_right_name() -> None:
    with pytest.raises(HarnessError, match=r"unknown method 'dart', did you mean 'darts'\? There are: .*gdas"):
        get_method("dart")
    with pytest.raises(HarnessError, match=r"unknown space 'nasbench201', did you mean 'nas-bench-201'\?"):
        get_space("nasbench201")


def test_a_far_miss_is_told_all_names() -> None:
    with pytest.raises(
        HarnessError,
        match=r"unknown method 'zzz'\. There are: .*\bdarts, darts-2nd, .*; for one of your own, give its class",
    ):
        get_method("zzz")


def test_a_method_of_another_package(install: Install) -> None:
    install(GOOD, "uniform = :Uniform")
    assert registry.methods()["uniform"].provider == "package plugin 1.2"
    assert get_method("uniform").summary == "every operation weighs the same"
    assert "darts" in registry.methods()


def test_a_space_of_another_package(install: Install) -> None:
    source = "from tests.support.toy import OneEdge"
    install(source, "one-edge = :OneEdge", group="harness.spaces")
    assert get_space("one-edge").size == 3


def test_two_methods_of_one_name_hurt_no_other(install: Install) -> None:
    install(GOOD, "darts = :Uniform")
    message = r"two methods are called 'darts'.*methods\.darts:DARTS.*package plugin 1\.2"
    with pytest.raises(HarnessError, match=message):
        get_method("darts")
    assert re.match(f"broken: {message}", registry.methods()["darts"].summary)
    assert get_method("gdas").name == "gdas"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("\n1 / 0", r"ZeroDivisionError: .* at \w+\.py:2$"),
        (GOOD + "    size = 3", r"non-annotated attribute was detected: `size = 3`.* at \w+\.py:\d+$"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("class Other: pass", "has no class 'Uniform'; correct the entry point and install again"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_broken_plug_in_is_named_and_hurts_no_other(install: Install, source: str, cause: str) -> None:
    install(source, "uniform = :Uniform")
    with pytest.raises(HarnessError, match=rf"uniform of package plugin 1\.2 cannot be imported .*{cause}"):
        get_method("uniform")
    assert get_method("darts").name == "darts"


def test_an_entry_point_without_a_class(install: Install) -> None:
    install(GOOD, "uniform = json")
    with pytest.raises(HarnessError, match=r"uniform of package plugin 1\.2 cannot be imported from json"):
        get_method("uniform")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Uniform: pass", "uniform is no method: .* must derive from WeightSharingMethod or QueryMethod"),
        ("Uniform = 3", "uniform is no method: 3 must derive"),
        ("from harness.methods.base import Method as Uniform", "uniform is no method"),
        (GOOD.replace("WeightSharingMethod", "QueryMethod"), r"uniform is incomplete: .* must define ask$"),
        (GOOD.replace('    paper = "nowhere"\n', ""), r"uniform is incomplete: .* must define paper$"),
        (
            GOOD.replace('name = "uniform"', 'name = "equal"'),
            "is registered as 'uniform' but its name is 'equal'.* install its package again",
        ),
    ],
)
def test_what_is_no_method_is_refused(install: Install, source: str, message: str) -> None:
    install(source, "uniform = :Uniform")
    with pytest.raises(HarnessError, match=message):
        get_method("uniform")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Line: pass", "line is no space: .* must derive from SearchSpace"),
        (
            'from harness.spaces.base import SearchSpace\nclass Line(SearchSpace):\n    name = "line"',
            "line is incomplete: .* must define summary, operations, edges, size, architecture, canonical",
        ),
    ],
)
def test_what_is_no_space_is_refused(install: Install, source: str, message: str) -> None:
    install(source, "line = :Line", group="harness.spaces")
    with pytest.raises(HarnessError, match=message):
        get_space("line")


def test_a_file_adds_a_method(folder: Path) -> None:
    (folder / "uniform_method.py").write_text(GOOD)
    assert registry.methods()["uniform"].provider == "the harness"
    assert get_method("uniform").name == "uniform"
    del sys.modules["harness.methods.uniform_method"]


def test_classes_without_a_name_are_no_methods(folder: Path) -> None:
    before = set(registry.methods())
    (folder / "helpers.py").write_text("class Helper:\n    size = 3\n\nclass Other:\n    name: str\n")
    registry.refresh()
    assert set(registry.methods()) == before


def test_the_summary_of_a_method_without_one_is_its_docstring(folder: Path) -> None:
    (folder / "uniform_method.py").write_text(GOOD.replace('    summary = "every operation weighs the same"\n', ""))
    assert registry.methods()["uniform"].summary == "Every operation weighs the same."


def test_lock_files_of_editors_and_checkpoints_of_notebooks_are_passed_over(folder: Path) -> None:
    before = registry.methods()
    registry.refresh()
    (folder / ".#uniform.py").symlink_to("somebody@somewhere.1234")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "darts-checkpoint.py").write_text('class DARTS:\n    name = "darts"\n')
    assert registry.methods() == before


def test_a_file_that_cannot_be_read_says_so(folder: Path) -> None:
    (folder / "a_folder.py").mkdir()
    (folder / "gone.py").symlink_to("nowhere")
    (folder / "deep.py").write_text(f"x = {'-' * 100_000}1\n")
    for name in ("a-folder", "gone", "deep"):
        assert registry.methods()[name].summary.startswith("broken: ")
    assert get_method("darts").name == "darts"


@pytest.mark.parametrize(
    "content", [b"class Broken(:\n", b"x = '\xff'\n", b"x = 1\0\n"], ids=["syntax", "bytes", "null"]
)
def test_a_file_that_is_not_python_hurts_no_other_and_says_why(folder: Path, content: bytes) -> None:
    (folder / "half_written.py").write_bytes(content)
    assert get_method("darts").name == "darts"
    assert registry.methods()["half-written"].summary.startswith("broken: ")
    with pytest.raises(HarnessError, match=r"half-written of the harness cannot be imported .*methods\.half_written"):
        get_method("half-written")
