"""The files of a public project: what runs only elsewhere (workflows, image, hooks) agrees with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from harness import __version__
from tests.packaging.environments import BUILT_FROM
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = SpecifierSet(PROJECT["project"]["requires-python"])
PINNED = re.compile(r"\./\S+|[\w-]+/[\w.-]+@(v\d+|release/v\d+)")
"""A workflow of ours, or an action of a major version."""


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parsed(name: str | Path) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def supported() -> list[str]:
    """The versions of Python that the classifiers name."""
    names = [name.removeprefix("Programming Language :: Python :: ") for name in PROJECT["project"]["classifiers"]]
    return [name for name in names if re.fullmatch(r"3\.\d+", name)]


def steps() -> list[tuple[str, dict[str, Any]]]:
    jobs = [(path.stem, job) for path in WORKFLOWS for job in parsed(path)["jobs"].values()]
    return [(stem, step) for stem, job in jobs for step in [job, *job.get("steps", [])]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_only_read_and_end_in_time(path: Path) -> None:
    workflow = parsed(path)
    assert workflow[True]  # YAML 1.1 reads the key "on" as true
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "uses" in job or (job["steps"] and job["timeout-minutes"] <= 90), name
        assert set(job.get("permissions", {})) <= ({"id-token"} if path.stem == "publish" else set()), name
    assert "secrets." not in path.read_text(encoding="utf-8")


def test_actions_are_pinned_to_a_major_version() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert used
    assert [name for name in used if not PINNED.fullmatch(name)] == []


def test_one_range_of_pythons_everywhere() -> None:
    tested = parsed(".github/workflows/tests.yml")["jobs"]["tox"]["strategy"]["matrix"]["python-version"]
    assert supported() == tested == [f"3.{minor}" for minor in range(40) if f"3.{minor}.5" in PYTHONS]
    lowest = parsed(".github/workflows/tests.yml")["jobs"]["lowest-versions"]["steps"]
    assert tested[0] in [step.get("with", {}).get("python-version") for step in lowest]
    assert PROJECT["tool"]["mypy"]["python_version"] == tested[0]
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + tested[0].replace(".", "")
    for name in ("README.md", "docs/getting-started.md", "constraints.txt"):
        assert f"Python {tested[0]} to {tested[-1]}" in text(name), name


def test_one_python_is_a_supported_one_wherever_one_is_named() -> None:
    named = [step["with"]["python-version"] for _, step in steps() if "python-version" in step.get("with", {})]
    named += re.findall(r"^FROM python:([\d.]+)", text("Dockerfile"), flags=re.MULTILINE)
    named += re.findall(r'"image": "python:([\d.]+)"', text(".devcontainer/devcontainer.json"))
    named.append(parsed(".readthedocs.yaml")["build"]["tools"]["python"])
    assert len(named) >= 8
    assert [name for name in named if not name.startswith("$") and name not in supported()] == []


def test_pre_commit_has_the_ruff_of_the_constraints() -> None:
    (rev,) = [repo["rev"] for repo in parsed(".pre-commit-config.yaml")["repos"] if "ruff" in repo["repo"]]
    assert f"\nruff=={rev.removeprefix('v')}\n" in text("constraints.txt")


def test_what_the_lowest_versions_job_takes_from_the_constraints_is_there() -> None:
    (pattern,) = re.findall(r'grep -E "\^\((.+)\)=="', text(".github/workflows/tests.yml"))
    for name in pattern.split("|"):
        assert re.search(rf"^{name}==[\d.]+$", text("constraints.txt"), flags=re.MULTILINE), name


def test_the_image_is_handed_what_the_package_is_built_from() -> None:
    first, *kept = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert first == "*"
    handed = {line[1:] for line in kept if line.startswith("!")}
    assert [name for name in handed if not (ROOT / name).exists()] == []
    assert handed == {*BUILT_FROM, "constraints.txt"}


def test_the_citation_and_the_changelog_have_the_version() -> None:
    assert parsed("CITATION.cff")["version"] == __version__
    assert f"\n## {__version__} (" in text("CHANGELOG.md")
