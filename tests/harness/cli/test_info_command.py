"""``harness list`` and ``harness info`` in this process."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

import harness
from harness import registry
from harness.config import protocol, recipe
from harness.config.protocol import load_protocol
from harness.config.recipe import load_recipe
from harness.data.info import DATASETS
from tests.harness.api.test_searches import TINY
from tests.support.command_line import call, refusal

pytestmark = pytest.mark.usefixtures("work")


def test_list_shows_everything_there_is() -> None:
    output = call("list").output
    for name in ("methods:", "darts ", "random-search ", "spaces:", "datasets:", "cifar10 ", "protocols:", "quick "):
        assert name in output
    assert re.fullmatch(r"darts  .*14 edges.*\nnas-bench-201  .*15,625.*\n", call("list", "spaces").output)


def test_list_of_another_kind_says_what_there_is() -> None:
    assert "'methods', 'spaces', 'datasets', 'protocols', 'recipes', 'studies'" in refusal(call("list", "tables"))


def test_list_in_a_folder_without_studies_says_how_to_start_one(work: Path) -> None:
    (work / "runs").mkdir()
    for arguments in ((), ("studies",), ("Studies", "--runs", "elsewhere")):
        result = call("list", *arguments)
        assert result.exit_code == 0
        assert "start one with: harness run --method darts --seeds 5" in result.output


@pytest.mark.usefixtures("inline")
def test_list_shows_studies_the_latest_first(work: Path) -> None:
    harness.run(["gdas", "darts"], seeds=2, study="first", set=TINY, no_mlflow=True)
    later = harness.run("darts", seeds=1, study="second", set=TINY, no_mlflow=True)
    (later.runs[0].path / "result.json").unlink()
    os.utime(work / "runs" / "first" / "study.json", (0, 0))
    second, first = call("list", "studies").output.splitlines()
    assert re.fullmatch(r"second  2\d{3}-\d\d-\d\d \d\d:\d\d  0 of 1 runs finished  darts", second)
    assert re.fullmatch(r"first   19(69|70)-\d\d-\d\d \d\d:\d\d  4 of 4 runs finished  darts, gdas", first)
    (work / "runs" / "first" / "study.json").write_text("{")
    assert re.match(r"first .* broken: .*study.json is damaged", call("list", "studies").output)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("gdas", ["arXiv:1910.04465", "bilevel, trains a supernet", "gdas.tau_max = 10.0  (number, > 0)"]),
        ("snas", ["single-level, trains a supernet"]),
        ("pc-darts", ["pc-darts.warmup = 0.3  (number, ≥ 0, < 1)", "fraction of the epochs"]),
        ("darts", ["darts.order = 1  (1 or 2)"]),
        ("random-search", ["query-based", "random-search.epochs_per_cell = 10  (integer, ≥ 1)"]),
        ("digits", ["1,438 training images and 359 test images of 32 x 32 pixels, 10 classes"]),
        ("quick", ["protocol quick v1, hash ", "batch_size: 64"]),
        ("nas-bench-201", ["skip_connect, nor_conv_1x1", "all nor_conv_3x3  |nor_conv_3x3~0|+", "v1, hash "]),
    ],
)
def test_info_tells_every_setting(name: str, texts: list[str]) -> None:
    output = call("info", name).output
    for text in texts:
        assert text in output


def test_info_of_an_unknown_name_says_what_was_meant() -> None:
    assert re.match(r"unknown name 'dart', did you mean 'darts'\?", refusal(call("info", "dart")))


def test_info_of_an_unknown_name_of_a_kind_names_that_kind_alone() -> None:
    message = refusal(call("info", "proxi", "--kind", "protocol"))
    assert message.startswith("unknown protocol 'proxi', did you mean 'proxy'? There are: nas-bench-201,")
    assert "darts" not in message.replace("smooth-darts", "")


def test_names_are_matched_as_elsewhere() -> None:
    assert call("info", "PC_DARTS").output == call("info", "pc-darts").output
    assert call("info", "Proxy").output == call("info", "proxy").output


@pytest.mark.parametrize("name", protocol.names())
def test_info_of_a_protocol_is_a_file_of_the_same_protocol(name: str, work: Path) -> None:
    printed = call("info", name, "--kind", "protocol").output
    (work / "mine.yaml").write_text(printed, encoding="utf-8")
    assert load_protocol("mine.yaml") == load_protocol(name)
    assert load_protocol("mine.yaml").hash in printed.splitlines()[0]


def test_a_printed_protocol_runs(work: Path) -> None:
    (work / "mine.yaml").write_text(call("info", "quick").output, encoding="utf-8")
    mine, quick = (call("run", "--method", "darts", "--protocol", name, "--dry-run") for name in ("mine.yaml", "quick"))
    assert mine.exit_code == 0, mine.exception
    assert mine.output.replace("mine.yaml", "quick") == quick.output


@pytest.mark.parametrize("name", recipe.names())
def test_info_of_a_recipe_is_a_file_of_the_same_recipe(name: str, work: Path) -> None:
    printed = call("info", name, "--kind", "recipe").output
    (work / "mine.yaml").write_text(printed, encoding="utf-8")
    assert load_recipe("mine.yaml") == load_recipe(name)
    assert load_recipe("mine.yaml").hash in printed.splitlines()[0]


def test_what_shares_a_name_is_printed_in_parts_that_can_be_cut() -> None:
    result = call("info", "nas-bench-201")
    space, of_protocol, of_recipe = result.stdout.split("\n---\n")
    assert space.startswith("nas-bench-201: cells of 4 nodes")
    assert yaml.safe_load(of_protocol) == load_protocol("nas-bench-201").model_dump(mode="json")
    assert yaml.safe_load(of_recipe) == load_recipe("nas-bench-201").model_dump(mode="json")
    assert "is a space and a protocol and a recipe; --kind prints one" in result.stderr
    assert call("info", "nas-bench-201", "--kind", "space").stdout.rstrip() == space


@pytest.mark.parametrize("name", [*registry.methods(), *DATASETS])
def test_info_explains_everything_without_markup(name: str) -> None:
    output = call("info", name).output
    assert output.startswith(f"{name}: ")
    assert not re.search(r"``|:\w+:`|\bNone\b|typing|Literal", output)
