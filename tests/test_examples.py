"""The notebooks in examples/ run from top to bottom, with the harness that is tested."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.support.paths import ROOT, TESTED, environment

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


class ThisPython(AsyncKernelManager):
    """Kernels of the interpreter that runs the tests, whatever kernels are installed for this user."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="tests", language="python")


def executed(path: Path, work: Path) -> nbformat.NotebookNode:
    """A notebook after all of its cells have run in an empty folder. Raises CellExecutionError where one fails."""
    notebook = nbformat.read(path, as_version=4)
    check = nbformat.v4.new_code_cell("import harness; print(harness.__file__)")
    notebook.cells.insert(0, check)
    variables = environment() | {"IPYTHONDIR": str(work.parent / "ipython"), "HARNESS_RUNS_DIR": "runs"}
    client = NotebookClient(
        notebook, timeout=300, kernel_manager_class=ThisPython, resources={"metadata": {"path": str(work)}}
    )
    client.execute(env=variables)
    assert Path(printed(check)).parent == TESTED
    return notebook


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell wrote to its output and error streams."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream").strip()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_little(path: Path, work: Path) -> None:
    notebook = executed(path, work)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.outputs) <= 12, cell.source  # a line a run at most, however many epochs they have
            assert len(printed(cell).splitlines()) <= 60, cell.source
            assert "Warning" not in printed(cell), cell.source
