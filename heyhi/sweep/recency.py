"""In which order people expect what is known: what was launched last first, and in each sweep its own order."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from heyhi.project import Project
from heyhi.sweep.known import KNOWN_NAME, LaunchRecord, read_known, read_launches
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import folders_at

_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


def newest_first(project: Project, manifests: Mapping[Path, Iterable[str]]) -> list[Path]:
    """Return manifests in the order of their last launches; one of which no launch tells by when it was written.

    Args:
        project: whose results root they are of.
        manifests: exp paths of the experiments that are meant, by the manifest of each.
    """
    if len(manifests) < 2:
        return list(manifests)
    by_name = {path.name: path for path in manifests}
    of_folder = {folder: path for path, folders in manifests.items() for folder in folders}
    found: dict[Path, float] = {}
    for record in reversed(read_launches(project)):
        if len(found) == len(manifests):
            break  # what was launched before is of no matter
        its = {by_name[record.manifest]} if record.manifest in by_name else set[Path]()
        its |= {of_folder[folder] for folder in _single(project, record) if folder in of_folder}
        for path in its:
            found.setdefault(path, _seconds(record))
    return sorted(manifests, key=lambda path: found[path] if path in found else _written(path), reverse=True)


def in_order_of(manifest: Manifest, folders: Iterable[str]) -> list[str]:
    """Return experiments in the order of the sweep whose they are; then those that are only needed."""
    order = {folder: place for place, folder in enumerate(dict.fromkeys([*manifest.own_folders, *manifest.folders]))}
    return sorted(by_name(folders), key=lambda folder: order.get(folder, len(order)))


def by_name(names: Iterable[str]) -> list[str]:
    """Return names in alphabetical order, but numbers in them by their size: `seed=2` before `seed=10`."""

    def key(name: str) -> list[Any]:
        return [float(part) if place % 2 else part for place, part in enumerate(_NUMBER.split(name))]

    return sorted(names, key=key)


def _single(project: Project, record: LaunchRecord) -> list[str]:
    """Return the exp paths of the experiments that a launch names themselves."""
    if record.known:
        with contextlib.suppress(OSError, ValueError):  # which the index says
            return folders_at(read_known(project.state_root / KNOWN_NAME / record.known), project.results_root)
    return []


def _seconds(record: LaunchRecord) -> float:
    try:
        return datetime.fromisoformat(record.time).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
