"""A method that is handed in as a class or an object: its source, and its way to a worker.

Such a method has no name that a worker could look up. It travels by value, pickled by cloudpickle, over the pipe to the
worker and is never written to disk. The run folder holds its source as text, which enters the run's identity: the
class, its bases, and every function, class and constant that they use, as far as no installed package defines them.
"""

from __future__ import annotations

import ast
import builtins
import dis
import hashlib
import inspect
import linecache
import pickle
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from harness.errors import HarnessError
from harness.methods.base import Method

_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def source_of(method: type[Method]) -> str:
    """The source of a class and of everything of the user's that it uses, as one text.

    Raises:
        HarnessError: the source of something cannot be read, or a global value has no text that could stand for it.
    """
    return "\n\n".join(_Collector(method).parts.values()) + "\n"


def to_bytes(method: Method) -> bytes:
    """A method object by value, for :func:`from_bytes` in a process that need not find its class."""
    import cloudpickle

    modules = _own_modules(type(method))
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        content: bytes = cloudpickle.dumps(method)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise HarnessError(f"{method.name} cannot be sent to a worker: {' '.join(str(error).split())}") from None
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
    return content


def from_bytes(content: bytes) -> Method:
    """The method that :func:`to_bytes` was given. The bytes come from the parent process, over a pipe."""
    method: Method = pickle.loads(content)
    return method


def digest(source: str) -> str:
    """SHA-256 of a source, hexadecimal."""
    return hashlib.sha256(source.encode()).hexdigest()


def is_installed(module: str) -> bool:
    """True if a module belongs to Python, to an installed package or to the harness, and is not the user's own."""
    if module.split(".", maxsplit=1)[0] in {"harness", "builtins", *sys.builtin_module_names, *sys.stdlib_module_names}:
        return True
    origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is None:  # __main__ of a notebook has none; a namespace package has a path
        return module != "__main__" and getattr(sys.modules.get(module), "__path__", None) is not None
    if module == "__main__":
        return False
    path = Path(origin).resolve()
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or path.is_relative_to(_STANDARD_LIBRARY)


def _own_modules(method: type[Method]) -> list[ModuleType]:
    """The modules, beside ``__main__``, that define parts of a method and have to be pickled by value."""
    return [sys.modules[name] for name in _Collector(method).modules if name != "__main__" and name in sys.modules]


class _Collector:
    """Walks through what a class uses.

    Attributes:
        parts: text by qualified name, the class first.
        modules: names of the user's modules that define any of it.
    """

    def __init__(self, method: type[Method]) -> None:
        self.method = method
        self.parts: dict[str, str] = {}
        self.modules: dict[str, None] = {}
        self._add(method)

    def _add(self, part: Any) -> None:
        """A class or function of the user's, and what it uses."""
        name = f"{part.__module__}.{part.__qualname__}"
        if name in self.parts or is_installed(part.__module__):
            return
        try:
            text = textwrap.dedent(_source(part))
        except (OSError, TypeError):
            raise HarnessError(
                f"the source of {part.__qualname__}, which {self.method.__name__} needs, cannot be read; define it in "
                "a file or in a cell of a notebook"
            ) from None
        self.parts[name] = text.rstrip()
        self.modules[part.__module__] = None
        if isinstance(part, type):
            for base in part.__bases__:
                self._add(base)
        for used, value in self._used(part, text):
            self._use(name, used, value)

    def _used(self, part: Any, text: str) -> Iterator[tuple[str, Any]]:
        """Names that a part loads from outside of itself, in order, with their values."""
        scope = _scope(part)
        seen = set()
        code = compile(text, "<source>", "exec", flags=_future_flags(part), dont_inherit=True)
        for name in _loaded(code):
            if name in seen or name == getattr(part, "__name__", None):
                continue
            seen.add(name)
            if name in scope:
                yield name, scope[name]

    def _use(self, user: str, name: str, value: Any) -> None:
        """Take a used value in, or refuse it by its name."""
        if isinstance(value, ModuleType):
            if not is_installed(value.__name__):
                raise self._refusal(
                    user,
                    name,
                    f"the module {value.__name__}; import what is used of it: from {value.__name__} import …",
                )
            return
        if isinstance(value, type | FunctionType):
            self._add(value)
            return
        if is_installed(getattr(value, "__module__", None) or type(value).__module__) and callable(value):
            return  # an installed function, such as torch.softmax
        text = _text(value)
        if text is None:
            raise self._refusal(
                user, name, f"a {type(value).__name__}; make it a hyper-parameter, a constant or a function"
            )
        self.parts.setdefault(f"{user}:{name}", f"# {user} uses {name} = {text}")

    def _refusal(self, user: str, name: str, what: str) -> HarnessError:
        return HarnessError(
            f"{self.method.__name__} cannot be handed in: {user.rpartition('.')[2]} uses {name}, which is {what}"
        )


