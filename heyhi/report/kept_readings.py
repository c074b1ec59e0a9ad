"""What is remembered of experiments between reports, and whether it still holds.

What was read is kept with a stamp of the files that it was read from; `columns` writes both to disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME, Status
from heyhi.report.readings import Reading, Readings, printable_names

# Time of change, size and number of the result; where there is none, zeros and the same of the other files.
Stamp = tuple[int, ...]
UNKNOWN: Stamp = ()  # of what is not remembered
SETTLED_SECONDS = 2.0  # a file changed later than this may change again within its clock's tick
_ABSENT = (0, 0, 0)
_FILES = (RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME)
# Columns on disk, beside a column for each field: the parts of a result's stamp, the rest of the stamp, the tuples of
# names that occur, and the number of each experiment's tuple.
_STAMP_COLUMNS = ("changed", "size", "number")
_OTHERS, _KINDS, _KIND = "others", "kinds", "kind"
_OUTCOME = "outcome: "
# What is not remembered: only what is DONE needs no asking, and names are kept as numbers.
_FIXED: dict[str, Any] = {"status": Status.DONE.value, "reason": ""}
_KEPT_FIELDS = [name for name in Reading._fields if name not in {*_FIXED, "names", "values"}]


def look_at(folder: str) -> tuple[Stamp, bool, float | None]:
    """Ask the system about an experiment's files, without reading them.

    Returns:
        what changes when one of them changes; whether there is a result; when one was written last, in seconds since
        1970, or None where there is none.
    """
    stamp: list[int] = []
    newest = None
    for name in _FILES:
        try:
            found = os.stat(f"{folder}/{name}")  # noqa: PTH116 (10,000 of them: no object each)
        except OSError:
            stamp += _ABSENT
            continue
        stamp += [found.st_mtime_ns, found.st_size, found.st_ino]
        if name == RESULT_NAME:  # it is written last: what has one changes no more
            return tuple(stamp), True, found.st_mtime
        newest = found.st_mtime if newest is None or found.st_mtime > newest else newest
    return tuple(stamp), False, newest


@dataclass
class Remembered:
    """What was read of many experiments, and the stamp of each when it was read."""

    readings: Readings
    stamps: list[Stamp]

    @classmethod
    def of(cls, columns: Mapping[str, list[Any]], count: int) -> Self | None:
        """Restore what `columns` returned; None where there is nothing, or something of another number of experiments.

        Args:
            columns: by name.
            count: how many experiments there have to be.
        """
        if {len(values) for column, values in columns.items() if column != _KINDS} != {count} or not count:
            return None
        kinds = [printable_names(tuple(names)) for names in columns[_KINDS]]
        stamps: list[Stamp] = list(zip(*(columns[column] for column in _STAMP_COLUMNS), strict=True))
        for place, others in enumerate(columns[_OTHERS]):
            if others:
                stamps[place] += tuple(others)
        fields = {name: [value] * count for name, value in _FIXED.items()}
        fields |= {"names": [kinds[number] for number in columns[_KIND]]}
        fields |= {name: columns[name] for name in _KEPT_FIELDS}
        outcome = {column.removeprefix(_OUTCOME): v for column, v in columns.items() if column.startswith(_OUTCOME)}
        return cls(Readings(fields, outcome), stamps)

    def columns(self) -> dict[str, list[Any]]:
        """Return everything as columns, to be kept on disk."""
        kinds = self.readings.kinds()
        number = {id(names): place for place, names in enumerate(kinds)}
        own = zip(*[stamp[:3] if stamp else _ABSENT for stamp in self.stamps], strict=True)
        return {
            **dict(zip(_STAMP_COLUMNS, map(list, own), strict=True)),
            _OTHERS: [list(stamp[3:]) or None for stamp in self.stamps],
            _KINDS: [list(names) for names in kinds],
            _KIND: [number[id(names)] for names in self.readings.fields["names"]],
            **{name: self.readings.fields[name] for name in _KEPT_FIELDS},
            **{f"{_OUTCOME}{name}": values for name, values in self.readings.outcome.items()},
        }

    def changed(self, folders: Sequence[str]) -> list[int]:
        """Return the places of the experiments that have to be read: all but those that are done and unchanged."""
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

    def put(self, found: Mapping[int, Reading], stamps: Mapping[int, Stamp]) -> bool:
        """Replace what is remembered of the experiments at some places.

        Returns:
            whether there is something new to remember.
        """
        self.readings.put(found)
        is_news = any(stamp not in (UNKNOWN, self.stamps[place]) for place, stamp in stamps.items())
        for place, stamp in stamps.items():
            self.stamps[place] = stamp
        return is_news
