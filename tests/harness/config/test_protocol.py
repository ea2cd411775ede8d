"""Protocols: shipped ones, overrides, hashes, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import protocol as protocol_module
from harness.config.protocol import Protocol, load_protocol, names
from harness.config.settings import split_override
from harness.errors import HarnessError

QUICK = Path(protocol_module.__file__).parent / "protocols" / "quick.yaml"

CHANGES: dict[str, Any] = {
    "dataset": "mnist",
    "supernet.precision": "bfloat16",
    "data.image_size": 20,
    "data.images": 100,
    "data.split": "halves",
    "data.crop_padding": 7,
    "data.flip": True,
    "supernet.channels": 6,
    "supernet.cells": 3,
    "supernet.batch_norm": "running",
    "supernet.head_affine": False,
    "weights.learning_rate": 0.123,
    "weights.learning_rate_min": 0.0123,
    "weights.momentum": 0.8,
    "weights.nesterov": False,
    "weights.weight_decay": 0.0123,
    "weights.clip_norm": 7,
    "alpha.learning_rate": 0.0123,
    "alpha.betas": [0.4, 0.99],
    "alpha.weight_decay": 0.0123,
    "search.epochs": 7,
    "search.batch_size": 17,
    "search.order": "weights-first",
    "queries.answers": "table",
    "queries.epochs": 12,
    "queries.seconds": 99,
    "queries.evaluations": 99,
}
IMPLEMENTATION = {"supernet.implementation": "reference"}
NOT_SETTINGS = {"name": "other", "version": 99, "description": "something else"}
DIAGNOSTICS: dict[str, Any] = {
    "diagnostics.every": 3,
    "diagnostics.gap": False,
    "diagnostics.hessian": False,
    "diagnostics.ranking_cells": 7,
    "diagnostics.perturbation": False,
    "diagnostics.images": 99,
}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes quick.yaml with changes to a file, or any text; its path."""

    def write(text: str | None = None, **changes: Any) -> str:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(QUICK.read_text()) | changes) if text is None else text)
        return str(file)

    return write


def test_the_shipped_protocols_load_under_their_names_and_differ() -> None:
    assert {"quick", "proxy", "nas-bench-201", "nats-bench", "smooth-darts"} <= set(names())
    protocols = [load_protocol(name) for name in names()]
    assert [protocol.name for protocol in protocols] == names()
    assert all(protocol.version >= 1 and protocol.description for protocol in protocols)
    assert len({protocol.hash for protocol in protocols}) == len(protocols)


