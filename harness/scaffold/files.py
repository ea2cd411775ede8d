"""The files of a new method, from the templates in ``harness/templates``."""

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

IMPORTED = {"Field", "WeightSharingMethod", "Mixture", "MethodContract", "Search"}
"""Classes that the templates import: a method's class cannot have such a name."""

Files = Mapping[Path, str]
"""What is to be written, by file."""


def checkout_files(name: str, directory: Path) -> Files:
    """A method and its test in the checkout of this repository that ``directory`` lies in.

    Raises :class:`HarnessError` where there is none, and for a name that cannot be.
    """
    module = _module(name)
    here = directory.resolve()
    root = next((place for place in (here, *here.parents) if (place / "methods" / "base.py").is_file()), None)
    if root is None:
        raise HarnessError(f"{directory} is not in a checkout of nas-harness; add --package for a package of its own")
    return {
        root / "methods" / f"{module}.py": _render("method.py", name, f"harness.methods.{module}"),
        root / "tests" / f"test_methods_{module}.py": _render("test_method.py", name, f"harness.methods.{module}"),
    }


def package_files(name: str, directory: Path) -> Files:
    """A package of one method, in a folder of its name in ``directory``.

    Raises :class:`HarnessError` for a name that cannot be.
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
    """Write all files, or none. Raises :class:`HarnessError` where one exists or cannot be written."""
    for file in files:
        if file.exists():
            raise HarnessError(f"{file} exists already and is left as it is; choose another name or delete it")
    for file, content in files.items():
        write_atomically(file, content.encode())


def _module(name: str) -> str:
    """The module of a method's name. Raises :class:`HarnessError` where the name cannot be one."""
    module = name.replace("-", "_")
    if fault := method_names.name_fault(name):
        raise HarnessError(f"no method can be called so: {fault}; choose another name")
    if not module.isidentifier() or keyword.iskeyword(module):
        raise HarnessError(f"no module can be called {module!r}; choose another name")
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
        name=name, module=module, class_name=_class_name(name), in_checkout=module.startswith("methods.")
    )
