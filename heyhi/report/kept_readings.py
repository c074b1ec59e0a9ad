"""What is remembered of experiments between reports, and whether it still holds.

What was read is kept with a stamp of the files that it was read from; `columns` writes both to disk. Where few of many
experiments have changed, what is new is kept beside that, so that the rest isn't written each time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME, USED_NAME, Status
from heyhi.files import MOST_BYTES, NO_ORIGIN, Origin, opened_parent, read_found
from heyhi.report.readings import Reading, Readings, printable_names

# Time of change, size and number of the result, of the metrics and of the attempts, zeros for what is not there; where
# there is no result, of what the last attempt has used so far, too.
Stamp = tuple[int, ...]
FileStamp = tuple[int, int, int]  # of one file
UNKNOWN: Stamp = ()  # of what is not remembered
SETTLED_SECONDS = 2.0  # a file changed later than this may change again within its clock's tick
_ABSENT = (0, 0, 0)
_NAMES = (RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME)
# Columns on disk, beside a column for each field: the parts of the stamp of what is DONE, the rest of the stamp, the
# tuples of names that occur, and the number of each experiment's tuple.
_STAMP_COLUMNS = tuple(f"{part} of {file}" for file in _NAMES for part in ("time", "size", "inode"))
_NO_STAMP = _ABSENT + _ABSENT + _ABSENT
_OTHERS, _KINDS, _KIND = "others", "kinds", "kind"
_OUTCOME = "outcome: "
FOLDERS = "folders"  # exp paths, where a table has more experiments each time
TOKEN = "token"  # of what was written as a whole; what is kept beside it has the same one
_PLACES = "places"  # of the experiments that are kept beside it
_FEW = 20  # what is kept beside it is less than one in so many
# What is not remembered: only what is DONE needs no asking, and names are kept as numbers.
_FIXED: dict[str, Any] = {"status": Status.DONE.value, "reason": ""}
_KEPT_FIELDS = [name for name in Reading._fields if name not in {*_FIXED, "names", "values"}]


class Look(NamedTuple):
    """What the system says of an experiment's files.

    Attributes:
        stamp: changes when one of them changes.
        is_done: whether there is a result.
        updated: when one was written last, in seconds since 1970; None where there is none. An end may come on record
            long after the result: that is no news of what is done.
        changed: when one of them changed last, the attempts too.
    """

    stamp: Stamp
    is_done: bool
    updated: float | None
    changed: float | None


class Files:
    """The files of an experiment while they are read: of each that is opened for that, the stamp is taken then.

    What was read is never older than its stamp, so that a change meanwhile is seen the next time.

    Args:
        folder: its exp path.
        look: what the system has said of them, if it was asked already: then that counts.
        origin: a folder that it lies in, where that is open.
    """

    def __init__(self, folder: str, look: Look | None = None, origin: Origin = NO_ORIGIN) -> None:
        self.folder = folder
        self.origin = origin
        self._look = look
        self._result: bytes | None = None
        self._stamps: dict[str, FileStamp] = {}

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """Read one of them.

        Raises:
            OSError: as `read_bounded` does.
        """
        path = f"{self.folder}/{name}"
        try:
            data, found = read_found(path, most, self.origin)
        except FileNotFoundError:
            self.note(name, None)
            raise
        except OSError:
            self._stamps[name] = _stamp(path)  # before somebody tries again
            raise
        self.note(name, found)
        return data

    def read_result(self) -> bytes:
        """Read the result, once.

        Raises:
            OSError: likewise.
        """
        if self._result is None:
            self._result = self.read(RESULT_NAME)
        return self._result

    def note(self, name: str, found: os.stat_result | None) -> None:
        """Take in what the system said of one before it was read; None where it isn't there."""
        self._stamps[name] = _ABSENT if found is None else _stamp_in(found)

    def look(self) -> Look:
        """Return what the system says of them; what wasn't opened is asked about now."""
        if self._look is None:
            stamps = self._stamps
            if len(stamps) < len(_NAMES):
                stamps = {name: stamps.get(name) or _stamp(f"{self.folder}/{name}") for name in _NAMES}
            self._look = _look_of(stamps[RESULT_NAME], stamps[METRICS_NAME], stamps[ATTEMPTS_NAME])
        return self._look


def look_at(folder: str, *, may_be_done: bool = True) -> Look:
    """Ask the system about an experiment's files, without reading them.

    Args:
        folder: its exp path.
        may_be_done: whether there may be a result; else it isn't asked for.
    """
    result = _stamp(f"{folder}/{RESULT_NAME}") if may_be_done else _ABSENT
    metrics, attempts = _stamp(f"{folder}/{METRICS_NAME}"), _stamp(f"{folder}/{ATTEMPTS_NAME}")
    if result is not _ABSENT:
        return _look_of(result, metrics, attempts)
    stamp: Stamp = result + metrics + attempts
    times = [time for time, inode in zip(stamp[::3], stamp[2::3], strict=True) if inode]
    if attempts is not _ABSENT:  # that it was looked at is no news of the experiment
        stamp += _stamp(f"{folder}/{USED_NAME}")
    changed = max(times) / 1e9 if times else None
    return Look(stamp, False, changed, changed)


def _look_of(result: FileStamp, metrics: FileStamp, attempts: FileStamp) -> Look:
    """Return the look at an experiment that is done."""
    updated = max(result[0], metrics[0])
    return Look(result + metrics + attempts, True, updated / 1e9, max(updated, attempts[0]) / 1e9)


def _stamp(path: str) -> FileStamp:
    try:
        found = os.stat(path)  # noqa: PTH116 (10,000 of them: no object each)
    except OSError:
        return _ABSENT
    return _stamp_in(found)


