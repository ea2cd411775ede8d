"""``harness list`` and ``harness info`` in this process."""

from __future__ import annotations

import re

import pytest

from tests.support.command_line import call, refusal

pytestmark = pytest.mark.usefixtures("work")


def test_list_shows_everything_there_is() -> None:
    output = call("list").output
    for name in ("methods:", "darts ", "random-search ", "spaces:", "datasets:", "cifar10 ", "protocols:", "quick "):
        assert name in output
    assert re.fullmatch(r"darts  .*14 edges.*\nnas-bench-201  .*15,625.*\n", call("list", "spaces").output)


def test_list_of_another_kind_says_what_there_is() -> None:
    assert "'methods', 'spaces', 'datasets', 'protocols'" in refusal(call("list", "tables"))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("gdas", ["arXiv:1910.04465", "bilevel, trains a supernet", "gdas.tau_max = 10.0  (float, > 0)"]),
        ("snas", ["single-level, trains a supernet"]),
        ("pc-darts", ["pc-darts.warmup = 0.3  (float, >= 0, < 1)", "fraction of the epochs"]),
        ("darts", ["darts.order = 1  (1 or 2)"]),
        ("random-search", ["query-based", "random-search.epochs_per_cell = 10  (int, >= 1)"]),
        ("digits", ["1,438 training images and 359 test images of 32 x 32 pixels, 10 classes"]),
        ("quick", ["quick v1, hash ", "batch_size: 64"]),
        ("nas-bench-201", ["skip_connect, nor_conv_1x1", "all nor_conv_3x3  |nor_conv_3x3~0|+", "v1, hash "]),
    ],
)
def test_info_tells_every_setting(name: str, texts: list[str]) -> None:
    output = call("info", name).output
    for text in texts:
        assert text in output


def test_info_of_an_unknown_name_says_what_was_meant() -> None:
    assert re.match(r"unknown name 'dart', did you mean 'darts'\?", refusal(call("info", "dart")))
