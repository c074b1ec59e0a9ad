"""Finds a project's modules in the copy of its code that was pinned for a job, in whatever way they are installed.

Any Python that a job's task starts may load this, so it uses only what Python has loaded by then anyway. What the copy
doesn't have (git ignores it, like compiled extensions) is found in the work tree still; `outside` says what that was.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import (  # importlib's own home: importlib.util takes ten times as long as all of this
    ExtensionFileLoader,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
    spec_from_file_location,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

ROOT_VARIABLE = "HEYHI_CODE_ROOT"  # the project's root
COPY_VARIABLE = "HEYHI_CODE_COPY"  # the copy of it that a job runs
HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (text throughout: each import comes by here)
_PATH_VARIABLE = "PYTHONPATH"
_PACKAGES = ("/site-packages/", "/dist-packages/")
_STANDARD = f"{os.path.dirname(os.__file__)}/"  # noqa: PTH120
_STANDARD_PACKAGES = tuple(f"{_STANDARD}{part[1:]}" for part in _PACKAGES)
_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)
# Where import hooks of editable installations keep what they map names to: setuptools', `editables`' (of hatchling and
# pdm) and scikit-build-core's.
_MAPPINGS = ("MAPPING", "NAMESPACES", "_redirections", "known_source_files")


class PinnedFinder:
    """Finds modules as the finders after it do, but those of the project in its copy.

    Args:
        root: of the project.
        copy: of the root.
    """

    def __init__(self, root: str, copy: str) -> None:
        self.root = root.rstrip("/")
        self.copy = copy.rstrip("/")
        self._real_root = os.path.realpath(root)
        self._roots = tuple(dict.fromkeys((f"{self.root}/", f"{self._real_root}/")))
        self._real_copy = os.path.realpath(copy)
        places = (f"{place}/" for place in sys.path if type(place) is str and is_package(f"{place}/"))
        self._libraries = (_STANDARD, *(place for place in places if not place.startswith(self._roots)))
        # <folder of all copies>/<digest>/tree: a process of another job may have handed on where its own is.
        self._copies = f"{os.path.dirname(os.path.dirname(self.copy))}/" if self.copy.endswith("/tree") else ""  # noqa: PTH120

    def counterpart(self, path: str) -> str | None:
        """Return where the copy has a file or folder of the project's; None where it has none, or it isn't its."""
        for below in self._below(path):
            there = f"{self.copy}/{below}" if below else self.copy
            if os.path.exists(there):  # noqa: PTH110
                return there
        return None

    def _below(self, path: str) -> Iterator[str]:
        """Yield the path below the root of what is the project's: by its name, then as it is without links."""
        if path.startswith(_STANDARD):
            return
        if self._copies and path.startswith(self._copies):
            digest, _, rest = path[len(self._copies) :].partition("/")
            if f"{self._copies}{digest}/tree" != self.copy and f"{rest}/".startswith("tree/"):
                yield rest[len("tree/") :]
            return
        for root in self._roots:
            if f"{path}/".startswith(root):
                if is_package(f"{path}/"[len(root) - 1 :]):
                    return
                yield path[len(root) :]
                break
        else:
            if is_package(f"{path}/") and not _is_link(path):
                return
        real = os.path.realpath(path)
        if real != path and f"{real}/".startswith(self._roots[-1]) and not f"{real}/".startswith(f"{self._real_copy}/"):
            yield real[len(self._roots[-1]) :]

    def original(self, path: str) -> str | None:
        """Return what a path in the copy is the counterpart of."""
        return self.root + path[len(self.copy) :] if f"{path}/".startswith(f"{self.copy}/") else None

    # Python's side of it.

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as the finders after this one do, but in the copy."""
        if name.startswith("heyhi."):  # where HeyHi itself came from: two versions of it don't mix
            return None
        is_after = self not in sys.meta_path
        for finder in sys.meta_path:
            if not is_after:
                is_after = finder is self
                continue
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                # Most of what a run imports is of libraries; but a package there may be a link to the project's.
                is_librarys = spec.has_location and spec.origin.startswith(self._libraries)
                is_clear = is_librarys and (
                    "." in name or spec.origin.startswith(_STANDARD) or not _is_link(spec.origin)
                )
                return spec if is_clear else self._pinned(spec)
        return self._left_out(name, path)

    def invalidate_caches(self) -> None:
        """Do nothing: there are none."""

    def _pinned(self, spec: ModuleSpec) -> ModuleSpec:
        places = spec.submodule_search_locations
        if not spec.has_location or spec.origin is None:
            if places is not None and spec.origin is None:  # a package without a file of its own
                self._pin_places(spec, places)
            return spec
        there = self.counterpart(spec.origin)
        if there is None:
            return spec
        inner: list[str] | None = None
        if places is not None:
            own = os.path.dirname(spec.origin)  # noqa: PTH120
            others = (self.counterpart(place) or place for place in places if place != own)
            inner = list(dict.fromkeys((os.path.dirname(there), *others)))  # noqa: PTH120
        loader: Any = None
        if isinstance(spec.loader, _LOADERS):  # a hook's own loader stays one
            loader = object.__new__(type(spec.loader))
            loader.__dict__.update(spec.loader.__dict__, path=there)
        found = spec_from_file_location(spec.name, there, loader=loader, submodule_search_locations=inner)
        return found or spec

    def _pin_places(self, spec: ModuleSpec, places: Iterable[str]) -> None:
        before = list(places)
        after = list(dict.fromkeys(self.counterpart(place) or place for place in before))
        if after != before:
            spec.submodule_search_locations = after

    def _left_out(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Find a module that the copy doesn't have where the project has it."""
        places = [self.original(place) for place in (sys.path if path is None else path) if type(place) is str]
        spec = PathFinder.find_spec(name, [place for place in places if place is not None])
        # Any folder is a package, and one for runs or data may have the name of a library that isn't there.
        return spec if spec is None or spec.has_location or path is not None else None