def _stamp_in(found: os.stat_result) -> FileStamp:
    return found.st_mtime_ns, found.st_size, found.st_ino


def columns_for(folders: Sequence[str], columns: Mapping[str, list[Any]]) -> Mapping[str, list[Any]]:
    """Return what is kept of some experiments in the order of others, of which some are new and have to be read.

    Args:
        folders: exp paths that are asked for.
        columns: as they are kept, with the exp paths of that time.
    """
    before = columns.get(FOLDERS, [])
    found = {name: column for name, column in columns.items() if name != FOLDERS}
    if before == list(folders) or not before:
        return found if before else {}
    places = {folder: place for place, folder in enumerate(before)}
    order = [places.get(folder) for folder in folders]
    fillers: dict[str, Any] = dict.fromkeys((*_STAMP_COLUMNS, _KIND), 0)  # no file has such a stamp
    return {
        name: column if name == _KINDS else [fillers.get(name) if at is None else column[at] for at in order]
        for name, column in found.items()
    }


@dataclass
class Remembered:
    """What was read of many experiments, and the stamp of each when it was read.

    Attributes:
        readings: what was read.
        stamps: of each experiment.
        token: of what is on disk of all of them; empty where nothing is, or nothing may be kept beside it.
        later: places of those that have changed since that was written.
    """

    readings: Readings
    stamps: list[Stamp]
    token: str = ""
    later: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, columns: Mapping[str, list[Any]], count: int) -> Self | None:
        """Restore what `columns` returned; None where there is nothing, or something of another number of experiments.

        Args:
            columns: by name.
            count: how many experiments there have to be.
        """
        own = {len(values) for column, values in columns.items() if column not in (_KINDS, TOKEN)}
        if own != {count} or not count:
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
        return cls(Readings(fields, outcome), stamps, columns.get(TOKEN, [""])[0])

    def take_later(self, columns: Mapping[str, list[Any]]) -> None:
        """Take over what `later_columns` returned, unless that was of something else than this."""
        places, token = columns.get(_PLACES, []), columns.get(TOKEN, [""])[0]
        later = {name: column for name, column in columns.items() if name not in (_PLACES, TOKEN)}
        found = Remembered.of(later, len(places)) if token == self.token else None
        if found is not None:
            rows, stamps = found.readings.rows(), found.stamps
            self.put(dict(zip(places, rows, strict=True)), dict(zip(places, stamps, strict=True)))
            self.later = set(places)

    def later_columns(self) -> dict[str, list[Any]] | None:
        """Return what has changed since all was written; None where all has to be written again."""
        if not self.token or len(self.later) > len(self.stamps) / _FEW:
            return None
        places = sorted(self.later)
        some = Remembered(self.readings.only(places), [self.stamps[place] for place in places])
        return {**some.columns(), TOKEN: [self.token], _PLACES: places}

    def columns(self) -> dict[str, list[Any]]:
        """Return everything as columns, to be kept on disk."""
        kinds = self.readings.kinds()
        number = {id(names): place for place, names in enumerate(kinds)}
        size = len(_STAMP_COLUMNS)
        own = zip(*[stamp[:size] or _NO_STAMP for stamp in self.stamps], strict=True)
        return {
            **dict(zip(_STAMP_COLUMNS, map(list, own), strict=True)),
            _OTHERS: [list(stamp[size:]) or None for stamp in self.stamps],
            _KINDS: [list(names) for names in kinds],
            _KIND: [number[id(names)] for names in self.readings.fields["names"]],
            **{name: self.readings.fields[name] for name in _KEPT_FIELDS},
            **{f"{_OUTCOME}{name}": values for name, values in self.readings.outcome.items()},
        }

    def changed(self, folders: Sequence[str]) -> list[int]:
        """Return the places of the experiments that have to be read: all but those that are done and unchanged."""
        with opened_parent(folders) as (handle, begin):
            return self._changed(folders, handle, begin)

    def _changed(self, folders: Sequence[str], handle: int | None, begin: int) -> list[int]:
        found = []
        look = os.stat
        for place, (folder, stamp) in enumerate(zip(folders, self.stamps, strict=True)):
            # As `_stamp`, without a call or a tuple for each file, and from their parent on, which the system needn't
            # find 30,000 times: this is most of what a report takes of which little has changed. A task may write
            # metrics on after its result, and its end is put on record after it.
            below = folder[begin:]
            try:
                done = look(f"{below}/{RESULT_NAME}", dir_fd=handle)
                metrics = look(f"{below}/{METRICS_NAME}", dir_fd=handle)
                attempts = look(f"{below}/{ATTEMPTS_NAME}", dir_fd=handle)
            except OSError:  # one of them isn't there
                is_same = stamp[:3] != _ABSENT and stamp == look_at(folder).stamp
            else:
                is_same = stamp == (
                    done.st_mtime_ns,
                    done.st_size,
                    done.st_ino,
                    metrics.st_mtime_ns,
                    metrics.st_size,
                    metrics.st_ino,
                    attempts.st_mtime_ns,
                    attempts.st_size,
                    attempts.st_ino,
                )
            if not is_same:
                found.append(place)
        return found

    def put(self, found: Mapping[int, Reading], stamps: Mapping[int, Stamp]) -> bool:
        """Replace what is remembered of the experiments at some places.

        Returns:
            whether there is something new to remember.
        """
        self.readings.put(found)
        news = [place for place, stamp in stamps.items() if stamp not in (UNKNOWN, self.stamps[place])]
        for place, stamp in stamps.items():
            self.stamps[place] = stamp
        self.later.update(news)
        return bool(news)