def test_the_protocol_of_the_nas_bench_201_paper() -> None:
    protocol = load_protocol("nas-bench-201")
    assert (protocol.supernet.channels, protocol.supernet.cells, protocol.search.batch_size) == (16, 5, 64)
    w, alpha = protocol.weights, protocol.alpha
    assert (w.learning_rate, w.learning_rate_min, w.momentum, w.nesterov, w.weight_decay) == (
        (0.025, 0.001, 0.9, True, 5e-4)
    )
    assert (alpha.learning_rate, alpha.betas, alpha.weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert protocol.epochs("darts") == 50
    assert {protocol.epochs(name) for name in ("gdas", "setn", "enas", "random-search-ws")} == {250}
    assert (protocol.order("gdas"), protocol.order("darts-2nd")) == ("weights-first", "alpha-first")


# Hash


def test_the_list_of_changes_is_complete() -> None:
    fields = {
        f"{name}.{key}" if isinstance(value, dict) else name
        for name, value in load_protocol("quick").model_dump().items()
        for key in (value if isinstance(value, dict) else [""])
    }
    assert fields == set(CHANGES) | set(NOT_SETTINGS) | set(DIAGNOSTICS) | set(IMPLEMENTATION)


def test_a_protocol_may_leave_its_precision_out_and_has_the_hash_of_float32() -> None:
    assert "precision" not in yaml.safe_load(QUICK.read_text())["supernet"]
    assert load_protocol("quick").hash == "8a6f48c7ed08"  # as before there was the setting
    assert load_protocol("quick", ["supernet.precision=float32"]) == load_protocol("quick")


def test_the_implementation_of_the_supernet_may_be_left_out_and_does_not_change_the_hash() -> None:
    assert "implementation" not in yaml.safe_load(QUICK.read_text())["supernet"]
    reference = load_protocol("quick", ["supernet.implementation=reference"])
    assert (reference.supernet.implementation, load_protocol("quick").supernet.implementation) == ("reference", "fused")
    assert reference.hash == load_protocol("quick").hash


@pytest.mark.parametrize(("key", "value"), CHANGES.items())
def test_every_setting_changes_the_hash(key: str, value: Any) -> None:
    changed = load_protocol("quick", [f"{key}={yaml.safe_dump(value, default_flow_style=True)}"])
    assert changed.hash != load_protocol("quick").hash


def test_hashes_of_different_changes_differ() -> None:
    hashes = {load_protocol("quick", [f"{key}={yaml.safe_dump(value)}"]).hash for key, value in CHANGES.items()}
    assert len(hashes) == len(CHANGES)


def test_name_version_and_description_do_not_change_the_hash(write: Any) -> None:
    assert load_protocol(write(**NOT_SETTINGS)).hash == load_protocol("quick").hash
    assert len(load_protocol("quick").hash) == 12


@pytest.mark.parametrize(("key", "value"), DIAGNOSTICS.items())
def test_diagnostics_do_not_change_the_hash(key: str, value: Any) -> None:
    changed = load_protocol("quick", [f"{key}={yaml.safe_dump(value)}"])
    assert changed != load_protocol("quick")
    assert changed.hash == load_protocol("quick").hash


def test_equal_settings_have_equal_hashes_however_they_are_written() -> None:
    reference = load_protocol("quick", ["search.epochs=3", "weights.clip_norm=5"])
    for overrides in (
        ["search.epochs={default: 3}", "weights.clip_norm=5.0"],
        ["search.epochs=8", "search.epochs.default=3", "weights.clip_norm=5"],
        ["weights.clip_norm=5e0", "search.epochs=3"],
    ):
        assert load_protocol("quick", overrides).hash == reference.hash


# Overrides


def test_overrides_are_typed() -> None:
    protocol = load_protocol(
        "quick",
        [
            "data.images=null",
            "data.flip=true",
            "weights.learning_rate=3e-4",
            "weights.clip_norm=null",
            "alpha.betas=[0.9, 0.99]",
            "supernet.cells=2",
            "dataset=cifar10",
        ],
    )
    assert protocol.data.images is None
    assert protocol.data.flip is True
    assert protocol.weights.learning_rate == 3e-4
    assert protocol.weights.clip_norm is None
    assert protocol.alpha.betas == (0.9, 0.99)
    assert protocol.supernet.cells == 2
    assert protocol.dataset == "cifar10"


@pytest.mark.parametrize("name", ["quick", "nas-bench-201"])
def test_a_method_can_have_epochs_and_an_order_of_its_own(name: str) -> None:
    before = load_protocol(name)
    protocol = load_protocol(
        name, ["search.epochs.gdas=3", "search.order.gdas=alpha-first", "search.order.snas=weights-first"]
    )
    assert protocol.epochs("gdas") == 3
    assert protocol.epochs("darts") == before.epochs("darts")
    assert (protocol.order("gdas"), protocol.order("snas")) == ("alpha-first", "weights-first")
    assert protocol.order("darts") == before.order("darts")


def test_one_number_of_epochs_is_for_all_methods() -> None:
    protocol = load_protocol("nas-bench-201", ["search.epochs=3"])
    assert {protocol.epochs(method) for method in ("darts", "gdas")} == {3}


def test_later_overrides_win() -> None:
    protocol = load_protocol(
        "quick", ["search.epochs.gdas=3", "search.epochs=5", "search.epochs.snas=6", "search.epochs.snas=7"]
    )
    assert [protocol.epochs(method) for method in ("gdas", "snas")] == [5, 7]


def test_overrides_leave_the_shipped_protocol_alone() -> None:
    before = load_protocol("quick")
    load_protocol("quick", ["search.epochs.gdas=3", "data.flip=true"])
    assert load_protocol("quick") == before


# Mistakes


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.image_sise=8", "unknown setting 'data.image_sise', did you mean 'data.image_size'.*weights.clip_norm"),
        ("image_size=8", "unknown setting 'image_size', did you mean 'data.image_size'"),
        ("data=3", "unknown setting 'data'"),
        ("data.image_size.x=3", "unknown setting 'data.image_size.x'"),
        ("search.epochs.gdsa=3", "unknown method 'gdsa', did you mean 'gdas'.*random-search"),
        ("search.batch_size.gdas=3", "unknown setting 'search.batch_size.gdas'"),
        ("search.epochs=0", r"search\.epochs\.default: input should be greater than or equal to 1 \(got 0\)$"),
        (
            "search.epochs.pc-darts=0",
            r"search\.epochs\.pc-darts: input should be greater than or equal to 1 \(got 0\)$",
        ),
        ("search.epochs={gdas: 3}", "needs a 'default'"),
        ("search.order=both", "search.order.default: input should be 'alpha-first' or 'weights-first'"),
        ("data.split=thirds", "data.split: input should be 'random', 'fixed' or 'halves'"),
        ("data.image_size=6", "data.image_size: input should be a multiple of 4"),
        ("data.image_size=big", "data.image_size: input should be a valid integer"),
        ("data.images=1", "data.images: input should be greater than or equal to 2"),
        ("weights.momentum=1", "weights.momentum: input should be less than 1"),
        ("weights.learning_rate=.inf", "weights.learning_rate: input should be a finite number"),
        ("weights.learning_rate=.nan", "weights.learning_rate: input should be"),
        ("weights.clip_norm=0", "weights.clip_norm: input should be greater than 0"),
        ("weights.nesterov=perhaps", "weights.nesterov: input should be a valid boolean"),
        ("alpha.betas=[0.5]", r"alpha\.betas\.1: field required"),
        ("alpha.betas=[0.5, 1]", r"alpha\.betas\.1: input should be less than 1"),
        ("search.epochs", "not of the form KEY=VALUE"),
        ("=3", "not of the form KEY=VALUE"),
        ("data.flip=[", "cannot read the value"),
        ("data.flip=2020-13-45", "cannot read the value"),
    ],
)
def test_overrides_that_cannot_be_are_refused_in_one_line(override: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message) as info:
        load_protocol("quick", [override])
    assert "\n" not in str(info.value)


