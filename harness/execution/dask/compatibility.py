"""The check that a machine of a cluster has the command's runs folder, its locks and its software."""

from __future__ import annotations

import hashlib
import importlib.util
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from harness import registry
from harness._version import __version__


@dataclass(frozen=True)
class Compatibility:
    """The folder and software that a command and its cluster must have in common.

    Attributes:
        folder: made for the command, in the runs folder; its name is written in its file ``token``.
        software: releases and digests by name; see :func:`software`.
    """

    folder: Path
    software: Mapping[str, str]


def software() -> dict[str, str]:
    """Facts that must be equal on all machines: releases, plug-ins, and the source that a run's process imports.

    Nothing heavy is imported for it. Which build of PyTorch it is (``+cu128``) does not count.
    """
    sources: dict[str, bytes] = {}  # by name, which is the same in a checkout and installed
    for package in ("harness", "harness.methods", "harness.spaces"):
        spec = importlib.util.find_spec(package)
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for file in folder.rglob("[!.]*.py"):
                name = f"{package.replace('.', '/')}/{file.relative_to(folder).as_posix()}"
                if not name.startswith("harness/reports/"):  # no run imports them
                    sources[name] = file.read_bytes()
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0".encode() + sources[name])
    entries = [*registry.methods().values(), *registry.spaces().values()]
    plugins = sorted({entry.provider for entry in entries if entry.provider.startswith("package ")})
    return {
        "nas-harness": __version__,
        "source of nas-harness": digest.hexdigest()[:12],
        "plug-ins": ", ".join(plugins) or "none",
        **{name: metadata.version(name).partition("+")[0] for name in ("torch", "numpy")},
    }


def problem(compatibility: Compatibility) -> str:
    """The reason why this machine cannot work on runs, as a predicate of it; empty where it can."""
    folder = compatibility.folder
    shared = "a shared file system must be mounted under the same path on all machines (--runs)"
    try:
        if (folder / "token").read_text() != folder.name:
            return f"sees another {folder.parent}; {shared}"
        (folder / f"seen-{uuid.uuid4().hex}").touch()
    except FileNotFoundError:
        return f"does not see what this command writes in {folder.parent}; {shared}"
    except OSError as error:
        return f"cannot read and write in {folder.parent} ({error.strerror}); run it as the same user"
    mine = software()
    for name, wanted in compatibility.software.items():
        if mine.get(name) != wanted:
            return f"has another version of {name} ({mine.get(name)}, here {wanted}); install the same one"
    try:
        with FileLock(folder / "lock", timeout=0):
            return (
                f"is not kept out by a lock in {folder.parent}, so that two machines could write one run; mount it "
                "with locks that reach all machines (NFS without nolock or local_lock, Lustre with flock)"
            )
    except Timeout:
        return ""