def _is_link(path: str) -> bool:
    """Return whether a module, or the package whose file it is, is a link."""
    return os.path.islink(path) or os.path.islink(os.path.dirname(path))  # noqa: PTH114, PTH120


def is_package(path: str) -> bool:
    """Return whether a path lies in an environment: one may lie in the project."""
    return any(part in path for part in _PACKAGES)


def pin(root: str, copy: str) -> PinnedFinder:
    """Find a project's modules in a copy from here on, in this process and in those that it starts.

    Args:
        root: of the project.
        copy: of it.
    """
    finder = next((f for f in sys.meta_path if getattr(f, "copy", None) == copy and hasattr(f, "counterpart")), None)
    if not isinstance(finder, PinnedFinder):
        # Another one is of a job that started this one, or of this module by another name.
        sys.meta_path[:] = [f for f in sys.meta_path if not hasattr(f, "counterpart")]
        finder = PinnedFinder(root, copy)
        sys.meta_path.insert(0, finder)
    _pin_path(finder)
    for hook in list(sys.meta_path):
        _pin_hook(finder, hook)
    _pin_environment(finder)
    return finder


def pin_by_environment() -> None:
    """Do so as the environment says, where it does."""
    root, copy = os.environ.get(ROOT_VARIABLE), os.environ.get(COPY_VARIABLE)
    if root and copy and os.path.isdir(copy):  # noqa: PTH112
        pin(root, copy)


def _pin_path(finder: PinnedFinder) -> None:
    """Put into each place of the project's its counterpart, and what was there last: it has what isn't in the copy."""
    places: list[str] = []
    originals: list[str] = []
    meant = {os.path.abspath(place): there for place, there in _submitted().items()}  # noqa: PTH100
    for given in sys.path:
        place = meant.get(given, given)
        there = finder.counterpart(place) if type(place) is str and place else None
        places.append(there or place)
        if there is not None:
            originals.append(place)
    sys.path[:] = list(dict.fromkeys((*places, *originals)))


