"""What was read of experiments, as rows and as columns, and when it may be remembered."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from heyhi.config.identity import Identity
from heyhi.experiment.names import RESULT_NAME, Status

_DONE = Status.DONE.value


class Entry(NamedTuple):
    """What is known of an experiment before its folder is looked at.

    Attributes:
        folder: exp path (absolute).
        needs: exp paths of what it needs.
    """

    exp_id: str
    folder: str
    identity: Identity
    task: str
    needs: tuple[str, ...]


class Reading(NamedTuple):
    """What was read of one experiment.

    Attributes:
        status: as text.
        reason: why it is dead, by what it is blocked, who runs it.
        names: of what came out.
        values: what came out, in the order of the names.
        problem: what could not be read.
        attempts: how often it was started.
        seconds: of all its attempts that ended.
        job_id: of its last attempt, if that ran as a job.
        code: version of the code of its last attempt: commit, with a `+` if there were uncommitted changes.
        updated: when a file of it was last written, in seconds since 1970; None where there is none.
    """

    status: str
    reason: str = ""
    names: tuple[str, ...] = ()  # the same object for many, so that a table is put together by columns
    values: Sequence[Any] = ()
    problem: str = ""
    attempts: int = 0
    seconds: float | None = None
    job_id: str | None = None
    code: str | None = None
    updated: float | None = None

    @property
    def outcome(self) -> dict[str, Any]:
        """What came out, by name."""
        return dict(zip(self.names, self.values, strict=True))


@dataclass
class Readings:
    """What was read of many experiments, by columns: what `Reading` holds of one.

    Attributes:
        outcome: what came out, by name; None where an experiment lacks it.
    """

    status: list[str]
    reason: list[str]
    names: list[tuple[str, ...]]
    outcome: dict[str, list[Any]]
    problem: list[str]
    attempts: list[int]
    seconds: list[float | None]
    job_id: list[str | None]
    code: list[str | None]
    updated: list[float | None]

    @classmethod
    def of(cls, rows: Sequence[Reading]) -> Readings:
        """Turn readings into columns."""
        if not rows:
            return cls([], [], [], {}, [], [], [], [], [], [])
        status, reason, names, values, *rest = map(list, zip(*rows, strict=True))
        return cls(status, reason, names, transposed(names, values), *rest)

    def row(self, place: int) -> Reading:
        """Return one of them."""
        names = self.names[place]
        return Reading(
            self.status[place],
            self.reason[place],
            names,
            tuple([self.outcome[name][place] for name in names]),
            *(getattr(self, column)[place] for column in _AFTER_VALUES),
        )

    def rows(self) -> list[Reading]:
        """Return all of them."""
        return list(map(self.row, range(len(self.status))))

    def put(self, rows: Mapping[int, Reading]) -> None:
        """Put others in some places."""
        if not rows:
            return
        for place, row in rows.items():
            for column in ("status", "reason", "names", *_AFTER_VALUES):
                getattr(self, column)[place] = getattr(row, column)
            found = row.outcome
            for name, values in self.outcome.items():
                values[place] = found.pop(name, None)
            for name, value in found.items():
                self.outcome[name] = [None] * len(self.status)
                self.outcome[name][place] = value
        # In the order, and with the names, that they would have had all along.
        kinds = {id(names): names for names in self.names}
        self.outcome = {name: self.outcome[name] for name in dict.fromkeys(chain.from_iterable(kinds.values()))}


_AFTER_VALUES = ("problem", "attempts", "seconds", "job_id", "code", "updated")


def transposed(names: Sequence[tuple[str, ...]], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Turn rows and the names of what each of them holds into columns; None where a row lacks a name."""
    if len(set(map(id, names))) == 1:  # mostly all have the same, and then it is the same object
        return dict(zip(names[0], map(list, zip(*rows, strict=True)), strict=True))
    places: dict[tuple[str, ...], list[int]] = {}
    for place, own in enumerate(names):
        places.setdefault(own, []).append(place)
    columns: dict[str, list[Any]] = {}
    for own, at in places.items():
        for name, found in zip(own, zip(*[rows[place] for place in at], strict=True), strict=True):
            column = columns.setdefault(name, [None] * len(names))
            for place, value in zip(at, found, strict=True):
                column[place] = value
    return columns


def _utf8(value: Any) -> Any:
    """Make text printable that JSON's escapes can spell and no file can hold: half of a surrogate pair."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


@lru_cache(maxsize=1024)
def _printable_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Do it for names; the same ones give the same object."""
    return tuple(map(_utf8, names))


# Time of change, size and number of the result; where there is none, of the other files.
Stamp = tuple[int, ...]
_UNKNOWN: Stamp = ()  # of what is not remembered
_NO_RESULT = (0, 0, 0)
_STAMP_COLUMNS = ("changed", "size", "number")
_OUTCOME = "outcome: "


@dataclass
class _Kept:
    """Hold readings, and the stamp of each when it was read."""

    readings: Readings
    stamps: list[Stamp]

    def changed(self, folders: Sequence[str]) -> list[int]:
        """Return the places of what has to be looked at: all but what is done and stayed as it is."""
        found = []
        for place, (folder, stamp) in enumerate(zip(folders, self.stamps, strict=True)):
            try:
                now = os.stat(f"{folder}/{RESULT_NAME}")  # noqa: PTH116 (10,000 of them: no object each)
            except OSError:
                found.append(place)
                continue
            if stamp != (now.st_mtime_ns, now.st_size, now.st_ino):
                found.append(place)
        return found

    def columns(self) -> dict[str, list[Any]]:
        """Return all as columns to be kept."""
        readings = self.readings
        kinds = list(dict.fromkeys(readings.names))
        number = {names: place for place, names in enumerate(kinds)}
        own = zip(*[stamp[:3] if stamp else _NO_RESULT for stamp in self.stamps], strict=True)
        return {
            **dict(zip(_STAMP_COLUMNS, map(list, own), strict=True)),
            "others": [list(stamp[3:]) or None for stamp in self.stamps],
            "kinds": [list(names) for names in kinds],
            "kind": [number[names] for names in readings.names],
            **{column: getattr(readings, column) for column in _AFTER_VALUES},
            **{f"{_OUTCOME}{name}": values for name, values in readings.outcome.items()},
        }


def _recalled(columns: Mapping[str, list[Any]], count: int) -> _Kept | None:
    """Make readings of columns; None where there are none, or not as many."""
    if {len(values) for column, values in columns.items() if column != "kinds"} != {count} or not count:
        return None
    kinds = [_printable_names(tuple(names)) for names in columns["kinds"]]
    stamps: list[Stamp] = list(zip(*(columns[column] for column in _STAMP_COLUMNS), strict=True))
    for place, others in enumerate(columns["others"]):
        if others:
            stamps[place] += tuple(others)
    outcome = {column.removeprefix(_OUTCOME): v for column, v in columns.items() if column.startswith(_OUTCOME)}
    return _Kept(
        Readings(
            [_DONE] * count,  # what is not done is asked for its status
            [""] * count,
            [kinds[number] for number in columns["kind"]],
            outcome,
            *(columns[column] for column in _AFTER_VALUES),
        ),
        stamps,
    )
