"""Virtual environments beside that of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUILT_FROM = ("harness", "methods", "spaces", "reports", "pyproject.toml", "setup.py", "README.md", "LICENSE")
"""Files and folders of the checkout that a distribution is built from."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that also sees what is installed for the tests, but for the harness."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Environment:
        """Create it, without pip: that of the tests installs into it."""
        venv.create(folder, symlinks=os.name != "nt")
        environment = cls(folder)
        links = folder / "installed_for_the_tests"
        links.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if not path.name.startswith(("harness", "nas_harness")):
                (links / path.name).symlink_to(path)
        (environment.site_packages / "installed_for_the_tests.pth").write_text(str(links))
        return environment

    @property
    def site_packages(self) -> Path:
        """The folder of its distributions."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder)}))

    @property
    def scripts(self) -> Path:
        """The folder of its commands."""
        return Path(sysconfig.get_path("scripts", "venv", {"base": str(self.folder)}))

    def install(self, *what: str | Path) -> None:
        """Install without dependencies, and from nowhere but this machine."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.scripts / "python"), "install", "--quiet"]
        options = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile", "--ignore-installed"]
        done = subprocess.run([*pip, *options, *map(str, what)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def call(self, cwd: Path, command: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands in a folder, without the environment variables of the tests that steer imports."""
        return subprocess.run(
            [str(self.scripts / command), *arguments],
            cwd=cwd,
            env=self._variables() | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _variables(self) -> dict[str, str]:
        skipped = ("PYTHON", "HARNESS_", "MLFLOW_", "PYTEST_", "COV_")
        return {key: value for key, value in os.environ.items() if not key.startswith(skipped)}

    @contextmanager
    def running(self, cwd: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process of its Python in a folder, with the folder on the path, killed in the end."""
        with open(cwd / "log.txt", "ab") as log:
            command = [str(self.scripts / "python"), *arguments]
            variables = self._variables() | {"PYTHONPATH": "."}
            process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def output(self, cwd: Path, command: str, *arguments: str, **variables: str) -> str:
        """The output of a command that has to succeed."""
        done = self.call(cwd, command, *arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def distribution(folder: Path, name: str, files: dict[str, str]) -> None:
    """Write a wheel with these files."""
    info = f"{name}-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, *metadata, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for file, text in (files | metadata | {f"{info}/RECORD": record}).items():
            archive.writestr(file, text)