def _submitted() -> dict[str, str]:
    """Return the relative places of PYTHONPATH -> what they meant where the job was submitted; it runs elsewhere."""
    submitted_in, found = os.environ.get("SLURM_SUBMIT_DIR"), {}
    for place in os.environ.get(_PATH_VARIABLE, "").split(os.pathsep) if submitted_in else ():
        if place and submitted_in and not os.path.isabs(place) and not os.path.isdir(place):  # noqa: PTH112, PTH117
            found[place] = os.path.normpath(os.path.join(submitted_in, place))  # noqa: PTH118
    return found


def _pin_hook(finder: PinnedFinder, hook: object) -> None:
    """Change what the import hook of an editable installation maps names to."""
    owners = (hook, sys.modules.get(getattr(hook, "__module__", None) or ""))
    for owner in owners:
        for name in _MAPPINGS:
            mapping = getattr(owner, name, None)
            if isinstance(mapping, dict):
                for key, value in list(mapping.items()):
                    mapping[key] = _mapped(finder, value)


def _mapped(finder: PinnedFinder, value: Any) -> Any:
    if isinstance(value, (str, os.PathLike)):
        there = finder.counterpart(os.fspath(value))
        return value if there is None else type(value)(there)  # type: ignore[call-arg]
    if isinstance(value, list):
        return [_mapped(finder, one) for one in value]
    return value


def _pin_environment(finder: PinnedFinder) -> None:
    given, meant = os.environ.get(_PATH_VARIABLE), _submitted()
    places = [meant.get(place, place) for place in given.split(os.pathsep)] if given else []
    pinned = [(finder.counterpart(place) or place) if place else place for place in places if place != HERE]
    os.environ[_PATH_VARIABLE] = os.pathsep.join(dict.fromkeys((HERE, *pinned)))
    os.environ[ROOT_VARIABLE], os.environ[COPY_VARIABLE] = finder.root, finder.copy


def outside(root: str, copy: str, results: str) -> list[str]:
    """Return the files of the project that this process has loaded as modules from elsewhere than the copy.

    Args:
        root: of the project.
        copy: of it.
        results: folder of the results, where runs may compile modules for themselves.

    Returns:
        paths below the root, in order; without those of environments that lie in it, and of this package.
    """
    real_root, real_copy, real_results = (f"{os.path.realpath(folder)}/" for folder in (root, copy, results))
    # Where HeyHi's own code is the project's, each Python of a job has begun by these modules, which found the copy.
    began = getattr(sys.modules.get("heyhi_pinning"), "HERE", HERE)
    own = tuple(f"{os.path.realpath(folder)}/" for folder in (HERE, began))
    folders: dict[str, str] = {}
    found = set()
    for module in list(sys.modules.values()):
        try:
            file = object.__getattribute__(module, "__dict__").get("__file__")  # a lazy module isn't to be loaded
        except AttributeError:
            continue
        if type(file) is not str or not file.startswith("/"):
            continue
        if file.startswith(_STANDARD) and not file.startswith(_STANDARD_PACKAGES):  # half of all modules
            continue
        folder, _, name = file.rpartition("/")
        real = f"{_real_folder(folder, folders)}/{name}"
        if os.path.islink(file):  # noqa: PTH114
            real = os.path.realpath(file)
        if not real.startswith(real_root) or real.startswith((real_copy, real_results, *own)):
            continue
        below = real[len(real_root) :]
        if not is_package(f"/{below}") and not real.startswith(_STANDARD):
            found.add(below)
    return sorted(found)


def _real_folder(folder: str, known: dict[str, str]) -> str:
    """Return a folder's path without links, and without a slash at its end.

    Args:
        folder: absolute path; the root's is empty, too.
        known: those that were asked for before, and what is above them: each is looked at once.
    """
    if not folder:
        return ""
    if folder not in known:
        above, _, name = folder.rpartition("/")
        if name in ("", os.curdir, os.pardir) or os.path.islink(folder):  # noqa: PTH114
            known[folder] = os.path.realpath(folder).rstrip("/")
        else:
            known[folder] = f"{_real_folder(above, known)}/{name}"
    return known[folder]
