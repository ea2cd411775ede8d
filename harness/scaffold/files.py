"""The files of a new method, from the templates in ``harness/scaffold/templates``."""

from __future__ import annotations

import importlib.util
import keyword
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness import registry
from harness.config import method_names
from harness.errors import HarnessError
from harness.runs.folder import write_atomically

IMPORTED = {"Field", "WeightSharingMethod", "Mixture", "MethodContract", "SearchState"}
"""Classes that the templates import: a method's class cannot have such a name."""

Files = Mapping[Path, str]
"""The text to write, by file."""


def checkout_files(name: str, directory: Path) -> Files:
    """A method and its test, in the checkout of this repository that ``directory`` lies in.

    Raises :class:`HarnessError` outside of a checkout and for a name that is not possible.
    """
    module = _module(name)
    here = directory.resolve()
    root = next((folder for folder in (here, *here.parents) if (folder / "methods" / "base.py").is_file()), None)
    if root is None:
        raise HarnessError(f"{directory} is not in a checkout of nas-harness; add --package for a package of its own")
    return {
        root / "methods" / f"{module}.py": _render("method.py", name, f"harness.methods.{module}"),
        root / "tests" / "methods" / f"test_{module}.py": _render("test_method.py", name, f"harness.methods.{module}"),
    }


def package_files(name: str, directory: Path) -> Files:
    """A package of one method, in a folder of its name in ``directory``.

    Raises :class:`HarnessError` for a name that is not possible.
    """
    module = _module(name)
    if importlib.util.find_spec(module):
        raise HarnessError(f"there is a module {module!r} already, which the package would hide; choose another name")
    folder = directory / name
    return {
        folder / f"{module}.py": _render("method.py", name, module),
        folder / "tests" / f"test_{module}.py": _render("test_method.py", name, module),
        folder / "pyproject.toml": _render("pyproject.toml", name, module),
        folder / "README.md": _render("README.md", name, module),
    }


def write(files: Files) -> None:
    """Write all files, or none if one exists. Raises :class:`HarnessError` where one exists or cannot be written."""
    for file in files:
        if file.exists():
            raise HarnessError(f"{file} exists already and is left as it is; choose another name or delete it")
    for file, content in files.items():
        write_atomically(file, content.encode())


def _module(name: str) -> str:
    """The name of a method's module. Raises :class:`HarnessError` where the method's name is not possible."""
    module = name.replace("-", "_")
    if fault := method_names.name_fault(name):
        raise HarnessError(f"this name is not possible: {fault}; choose another name")
    if not module.isidentifier() or keyword.iskeyword(module):
        raise HarnessError(f"{module!r} is not possible as the name of a module; choose another name")
    if _class_name(name) in IMPORTED:
        raise HarnessError(f"{name!r} would hide the class {_class_name(name)} of the harness; choose another name")
    if known := registry.methods().get(name):
        raise HarnessError(
            f"there is a method {name!r} already, {known.target} of {known.provider}; choose another name"
        )
    return module


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _render(template: str, name: str, module: str) -> str:
    environment = Environment(
        loader=PackageLoader("harness.scaffold"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template(f"{template}.jinja").render(
        name=name, module=module, class_name=_class_name(name), in_checkout=module.startswith("harness.methods.")
    )
