"""An installed harness beside packages called ``methods``, ``spaces`` and ``reports``: other people's and yours."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.packaging.conftest import Create
from tests.packaging.environments import Environment

TINY = [
    *("run", "--method", "darts", "--seeds", "1", "--jobs", "1", "--no-mlflow"),
    *("--set", "search.epochs=1", "--set", "data.images=64", "--set", "data.image_size=4"),
    *("--set", "data.crop_padding=1", "--set", "supernet.channels=4"),
    *("--set", "diagnostics.hessian=false"),
]

OWN = """
import harness.methods.gdas, harness.spaces.base, harness.reports
from harness.registry import methods
import methods as own_methods, spaces, reports
assert own_methods.mine and spaces.mine and reports.mine
assert "gdas" in methods()
print(harness.methods.gdas.GDAS.name)
"""
"""Imports of the harness's packages and of those in the working directory."""


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_the_order_of_installation_does_not_matter(
    create: Create, wheel: Path, spaces_of_others: Path, tmp_path: Path, first: str
) -> None:
    order = [wheel, spaces_of_others]
    environment = create(f"{first}-first", *(order if first == "ours" else order[::-1]))
    assert environment.output(tmp_path, "harness", "info", "gdas").startswith("gdas: ")
    assert re.search("^darts +", environment.output(tmp_path, "harness", "list", "methods"), re.MULTILINE)
    code = "import methods, spaces, reports; print(methods.theirs, spaces.theirs, reports.theirs)"
    assert environment.output(tmp_path, "python", "-c", code) == "True True True\n"


class TestAFolderWithPackagesOfTheseNames:
    """Each with the folder on the path, beside a distribution with the same names."""

    def test_the_command_line(self, installed: Environment, own_folder: Path) -> None:
        listed = installed.output(own_folder, "harness", "list", "methods", PYTHONPATH=".")
        assert re.search("^gdas +", listed, re.MULTILINE)
        assert installed.output(own_folder, "harness", "info", "GDAS", PYTHONPATH=".").startswith("gdas: ")
        assert installed.output(own_folder, "python", "-m", "harness", "list", "methods") == listed

    def test_python(self, installed: Environment, own_folder: Path) -> None:
        assert installed.output(own_folder, "python", "-c", OWN) == "gdas\n"

    def test_pytest(self, installed: Environment, own_folder: Path) -> None:
        (own_folder / "test_own.py").write_text(f"def test_own():\n    exec({OWN!r})\n")
        output = installed.output(own_folder, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
        assert "1 passed" in output

    def test_a_notebook(self, installed: Environment, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        client = pytest.importorskip("jupyter_client")
        pytest.importorskip("ipykernel")
        monkeypatch.delenv("PYTHONPATH", raising=False)
        manager = client.KernelManager()
        command = [str(installed.scripts / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager.kernel_spec.argv = command
        manager.start_kernel(cwd=str(own_folder))
        try:
            kernel = manager.blocking_client()
            kernel.start_channels()
            kernel.wait_for_ready(timeout=120)
            printed: list[str] = []
            reply = kernel.execute_interactive(
                OWN, timeout=120, output_hook=lambda message: printed.append(message["content"].get("text", ""))
            )
            kernel.stop_channels()
        finally:
            manager.shutdown_kernel(now=True)
        assert reply["content"]["status"] == "ok", reply["content"]
        assert "".join(printed) == "gdas\n"

    def test_a_run_in_a_worker(self, installed: Environment, own_folder: Path) -> None:
        installed.output(own_folder, "harness", *TINY, PYTHONPATH=".")
        assert statuses(own_folder) == ["finished"]

    def test_a_run_on_a_dask_worker(self, installed: Environment, own_folder: Path) -> None:
        file = own_folder / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        with installed.running(own_folder, "-m", "distributed.cli.dask_scheduler", *options) as scheduler:
            while not (file.exists() and file.read_text()):
                assert scheduler.poll() is None
                time.sleep(0.05)
            address = json.loads(file.read_text())["address"]
            options = ("--no-nanny", "--nthreads", "1", "--no-dashboard")
            with installed.running(own_folder, "-m", "distributed.cli.dask_worker", address, *options):
                installed.output(own_folder, "harness", *TINY, "--executor", "dask", "--scheduler", address)
        assert statuses(own_folder) == ["finished"]


def statuses(folder: Path) -> list[str]:
    """How the runs in a folder ended."""
    return [json.loads(file.read_text())["status"] for file in folder.glob("runs/*/*/*/result.json")]