def test_unknown_protocols() -> None:
    with pytest.raises(HarnessError, match=r"unknown protocol 'qick', did you mean 'quick'.*nas-bench-201.*yaml file"):
        load_protocol("qick")
    with pytest.raises(HarnessError, match=r"unknown protocol 'gone\.yaml'"):
        load_protocol("gone.yaml")


def test_a_file_of_ones_own(write: Any) -> None:
    assert load_protocol(write(name="mine")).name == "mine"
    assert load_protocol(write(dataset="mnist"), ["search.epochs=2"]).epochs("darts") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML: .*line"),
        ("a: 2020-13-45", "is not valid YAML"),
        ("\t- x", "is not valid YAML"),
        ("- 1\n- 2", "is no protocol: it must be a mapping"),
        ("", "is no protocol: it must be a mapping"),
        ("quick", "is no protocol: it must be a mapping"),
        ("&a {data: *a}", "unknown setting"),
    ],
)
def test_files_that_are_no_protocol(write: Any, text: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message) as info:
        load_protocol(write(text))
    assert "\n" not in str(info.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(HarnessError, match="cannot be read"):
        load_protocol(str(file))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown setting 'colour'.*data.image_size"),
        ({"data": {"image_sise": 8}}, "unknown setting 'data.image_sise', did you mean 'data.image_size'"),
        ({"data": 3}, "data: input should be a valid dictionary"),
        ({"search": {"epochs": 3, "order": "alpha-first"}}, "search.batch_size: field required"),
        ({"weights": None}, "weights: input should be a valid dictionary"),
        ({3: 4}, "unknown setting '3'"),
    ],
)
def test_files_with_faults_are_told_which(write: Any, changes: dict[Any, Any], message: str) -> None:
    text = yaml.safe_dump(yaml.safe_load(QUICK.read_text()) | changes)
    with pytest.raises(HarnessError, match=message) as info:
        load_protocol(write(text))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("section", ["data", "supernet", "weights", "alpha", "search", "diagnostics"])
def test_no_setting_has_a_default(section: str, write: Any) -> None:
    settings = yaml.safe_load(QUICK.read_text())
    for field in settings[section]:
        fewer = {key: value for key, value in settings[section].items() if key != field}
        with pytest.raises(HarnessError, match=f"{section}.{field}: field required"):
            load_protocol(write(**{section: fewer}))


def test_protocols_do_not_change() -> None:
    protocol = load_protocol("quick")
    with pytest.raises(ValueError, match="frozen"):
        protocol.data.flip = True


def test_a_stored_protocol_is_the_same_protocol() -> None:
    for name in names():
        protocol = load_protocol(name)
        assert Protocol.model_validate(protocol.model_dump(mode="json")) == protocol


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_override_is_read_or_refused(key: str, value: str) -> None:
    try:
        found, _ = split_override(f"{key}={value}")
    except HarnessError:
        return
    assert found == key.partition("=")[0]


keys = st.sampled_from([*CHANGES, *DIAGNOSTICS, "search.epochs.gdas", "search.order.snas", "data", "nothing"])


@settings(deadline=None)
@given(keys, st.one_of(st.text(alphabet="0123456789.-+einfna_[]{}:, ~!&*'\"", max_size=8), st.integers().map(str)))
def test_any_value_gives_a_valid_protocol_or_one_clear_line(key: str, value: str) -> None:
    message = ""
    try:
        protocol = load_protocol("quick", [f"{key}={value}"])
    except HarnessError as error:
        message = str(error)
    else:
        assert Protocol.model_validate(protocol.model_dump(mode="json")).hash == protocol.hash
    assert "\n" not in message