def _source(part: Any) -> str:
    """The source of a class or function. Raises OSError or TypeError where it cannot be read.

    :mod:`inspect` reads no class of a notebook, since ``__main__`` has no file there; IPython keeps the cells.
    """
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        if not isinstance(part, type):
            raise
    for function in filter(None, map(_function, vars(part).values())):
        if function.__qualname__.startswith(f"{part.__qualname__}."):
            code = function.__code__
            text = _class_in("".join(linecache.getlines(code.co_filename)), part.__name__, code.co_firstlineno)
            if text:
                return text
    for cell in reversed(getattr(sys.modules["__main__"], "In", [])):  # a class without functions knows no file
        if text := _class_in(cell, part.__name__):
            return text
    raise OSError(f"no cell defines {part.__name__}")


def _class_in(text: str, name: str, line: int | None = None) -> str:
    """The last class of this name in a source, or the one that contains a line; empty where there is none."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    source = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            last = node.end_lineno or first
            if line is None or first <= line <= last:
                source = "\n".join(text.splitlines()[first - 1 : last])
    return source


def _scope(part: Any) -> dict[str, Any]:
    """The names that the code of a class or function can see: globals, and variables of functions around it."""
    module = sys.modules.get(part.__module__)
    scope = dict(vars(module)) if module is not None else {}
    functions = [part] if isinstance(part, FunctionType) else [_function(value) for value in vars(part).values()]
    for function in filter(None, functions):
        scope |= {key: value for key, value in function.__globals__.items() if key not in scope}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if name != "__class__":
                try:
                    scope[name] = cell.cell_contents
                except ValueError:  # not yet filled
                    continue
    return scope


def _function(value: Any) -> FunctionType | None:
    """The function behind an attribute of a class."""
    if isinstance(value, property):
        value = value.fget
    value = inspect.unwrap(getattr(value, "__func__", value)) if callable(getattr(value, "__func__", value)) else None
    return value if isinstance(value, FunctionType) else None


def _future_flags(part: Any) -> int:
    """Compiler flags of the module, so that annotations are names to evaluate only where they are evaluated."""
    import __future__

    feature = getattr(sys.modules.get(part.__module__), "annotations", None)
    return __future__.annotations.compiler_flag if feature is __future__.annotations else 0


def _loaded(code: CodeType) -> Iterator[str]:
    """Names that code, and the code in it, loads and does not bind itself, in order."""
    bound = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}
    for step in dis.get_instructions(code):
        if step.opname not in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}:
            continue
        name = step.argval
        if name not in bound and not hasattr(builtins, name) and not name.startswith("__"):
            yield name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from (name for name in _loaded(constant) if name not in bound)


def _text(value: Any) -> str | None:
    """A constant as text that stands for its value; None where there is none."""
    kind = type(value).__name__
    if isinstance(value, CONSTANTS) or "typing" in {type(value).__module__, getattr(value, "__module__", None)}:
        return repr(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return f"{kind} {array.dtype} {array.shape} sha256 {content}"
    if isinstance(value, dict):
        items = [f"{_text(key)}: {_text(item)}" for key, item in value.items()]
        known = all(_text(part) is not None for pair in value.items() for part in pair)
    elif isinstance(value, list | tuple | set | frozenset):
        items = [str(_text(item)) for item in value]
        known = all(_text(item) is not None for item in value)
        items = sorted(items) if isinstance(value, set | frozenset) else items
    else:
        return None
    return f"{kind}({', '.join(items)})" if known else None
