"""Expansions that are remembered: a sweep that would be expanded as before has its manifest of then.

Composing 10,000 points takes longer than looking at what came of them. What is remembered may be removed at any time;
expanding and writing manifests is left to who asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.config.schema import Schema
from heyhi.errors import HeyhiError
from heyhi.files import parse_json, read_bounded, replace_file
from heyhi.project import Project
from heyhi.sweep.expand import Expansion, Point
from heyhi.sweep.file import SweepFile
from heyhi.sweep.manifest import SUFFIX, looked_at_root

_FORMAT = 1
_MAX_KEPT = 200
_MAX_MANIFESTS = 30  # of what was looked at: some megabytes each


class Remembered(NamedTuple):
    """What is remembered of an expansion: its manifest, and the warnings that a user was given."""

    manifest: Path
    warnings: list[str]


class RememberedExpansion:
    """The place where one expansion of a sweep file is remembered, found by all that the expansion is made of.

    Nothing is remembered of a sweep with a config outside of the project's own folders, with an exp id pattern of its
    own (a folder could hold another experiment by now), or with experiments that need others.
    """

    def __init__(self, project: Project, schema: Schema, sweep: SweepFile, points: Sequence[Point]) -> None:
        self._project = project
        self._points = points
        self._is_plain = sweep.pattern is None
        self._path = project.state_root / "expansions" / f"{self._key(schema, sweep)}.json"

    def find(self) -> Remembered | None:
        """Return what came of the same expansion before; None where that isn't known."""
        if not self._is_plain:
            return None
        try:
            found = parse_json(read_bounded(self._path))
            name, warnings = found["manifest"], [str(text) for text in found["warnings"]]
            path = looked_at_root(self._project) / os.path.basename(name)  # noqa: PTH119 (no path leads elsewhere)
            is_kept = path.is_file()
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return Remembered(path, warnings) if is_kept else None

    def keep(self, expansion: Expansion, manifest: Path) -> None:
        """Remember an expansion, if it may be; that it can't be written is no matter."""
        inside = all(_is_below(file, _config_roots(self._project)) for file in expansion.files)
        if not (self._is_plain and inside and len(expansion.planned) == len(expansion.own)):
            return
        if manifest.parent != looked_at_root(self._project):
            return
        with contextlib.suppress(OSError, HeyhiError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"manifest": manifest.name, "warnings": expansion.warnings})
            replace_file(self._path, text)
            _drop_oldest(self._path.parent, ".json", _MAX_KEPT)
            _drop_oldest(manifest.parent, SUFFIX, _MAX_MANIFESTS)

    def _key(self, schema: Schema, sweep: SweepFile) -> str:
        project = self._project
        digest = hashlib.sha256()
        about = [_FORMAT, schema.digest, sweep.name, str(project.root), str(project.results_root), os.getcwd()]  # noqa: PTH109
        for part in (about, project.settings, list(config_stamps(project)), self._points, sweep.search):
            digest.update(repr(part).encode(errors="surrogateescape"))
        return digest.hexdigest()[:32]


def _config_roots(project: Project) -> list[Path]:
    return [project.conf_root, *(project.root / folder for folder in project.settings.include_dirs)]


def _is_below(file: Path, roots: Iterable[Path]) -> bool:
    return any(file.is_relative_to(root) for root in roots)


def config_stamps(project: Project) -> Iterator[tuple[object, ...]]:
    """Yield what changes when a config is edited, or when a file comes that an include would find first."""
    # An include may also be relative to the project root; the results' folder comes by itself.
    names = (name for name in os.listdir(project.root) if not name.startswith("."))  # noqa: PTH208
    yield tuple(sorted(name for name in names if not project.results_root.is_relative_to(project.root / name)))
    for root in _config_roots(project):
        yield from _stamps_below(str(root))


def _stamps_below(root: str) -> Iterator[tuple[object, ...]]:
    seen = set[tuple[int, int]]()
    for folder, folders, files in os.walk(root, followlinks=True):
        if not _is_new(folder, seen):  # links lead round in a circle
            folders.clear()
            continue
        folders.sort()
        for name in sorted(files):
            if not name.endswith(".pyc"):
                path = f"{folder}/{name}"
                try:
                    stat = os.stat(path)  # noqa: PTH116
                except OSError as error:  # an editor's lock is a link that leads nowhere: no config, and no matter
                    yield path, error.errno
                else:
                    yield path, stat.st_size, stat.st_mtime_ns, stat.st_ino


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    try:
        stat = os.stat(folder)  # noqa: PTH116
    except OSError:  # gone meanwhile
        return False
    place = (stat.st_dev, stat.st_ino)
    if place in seen:
        return False
    seen.add(place)
    return True


def _drop_oldest(folder: Path, suffix: str, most: int) -> None:
    with os.scandir(folder) as entries:
        found = sorted((entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.name.endswith(suffix))
    for _, path in found[:-most]:
        Path(path).unlink(missing_ok=True)
