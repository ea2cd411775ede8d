"""Limits of control groups, read from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.runs import control_group

INFINITE = float("inf")


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mount of control groups in which this process belongs to ``/a/b``."""
    (tmp_path / "membership").write_text("4:memory:/old\n0::/a/b\n")
    monkeypatch.setattr(control_group, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(control_group, "MOUNT", tmp_path / "cgroup")
    (tmp_path / "cgroup" / "a" / "b").mkdir(parents=True)
    return tmp_path / "cgroup"


def memory(group: Path, limit: str, used: int, statistics: str) -> None:
    for name, text in {"max": f"{limit}\n", "current": f"{used}\n", "stat": statistics}.items():
        (group / f"memory.{name}").write_text(text)


@pytest.mark.parametrize(
    ("limit", "statistics", "free"),
    [
        ("max", "inactive_file 1\n", INFINITE),
        ("1000", "anon 7\ninactive_file 300\n", 400),
        ("500", "inactive_file 0\n", 0),
        ("1000", "anon 7\n", INFINITE),  # not as the kernel writes it
    ],
)
@pytest.mark.parametrize("folder", [".", "a", "a/b"])
def test_memory_is_what_the_limit_leaves_in_any_of_the_groups(
    limit: str, statistics: str, free: float, folder: str, mount: Path
) -> None:
    memory(mount / folder, limit, 900, statistics)
    assert control_group.free_memory() == free


def test_the_group_with_the_least_free_memory_counts(mount: Path) -> None:
    memory(mount, "2000", 900, "inactive_file 0\n")
    memory(mount / "a", "1000", 900, "inactive_file 0\n")
    memory(mount / "a" / "b", "max", 900, "inactive_file 0\n")
    assert control_group.free_memory() == 100


@pytest.mark.parametrize(
    ("text", "processors"),
    [("max 100000\n", INFINITE), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("damaged", INFINITE)],
)
def test_processors_are_the_quota_of_each_period(text: str, processors: float, mount: Path) -> None:
    (mount / "a" / "cpu.max").write_text(text)
    assert control_group.processors() == processors


def test_where_there_are_no_control_groups_nothing_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "MEMBERSHIP", tmp_path / "none")
    monkeypatch.setattr(control_group, "MOUNT", tmp_path / "none")
    assert control_group.processors() == control_group.free_memory() == INFINITE
