"""Curves of experiments that stay as they are, kept on disk: the next server need not read their metrics again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from heyhi.project import Project
from heyhi.report.columns import ColumnCache
from heyhi.report.kept_curves import columns_of_curves, restored_curves
from heyhi.report.kept_readings import Stamp
from heyhi.report.page_curves import CurveSet, Menu

_FORMAT = 1
_KEYS, _NAMES, _MENUS = "keys", "names", "menus"
_MOST_BYTES = 8 << 20  # of numbers


class Stored(NamedTuple):
    """What is kept of an experiment.

    Attributes:
        stamp: of its files, when it was read.
        names: of the metrics that were asked for.
        sets: the curves of these.
        menus: what else can be drawn.
    """

    stamp: Stamp
    names: frozenset[str]
    sets: list[CurveSet]
    menus: list[Menu]

    @property
    def size(self) -> int:
        """How many bytes its numbers have."""
        return sum(len(text) for one in self.sets for part in one for text in part.values())


def load(project: Project, buckets: int) -> dict[str, Stored]:
    """Return what is kept of a project's experiments, by their keys; nothing where there is nothing whole."""
    columns = _cache(project).load(_name(buckets))
    try:
        keys = columns[_KEYS]
        stamps, runs = restored_curves(columns, len(keys))
        menus = [[Menu(*map(dict.fromkeys, menu)) for menu in its] for its in columns[_MENUS]]
        rows = zip(stamps, map(frozenset, columns[_NAMES]), runs, menus, strict=True)
        return {key: Stored(*row) for key, row in zip(keys, rows, strict=True)}
    except (KeyError, IndexError, TypeError, ValueError):
        return {}


def store(project: Project, buckets: int, found: Mapping[str, Stored]) -> None:
    """Keep what was found, as much as may be kept."""
    kept: dict[str, Stored] = {}
    left = _MOST_BYTES
    for key, one in found.items():
        left -= one.size
        if left < 0:
            break
        kept[key] = one
    columns: dict[str, list[Any]] = columns_of_curves(
        [one.stamp for one in kept.values()], [one.sets for one in kept.values()]
    )
    columns |= {
        _KEYS: list(kept),
        _NAMES: [sorted(one.names) for one in kept.values()],
        _MENUS: [[[list(part) for part in menu] for menu in one.menus] for one in kept.values()],
    }
    _cache(project).store(_name(buckets), columns)


def _cache(project: Project) -> ColumnCache:
    return ColumnCache(project.state_root / "readings")


def _name(buckets: int) -> str:
    return f"live-curves-{_FORMAT}-{buckets}"
