"""Which installed distribution a loaded file belongs to: a map of each folder of packages, made once for its state.

The map is kept in the user's cache, since making it reads the list of files of all that is installed. Nothing is
imported for it but what reads these lists.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.files import parse_json, read_bounded, user_cache, write_temp
from heyhi.quick_tuple import NamedTuple
from heyhi.sha import sha256

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_VERSION = 1
_INFO = (".dist-info", ".egg-info")
_MOST_ENTRIES = 5_000  # of a folder that may be one of packages, or one of data
_WORTH_KEEPING = 10  # distributions
# What was changed this recently may be half of an installation.
_SETTLED_NS = 10 * 10**9


class PackageFolder(NamedTuple):
    """The distributions of one folder that modules are imported from.

    Attributes:
        folder: where they are installed.
        packages: name and version of each.
        owners: first part of a path below the folder -> place of the only one that has files there.
        folders: where several have: folder below -> place of the only one that has files in it.
        files: where several have files in that, too: file -> place.
        editable: folder elsewhere that one is imported from -> its place.
    """

    folder: str
    packages: Sequence[Sequence[str]]
    owners: dict[str, int]
    folders: dict[str, int]
    files: dict[str, int]
    editable: dict[str, int]

    def owner(self, path: str) -> int | None:
        """Return the place of the distribution that has a file, given by its path below the folder."""
        first = self.owners.get(path.partition("/")[0])
        if first is not None:
            return first
        return self.folders.get(path.rpartition("/")[0], self.files.get(path))


class Packages:
    """All that is installed where this process imports from.

    Args:
        folders: of packages.
    """

    def __init__(self, folders: Sequence[PackageFolder]) -> None:
        self._places = [(prefix, one) for one in folders for prefix in _prefixes(one.folder)]
        self._editable = [
            (prefix, one.packages[place])
            for one in folders
            for folder, place in one.editable.items()
            for prefix in _prefixes(folder)
        ]
        # The innermost first: a project's environment may lie inside of the project.
        self._places.sort(key=lambda item: -len(item[0]))
        self._editable.sort(key=lambda item: -len(item[0]))
        self._standard = (f"{os.path.dirname(os.__file__)}/",)  # noqa: PTH120

    @classmethod
    def here(cls, *, may_read: bool = True) -> Packages | None:
        """Return what is installed where this process imports from.

        Args:
            may_read: the lists of what is installed, which may take seconds; else None where there is no map yet.
        """
        folders = []
        for folder in _package_folders():
            found = _cached(folder) or (_made(folder) if may_read else None)
            if found is None:
                return None
            folders.append(found)
        return cls(folders)

    def versions(self, files: Iterable[str]) -> dict[str, str]:
        """Return name and version of each distribution that one of some files belongs to."""
        found: set[tuple[int, int]] = set()
        names: dict[str, str] = {}
        for file in files:
            for number, (prefix, folder) in enumerate(self._places):
                if file.startswith(prefix):
                    place = folder.owner(file[len(prefix) :])
                    if place is not None and (number, place) not in found:
                        found.add((number, place))
                        names[folder.packages[place][0]] = folder.packages[place][1]
                    break
            else:
                if not file.startswith(self._standard):
                    names.update(self._edited(file))
        return dict(sorted(names.items()))

    def _edited(self, file: str) -> Iterator[tuple[str, str]]:
        """Yield the distribution that was installed as a link to the folder that a file lies in."""
        for prefix, (name, version) in self._editable:
            if file.startswith(prefix):
                yield name, version
                return


def _prefixes(folder: str) -> set[str]:
    return {f"{path.rstrip('/')}/" for path in (folder, os.path.realpath(folder))}


def _package_folders() -> Iterator[str]:
    """Yield the folders of sys.path in which something is installed."""
    standard = os.path.dirname(os.__file__)  # noqa: PTH120
    for folder in dict.fromkeys(map(str, sys.path)):
        if folder in ("", standard) or folder.endswith((".zip", "/lib-dynload")):
            continue
        try:
            with os.scandir(folder) as entries:
                if any(entry.name.endswith(_INFO) for entry in itertools.islice(entries, _MOST_ENTRIES)):
                    yield folder
        except OSError:  # no folder, or one that nobody can import from
            continue


def _stamp(folder: str) -> list[int]:
    """Return what changes when something is installed or removed."""
    status = Path(folder).stat()
    return [status.st_mtime_ns, status.st_ino]


def _cache_path(folder: str) -> Path:
    name = sha256(os.fsencode(f"{_VERSION}\0{folder}")).hexdigest()[:16]
    return user_cache() / f"packages-{name}.json"


def _cached(folder: str) -> PackageFolder | None:
    """Return the map of a folder, None where there is none of its present state, or a damaged one."""
    try:
        content = parse_json(read_bounded(_cache_path(folder)))
        if content["stamp"] != _stamp(folder):
            return None
        found = PackageFolder(*content["map"])
        places = list(itertools.chain(*(part.values() for part in found[2:])))
        is_whole = set(map(type, places)) <= {int} and set(places) <= set(range(len(found.packages)))
        return found if is_whole and found.folder == folder and _are_packages(found.packages) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _are_packages(values: Sequence[Any]) -> bool:
    """Return whether each is a name and a version; a job asks it of hundreds."""
    if set(map(type, values)) <= {list} and set(map(len, values)) <= {2}:
        return set(map(type, itertools.chain.from_iterable(values))) <= {str}
    return False


def _made(folder: str) -> PackageFolder:
    """Make the map of a folder, and keep it where that is worth it."""
    before = _stamp(folder)
    found = map_of(folder)
    with contextlib.suppress(OSError):  # no home, or a full one: the cache only saves time
        settled = before == _stamp(folder) and before[0] < time.time_ns() - _SETTLED_NS
        if settled and len(found.packages) >= _WORTH_KEEPING:
            path = _cache_path(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_temp(path, json.dumps({"stamp": before, "map": found})).replace(path)
    return found


def map_of(folder: str) -> PackageFolder:
    """Read what is installed in a folder."""
    from importlib.metadata import distributions

    packages: list[tuple[str, str]] = []
    editable: dict[str, int] = {}
    owners: dict[str, set[int]] = {}
    paths: list[tuple[str, int]] = []
    for place, one in enumerate(distributions(path=[folder])):
        packages.append(_name_and_version(one))
        source = _editable_folder(one)
        if source:
            editable[source] = place
        for path in _paths(one):
            owners.setdefault(path.partition("/")[0], set()).add(place)
            paths.append((path, place))
    shared = {first for first, places in owners.items() if len(places) > 1}
    inner: dict[str, set[int]] = {}
    within = [(path, place) for path, place in paths if path.partition("/")[0] in shared]
    for path, place in within:
        inner.setdefault(path.rpartition("/")[0], set()).add(place)
    return PackageFolder(
        folder,
        packages,
        {first: min(places) for first, places in owners.items() if first not in shared},
        {name: min(places) for name, places in inner.items() if len(places) == 1},
        {path: place for path, place in within if len(inner[path.rpartition("/")[0]]) > 1},
        editable,
    )


def _name_and_version(one: Distribution) -> tuple[str, str]:
    """Read name and version; the whole of such a file holds a long description, and parsing it takes long."""
    found = {"name": "", "version": ""}
    for line in (one.read_text("METADATA") or one.read_text("PKG-INFO") or one.read_text("") or "").splitlines():
        key, _, value = line.partition(":")
        if not line.strip() or all(found.values()):
            break
        if key.lower() in found:
            found[key.lower()] = value.strip()
    return found["name"] or "?", found["version"] or "?"


def _editable_folder(one: Distribution) -> str:
    """Return the folder that a distribution was installed from as a link; empty where it wasn't."""
    try:
        content = json.loads(one.read_text("direct_url.json") or "{}")
        url = str(content["url"]) if content["dir_info"]["editable"] is True else ""
    except (ValueError, LookupError, TypeError):
        return ""
    if not url.startswith("file:///"):
        return ""
    path = url.removeprefix("file://")
    if "%" not in path:
        return path
    from urllib.parse import unquote  # a job can do without mostly

    return unquote(path)


def _paths(one: Distribution) -> Iterator[str]:
    """Yield the files of a distribution that a process can load, below the folder that it is installed in."""
    import csv

    record = one.read_text("RECORD")
    if record is None:  # of a system's own packages, or installed in another way
        for name in (one.read_text("top_level.txt") or "").split():
            yield f"{name}/__init__.py"
            yield f"{name}.py"
        return
    for row in csv.reader(record.splitlines()):
        path = row[0] if row else ""
        if (path.endswith((".py", ".so")) or ".so." in path) and not path.startswith(("../", "/")):
            yield path
