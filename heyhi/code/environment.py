"""What an attempt ran with: Python, platform, CUDA, and the version of each distribution that it had loaded.

It is written once for a content, below the state root; the record of the attempt's end has its digest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from heyhi.errors import ResultError
from heyhi.files import read_bounded, read_by_digest, replace_bytes
from heyhi.loggers import get_logger
from heyhi.project import Project
from heyhi.regex import regex
from heyhi.sha import sha256

DIGITS = 8  # of a digest, that tell it from others in a table
_FOLDER_NAME = "environments"
_MAPS = Path("/proc/self/maps")
_DRIVER = Path("/proc/driver/nvidia/version")
_DRIVER_VERSION = regex(r"Kernel Module.*?\s(\d+\.\d[\d.]*)")
# /usr/local/cuda/lib64/libcudart.so.12.4.127, torch/lib/libcudart-9335f6a2.so.12
_CUDA_LIBRARY = regex(r"/libcudart[^/]*\.so\.(\d[\d.]*)")
# Modules that know the version of CUDA that their library was built for, and the names by which they have it.
_CUDA_MODULES = (
    ("torch.version", ("cuda",)),
    ("tensorflow.python.platform.build_info", ("build_info", "cuda_version")),
)
_NO_PACKAGES = ("platform", "driver")  # of a record: what may differ from node to node
_log = get_logger(__name__)


def record_environment(project: Project, code_root: Path, *, may_take_long: bool = True) -> str:
    """Write down what this process runs with, and return the digest; empty where that fails, as no run does for it.

    Args:
        project: below whose state root.
        code_root: folder of the code that runs: the project's, or a copy of it.
        may_take_long: what is installed may be mapped anew, where it has changed; else this is left.
    """
    try:
        content = _environment(str(project.root), str(code_root), may_take_long=may_take_long)
        if content is None:
            return ""
        text = json.dumps(content, indent=1) + "\n"
        digest = sha256(text.encode()).hexdigest()[:16]
        _put(_folder(project) / f"{digest}.json", text.encode())
    except Exception as error:  # whatever it is, the run is worth more than this
        _log.debug("The packages are not on record: %s", error)
        return ""
    return digest


def read_environment(project: Project, digest: str) -> dict[str, str] | None:
    """Read what an attempt ran with: name -> version, Python, platform and CUDA first; None where there is no record.

    Raises:
        ResultError: it can't be read.
    """
    content = read_by_digest(_folder(project), digest)
    if content is None:
        return None
    packages = content.pop("packages", None)
    if not isinstance(packages, dict):
        raise ResultError(f"{_folder(project) / digest}.json: can't be read: it names no packages")
    return {str(name): str(version) for name, version in {**content, **packages}.items()}


def same_packages(project: Project, digests: Iterable[str]) -> bool:
    """Return whether attempts ran with the same packages, as far as they are on record.

    What was loaded in one of them only says nothing: a run may import more than the next one of the same environment.

    Args:
        project: that they are of.
        digests: of what they ran with, or at least DIGITS of each; what has no record says nothing.

    Returns:
        False where a package, Python or CUDA has different versions in two that have loaded it.
    """
    known: dict[str, str] = {}
    for digest in dict.fromkeys(digests):
        for found in _records(project, digest):
            for name, version in found.items():
                if name not in _NO_PACKAGES and known.setdefault(normalized(name), version) != version:
                    return False
    return True


def _records(project: Project, digest: str) -> Iterator[dict[str, str]]:
    """Yield the record of a digest that may be cut, if there is one that can be read."""
    if not digest.isalnum():
        return
    for path in sorted(_folder(project).glob(f"{digest}*.json")):
        with contextlib.suppress(ResultError):
            yield read_environment(project, path.stem) or {}


def normalized(name: str) -> str:
    """Return the name of a distribution as all its spellings have it: `Ruamel_Yaml` is `ruamel-yaml`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def own_requirements() -> frozenset[str]:
    """Return the normalized names of what HeyHi itself requires, and may load in one run and not in the next."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires("heyhi") or []
    except PackageNotFoundError:  # run from its source
        return frozenset()
    names = (re.match(r"[\w.-]+", line) for line in lines if not re.search(r";.*\bextra\b", line))
    return frozenset(normalized(match[0]) for match in names if match)


def _folder(project: Project) -> Path:
    return project.state_root / _FOLDER_NAME


def _put(path: Path, data: bytes) -> None:
    with contextlib.suppress(OSError):
        if read_bounded(path) == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_bytes(path, data)


def _environment(root: str, code_root: str, *, may_take_long: bool) -> dict[str, Any] | None:
    from heyhi.code.packages import Packages

    packages = Packages.here(may_read=may_take_long)
    if packages is None:
        return None
    libraries = _libraries()
    content: dict[str, Any] = {"python": _python(), "platform": _platform()}
    cuda = _cuda(libraries)
    if cuda:
        content |= {"cuda": cuda, "driver": _driver()}
    copy = f"{code_root}/"  # what is installed as a link to the project is that in a copy, too
    files = {f"{root}/{file.removeprefix(copy)}" if file.startswith(copy) else file for file in _module_files()}
    return {**content, "packages": packages.versions(files | libraries)}


def _python() -> str:
    name = sys.implementation.name
    version = ".".join(map(str, sys.version_info[:3]))
    return version if name == "cpython" else f"{version} ({name})"


def _platform() -> str:
    system = os.uname()
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        library = ""
    return " ".join(filter(None, (system.sysname, system.machine, library)))


def _cuda(libraries: set[str]) -> str:
    """Return the version of CUDA: as a library that is loaded says, else by the name of CUDA's own."""
    for module, names in _CUDA_MODULES:
        value: Any = _values(sys.modules.get(module))
        for name in names:
            value = value.get(name) if hasattr(value, "get") else None
        if isinstance(value, str) and value:
            return value
    found = {match[1] for one in libraries if "/libcudart" in one and (match := _CUDA_LIBRARY.search(one))}
    return max(found, default="")


def _driver() -> str:
    try:
        match = _DRIVER_VERSION.search(_DRIVER.read_text())
    except OSError:
        return ""
    return match[1] if match else ""


def _module_files() -> Iterator[str]:
    """Yield the files of the modules that are loaded."""
    for module in list(sys.modules.values()):
        file = _values(module).get("__file__")
        if type(file) is str:
            yield file


def _values(module: object) -> dict[str, Any]:
    """Return the names in a module; asked for one in the usual way, a lazy module would be imported now."""
    try:
        values: dict[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return values if type(values) is dict else {}


def _libraries() -> set[str]:
    """Return the libraries that this process has loaded: some packages hold nothing else."""
    try:
        lines = _MAPS.read_bytes().splitlines()
    except OSError:
        return set()
    found = {line[line.index(b"/") :] for line in lines if b".so" in line and b"/" in line}  # each in some lines
    return set(map(os.fsdecode, found))
