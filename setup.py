"""Install four folders under one import name: ``methods/`` is ``harness.methods``, and so on.

See docs/decisions/001-one-import-name.md. Everything else about the package is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("methods", "spaces", "reports")

# setuptools would put what an earlier build left there into the wheel, files included that are no longer in the tree.
shutil.rmtree(Path(__file__).with_name("build") / "lib", ignore_errors=True)

setup(
    packages=find_packages(include=["harness", "harness.*"])
    + [f"harness.{name}" for name in find_packages(include=[*FOLDERS, *(f"{folder}.*" for folder in FOLDERS)])],
    package_dir={f"harness.{folder}": folder for folder in FOLDERS},
)
