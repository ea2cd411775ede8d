"""The pages in docs/: what they show runs, and what they say of methods and protocols is all there is."""

from __future__ import annotations

import csv
import doctest
import importlib.util
import logging
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from harness import registry
from harness.cli.main import harness
from harness.config import protocol
from harness.config.descriptions import as_yaml
from harness.config.settings import fields_of
from harness.methods.base import WeightSharingMethod
from harness.runs.schema import TraceRow
from tests.support.paths import ROOT
from tests.support.small_search import gradient_search

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FENCE = re.compile(r"^```(\w*).*?^```$", re.MULTILINE | re.DOTALL)


def imported(path: Path) -> ModuleType:
    """A file of docs/, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def only(language: str, text: str) -> str:
    """A page with nothing left on its lines but what stands in fences of a language."""
    lines = text.splitlines()
    kept = [""] * len(lines)
    for found in FENCE.finditer(text):
        if found[1] == language:
            first = text.count("\n", 0, found.start())
            inside = slice(first + 1, first + found[0].count("\n"))
            kept[inside] = lines[inside]
    return "\n".join(kept)


@pytest.mark.parametrize("page", [p for p in PAGES if ">>>" in p.read_text(encoding="utf-8")], ids=lambda p: p.stem)
@pytest.mark.usefixtures("work", "logger_as_before")
def test_snippets_run_and_print_what_the_page_says(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = only("pycon", page.read_text(encoding="utf-8"))
    snippets = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert snippets.examples
    result = doctest.DocTestRunner(verbose=False).run(snippets, clear_globs=False)
    assert result.failed == 0, capsys.readouterr().out


@pytest.fixture
def logger_as_before() -> Iterator[None]:
    logger = logging.getLogger("harness")
    level = logger.level
    yield
    logger.setLevel(level)


def commands() -> Iterator[Any]:
    """Every command line of the harness that a page, or the README, shows."""
    for page in [ROOT / "README.md", *PAGES]:
        shown = only("", page.read_text(encoding="utf-8")).replace("\\\n", " ")
        for line in shown.splitlines():
            if line.startswith("harness "):
                yield pytest.param(line, id=f"{page.stem}: {line}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_have_the_options_that_the_page_gives_them(line: str) -> None:
    _, *arguments = shlex.split(line, comments=True)
    context, command = click.Context(harness), harness
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found  # type: ignore[assignment]
    made = command.make_context(name, list(arguments))
    for method in made.params.get("methods") or made.params.get("names") or ():
        assert method in {*registry.methods(), *registry.GROUPS, "annealed"}, method


# What is generated


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    return imported(DOCS / "generated.py")


def test_the_gallery_has_every_method_once_with_its_settings(generated: ModuleType) -> None:
    entries = re.split(r"^## (.+)$", generated.gallery(), flags=re.MULTILINE)[1:]
    assert entries[::2] == list(registry.methods())
    for name, entry in zip(entries[::2], entries[1::2], strict=True):
        method = registry.get_method(name)
        assert method.paper in entry
        for field, info in method.model_fields.items():
            assert f"| `{field}` | {as_yaml(info.default)} |" in entry


def test_the_protocols_are_shown_with_every_setting(generated: ModuleType) -> None:
    settings = set(fields_of(protocol.Protocol)) - generated.NAMED
    assert {row[0].strip("`") for row in generated.without_defaults(protocol.Protocol)} == settings
    shown = generated.protocols()
    assert all(shown.count(f"`{setting}`") == 1 for setting in settings)
    for name in protocol.names():
        assert f"hash `{protocol.load_protocol(name).hash}`. " in shown
    widths = [str(protocol.load_protocol(name).supernet.channels) for name in protocol.names()]
    assert f"| `supernet.channels` | {' | '.join(widths)} |" in shown
    assert dict(generated.flat({"a": {"b": {"default": 50, "gdas": 250}, "c": None}})) == {
        "a.b": "50; gdas 250",
        "a.c": "null",
    }


def test_a_row_of_the_trace_is_shown_with_every_field(generated: ModuleType) -> None:
    shown = re.findall(r"^\| `(\w+)` \|", generated.trace_row(), flags=re.MULTILINE)
    assert sorted(shown) == sorted(TraceRow.__annotations__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_generated_in_a_page_is_up_to_date(page: Path, generated: ModuleType) -> None:
    text = page.read_text(encoding="utf-8")
    assert generated.fill(text) == text, f"docs/{page.name} is out of date; write it: python docs/generated.py"


def test_every_part_stands_in_one_page(generated: ModuleType) -> None:
    parts = [part[2] for page in PAGES for part in generated.PART.finditer(page.read_text(encoding="utf-8"))]
    assert sorted(parts) == sorted(generated.PARTS)


def test_a_part_is_written_between_its_lines(generated: ModuleType) -> None:
    page = "a\n<!-- begin generated: recipes -->\nold\n<!-- end -->\nb"
    current = f"a\n<!-- begin generated: recipes -->\n\n{generated.recipes()}\n\n<!-- end -->\nb"
    assert generated.fill(page) == current
    assert generated.fill(current) == current
    with pytest.raises(KeyError):
        generated.fill("<!-- begin generated: no such part -->\n<!-- end -->")


def test_what_is_called_measured_stands_on_the_page_of_the_study(generated: ModuleType) -> None:
    cells = [line.strip("| ").split(" | ") for line in (DOCS / "proxy.md").read_text(encoding="utf-8").splitlines()]
    rows = list(csv.DictReader(generated.MEASURED.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        assert row["method"] in registry.methods()
        (told,) = [line for line in cells if line[0] == row["method"]]
        assert [row["accuracy_mean"], row["accuracy_std"], row["collapsed"]] == [*told[1:3], told[5]]


# The README


def test_the_readme_names_every_method_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = text.split("* gradient methods:")[1].split("\n\n")[0]
    ours = [name for name, entry in registry.methods().items() if entry.provider == registry.OURS]
    assert sorted(re.findall(r"`([^`]+)`", listed)) == ours, "the README's list is of all methods in methods/"


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_of_the_files_that_sphinx_does_not_check_lead_somewhere(page: str) -> None:
    for file, _, anchor in re.findall(
        r"\]\((?!https?:)([^)#]*)(#?)([^)]*)\)", (ROOT / page).read_text(encoding="utf-8")
    ):
        target = ROOT / file
        assert target.is_file(), file
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, anchor


# The example of a method


def test_the_example_method_searches() -> None:
    method = imported(DOCS / "examples" / "annealed.py").Annealed()
    assert isinstance(method, WeightSharingMethod)
    search = gradient_search(method)
    before = search.state.alpha.detach().clone()
    row = search.run_epoch(0, lambda _: None)
    assert row["architecture"] == search.state.space.format(method.derive(search.state))
    assert not before.equal(search.state.alpha)


def test_the_readme_shows_the_example_method() -> None:
    example = (DOCS / "examples" / "annealed.py").read_text(encoding="utf-8")
    assert example.strip() in only("python", (ROOT / "README.md").read_text(encoding="utf-8"))
