"""Owns reading what came out of experiments, and remembering it as long as their files stay as they are.

How it is kept is `memory`'s business.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME, ExperimentDir, Status, ask_accounts
from heyhi.handle import Handle
from heyhi.identity import Identity
from heyhi.memory import Memory
from heyhi.project import Project
from heyhi.slurm import View
from heyhi.status import JOB_NAME

Collector = Callable[[Handle], Mapping[str, Any]]

_FORMAT = 3
_READ_BYTES = 1 << 16  # read at once: more than most files hold
_SETTLED_SECONDS = 2.0  # a file changed later than this may change again within its clock's tick
_FILES = (RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME)
_MAX_INT_BITS = 14_000  # Python writes no longer ones in decimal
_DONE = Status.DONE.value
_NUMBERS = frozenset({int, float})
_PLAIN = frozenset({int, float, bool})
_DICTS = frozenset({dict})
_SMALL_IS_GOOD = re.compile(
    r"loss|error|perplexity|(^|[^a-z])(err|ppl|nll|mse|rmse|mae|wer|cer|fid|kl|cost|regret)([^a-z]|$)"
)
# What only counts or times has no best value.
_NO_BEST = re.compile(
    r"(^|[^a-z])(epochs?|steps?|iter(ation)?s?|batch(es)?|samples|seed|lr|learning_rate|time|seconds|timestamp)$"
)


class Entry(NamedTuple):
    """Hold what is known of an experiment before its folder is looked at.

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
    """Hold what was read of one experiment.

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
    """Hold what was read of many experiments, by columns: what `Reading` holds of one.

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


def _is_submitted(folder: str) -> bool:
    """Tell whether an experiment isn't done, and was handed to Slurm."""
    return os.access(f"{folder}/{JOB_NAME}", os.F_OK) and not os.access(f"{folder}/{RESULT_NAME}", os.F_OK)


class Reader:
    """Read experiments one after the other; what is wrong with one stops none of the others.

    Args:
        project: where they are.
        get_logs_data: returns what came out of an experiment; default: the last and best value of each metric and the
            scalars of the result.
        source: what the function is made of: where it changes, what is remembered of it is forgotten.
    """

    def __init__(self, project: Project, get_logs_data: Collector | None = None, source: bytes = b"") -> None:
        self.project = project
        self._results_root = project.results_root
        self.get_logs_data = get_logs_data
        self._name = f"{_FORMAT}\0{get_logs_data is not None}\0".encode() + hashlib.sha256(source).digest()
        self._folders: Sequence[str] = ()  # of what is read now
        self._view: View | None = None
        self.memory = Memory(project.state_root / "readings")

    def read_all(
        self, entries: Sequence[Entry], needs: Mapping[str, Sequence[str]], tick: Callable[[], None] = lambda: None
    ) -> list[Reading]:
        """Read experiments: as `read`, a row each."""
        folders = [entry.folder for entry in entries]
        return self.read(folders, lambda places: [entries[place] for place in places], needs, tick).rows()

    def read(
        self,
        folders: Sequence[str],
        entries_at: Callable[[Sequence[int]], Sequence[Entry]],
        needs: Mapping[str, Sequence[str]],
        tick: Callable[[], None] = lambda: None,
    ) -> Readings:
        """Read experiments.

        Args:
            folders: their exp paths.
            entries_at: returns the entries of some of them, given their places.
            needs: exp path -> exp paths of what it needs, for all from which a block may come.
            tick: called after each.
        """
        name = hashlib.sha256(b"%b\0%b" % (self._name, "\0".join(folders).encode(errors="surrogateescape")))
        kept = _recalled(self.memory.recall(name.hexdigest()[:32]), len(folders))
        changed = range(len(folders)) if kept is None else kept.changed(folders)
        self._folders, self._view = [folders[place] for place in changed], None
        for _ in range(len(folders) - len(changed)):
            tick()
        found, stamps = {}, {}
        for place, entry in zip(changed, entries_at(changed), strict=True):
            found[place], stamps[place] = self._read(entry, needs, kept, place)
            tick()
        if kept is None:
            kept = _Kept(Readings.of(list(found.values())), [_UNKNOWN] * len(folders))
        else:
            kept.readings.put(found)
        before = [kept.stamps[place] for place in stamps]
        for place, stamp in stamps.items():
            kept.stamps[place] = stamp
        if any(stamp not in (_UNKNOWN, old) for stamp, old in zip(stamps.values(), before, strict=True)):
            self.memory.keep(name.hexdigest()[:32], kept.columns())
        return kept.readings

    def _read(
        self, entry: Entry, needs: Mapping[str, Sequence[str]], kept: _Kept | None, place: int
    ) -> tuple[Reading, Stamp]:
        """Return what there is, and below which stamp it may be remembered."""
        stamp, is_done, updated = _stamp(entry.folder)
        if updated is None and not os.path.isdir(entry.folder):  # noqa: PTH112 (10,000 of them: no object each)
            status, reason, problems = self._status(entry, needs) if needs else (Status.NOT_STARTED, "", [])
            return Reading(status.value, reason, problem="; ".join(problems)), _UNKNOWN
        status, reason, problems = (Status.DONE, "", []) if is_done else self._status(entry, needs)
        if kept is not None and kept.stamps[place] == stamp:
            row = kept.readings.row(place)
            problems += [row.problem] if row.problem else []
            return row._replace(status=status.value, reason=reason, problem="; ".join(problems), updated=updated), stamp
        # What is wrong with its status today is no part of what is remembered.
        settled = updated is not None and updated < time.time() - _SETTLED_SECONDS and not problems
        # A collector may read any file of a run, so only what has ended for good stays as it is.
        settled = settled and (is_done or self.get_logs_data is None)
        names, (values, *rest) = self._read_files(entry, status, problems)
        row = Reading._make((status.value, reason, names, values, "; ".join(problems), *rest, updated))
        return row, stamp if settled else _UNKNOWN

    def _ask(self) -> View:
        """Return what Slurm says of all that is read now, asked when the first of it isn't done."""
        if self._view is None:
            self._view = View()
            ask_accounts(filter(_is_submitted, self._folders), self._view)
        return self._view

    def _status(self, entry: Entry, needs: Mapping[str, Sequence[str]]) -> tuple[Status, str, list[str]]:
        folder = ExperimentDir(Path(entry.folder), self._results_root)
        try:
            status, reason = folder.status_and_reason(
                map(Path, entry.needs), lambda path: map(Path, needs.get(str(path), ())), self._ask()
            )
        except HeyhiError as error:
            return Status.NOT_STARTED, "", [str(error)]
        return status, reason, []

    def _read_files(self, entry: Entry, status: Status, problems: list[str]) -> tuple[tuple[str, ...], list[Any]]:
        """Return the names of what came out, and [its values, attempts, seconds, job id, code]."""
        records = _lines(f"{entry.folder}/{ATTEMPTS_NAME}", lambda: _folder(entry).attempts(), problems)
        started = [r for r in records if r.get("event") == "start"]
        seconds = [r["seconds"] for r in records if r.get("event") == "end" and _is_number(r.get("seconds"))]
        names: tuple[str, ...] = ()
        values: list[Any] = []
        if started or status is Status.DONE:
            outcome = self._outcome(entry, status, problems)
            written, values = tuple(outcome), list(outcome.values())
            names = _printable_names(written)
            if not _PLAIN.issuperset(map(type, values)):
                values = [_utf8(value) for value in values]
            if names != written and len(set(names)) < len(names):
                outcome = dict(zip(names, values, strict=True))
                names, values = tuple(outcome), list(outcome.values())
        last = started[-1] if started else {}
        commit = last.get("commit")
        return names, [
            values,
            len(started),
            math.fsum(seconds) if seconds else None,
            None if last.get("job_id") is None else str(last["job_id"]),
            f"{str(commit)[:8]}{'+' if last.get('dirty') else ''}" if commit else None,
        ]

    def _outcome(self, entry: Entry, status: Status, problems: list[str]) -> dict[str, Any]:
        if self.get_logs_data is not None:
            return _ask(self.get_logs_data, entry, self.project, problems)
        outcome = _summed_up_file(f"{entry.folder}/{METRICS_NAME}")
        if outcome is None:
            outcome = summed_up(_with_care(_folder(entry).read_metrics, problems))
        if status is Status.DONE:
            try:
                result = _result(entry)
            except HeyhiError as error:
                problems.append(str(error))
            else:
                if not _PLAIN.issuperset(map(type, result.values())):
                    result = {k: v for k, v in _flat(result) if not isinstance(v, list)}
                outcome.update(result)
        return outcome


def _ask(collector: Collector, entry: Entry, project: Project, problems: list[str]) -> dict[str, Any]:
    handle = Handle(Path(entry.folder), identity=entry.identity, project=project)
    try:
        found = collector(handle)
        if not isinstance(found, Mapping):
            raise TypeError(f"it returned {found!r:.100}; expected a dict")
        return {str(key): _cell(value) for key, value in found.items()}
    except HeyhiError as error:
        problems.append(str(error))
    except (Exception, SystemExit) as error:  # a user's code may raise anything; the other rows must come
        problems.append(f"get_logs_data: {type(error).__name__}: {error}")
    return {}


def _stamp(folder: str) -> tuple[Stamp, bool, float | None]:
    """Return what changes when a file changes, whether there is a result, and when one was written last."""
    stamp: list[int] = []
    newest = None
    for name in _FILES:
        try:
            found = os.stat(f"{folder}/{name}")  # noqa: PTH116 (10,000 of them: no object each)
        except OSError:
            stamp += [0, 0, 0]
            continue
        stamp += [found.st_mtime_ns, found.st_size, found.st_ino]
        if name == RESULT_NAME:  # it is written last: what has one changes no more
            return tuple(stamp), True, found.st_mtime
        newest = found.st_mtime if newest is None or found.st_mtime > newest else newest
    return tuple(stamp), False, newest


def _lines(path: str, careful: Callable[[], list[dict[str, Any]]], problems: list[str]) -> list[dict[str, Any]]:
    """Read a file of JSON objects, all at once where nothing is wrong with it, else line by line and with care."""
    found = _all_at_once(path)
    if found is not None and _DICTS.issuperset(map(type, found)):
        return found
    return _with_care(careful, problems)


def _all_at_once(path: str) -> list[Any] | None:
    """Read a file of JSON lines, which may be no objects yet; None where something is wrong with it."""
    try:
        return _parsed(_bytes(path))
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _parsed(data: bytes) -> list[Any] | None:
    import orjson

    if not data:
        return []
    if data.endswith(b"\n"):
        try:
            found: list[Any] = orjson.loads(b"[%b]" % data[:-1].replace(b"\n", b","))
            return found
        except ValueError:
            pass
    return None  # half-written, with NaN, or damaged


def _with_care(careful: Callable[[], list[dict[str, Any]]], problems: list[str]) -> list[dict[str, Any]]:
    try:
        return careful()
    except HeyhiError as error:
        problems.append(str(error))
        return []


def _bytes(path: str) -> bytes:
    # 10,000 of them, so none of the layers that open() puts around a file.
    handle = os.open(path, os.O_RDONLY)
    try:
        data = more = os.read(handle, _READ_BYTES)
        while len(more) == _READ_BYTES:  # of a file, what comes short of that is its end
            more = os.read(handle, _READ_BYTES)
            data += more
        return data
    finally:
        os.close(handle)


def metrics_of(folder: str) -> list[dict[str, Any]]:
    """Return the metrics that an experiment wrote, as far as they can be read."""
    # What is damaged was said where the table was made.
    return _lines(f"{folder}/{METRICS_NAME}", lambda: ExperimentDir(Path(folder)).read_metrics(warn=False), [])


def _folder(entry: Entry) -> ExperimentDir:
    return ExperimentDir(Path(entry.folder))


def _result(entry: Entry) -> dict[str, Any]:
    import orjson

    try:
        result = orjson.loads(_bytes(f"{entry.folder}/{RESULT_NAME}"))
        if type(result) is dict:
            return result
    except (OSError, ValueError):
        pass  # with NaN, cut short, or unreadable
    return _folder(entry).read_result()


def _summed_up_file(path: str) -> dict[str, Any] | None:
    """Sum a file of metrics up; None where it has to be read with care."""
    try:
        data = _bytes(path)
    except FileNotFoundError:
        return {}
    except OSError:
        return None
    found = _summed_up_unread(data)
    if found is None:
        metrics = _parsed(data)
        if metrics is None or not _DICTS.issuperset(map(type, metrics)):
            return None
        found = summed_up(metrics)
    return found


# A line as a dict of numbers gives it, without what they are written with.
_PLAIN_LINE = re.compile(rb'\{"[^"\\]*": ?(, ?"[^"\\]*": ?)*\}\n')
_IN_NUMBERS = b"0123456789.-"
_AS_LIST = bytes.maketrans(b"{}:\n", b"  ,,")
_IN_NAMES = bytes(set(range(256)) - set(b'{}:\n", ' + _IN_NUMBERS))


def _summed_up_unread(data: bytes) -> dict[str, Any] | None:
    """Do it for lines that differ in nothing but the digits of their numbers, without making a dict of each.

    Names are taken out of the text and all becomes one list, `["", 1, "", 0.5, ...]`, in half the time. A digit that
    stands in a name leaves something there.
    """
    import orjson

    line = data[data.rfind(b"\n", 0, -1) + 1 :]
    try:
        last: dict[str, Any] = orjson.loads(line)
        one = line.translate(None, _IN_NUMBERS)
        if not _is_plain(one):
            return None
        every = data.translate(None, _IN_NUMBERS)
        lines = len(every) // len(one)
        if every != one * lines:
            return None
        found = orjson.loads(b"[%b]" % data[:-1].translate(_AS_LIST, _IN_NAMES))
    except ValueError:
        return None
    if found[::2].count("") != lines * len(last):  # nor are there as many where a name stands twice in a line
        return None
    width = 2 * len(last)
    for index, name, choose in _plan(tuple(last))[1]:
        last[name] = choose(found[2 * index + 1 :: width])
    return last


@lru_cache(maxsize=256)
def _is_plain(line: bytes) -> bool:
    return _PLAIN_LINE.fullmatch(line) is not None


def summed_up(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last value of each numeric metric, and as `<name>.best` its best one.

    The best is the smallest of losses, errors and the like, else the largest; what counts or times has none.
    """
    found = _summed_up_at_once(metrics)
    if found is not None:
        return found
    columns: dict[str, list[float]] = {}
    for record in metrics:
        for name, number in record.items():
            if type(number) in _NUMBERS and name in columns:  # mostly; the rest takes five times as long
                columns[name].append(number)
                continue
            for key, value in _flat({name: number}):
                if _is_number(value):
                    columns.setdefault(key, []).append(value)
    last = {key: values[-1] for key, values in columns.items()}
    best = {f"{key}.best": _best(key, values) for key, values in columns.items() if has_best(key)}
    return {**last, **best}


def _summed_up_at_once(metrics: Sequence[Any]) -> dict[str, Any] | None:
    """Do it column by column; None where the lines differ in their keys, or hold something else than numbers."""
    last = metrics[-1] if metrics else None
    if type(last) is not dict or len(last) < 2 or not _NUMBERS.issuperset(map(type, last.values())):
        return None
    try:
        if set(map(len, metrics)) != {len(last)}:
            return None
        getter, bests = _plan(tuple(last))
        columns = list(zip(*map(getter, metrics), strict=True))
        found = dict(last)
        for index, name, choose in bests:
            found[name] = best = choose(columns[index])  # which can't compare a number with what is none
            if best != best:  # what comes after a NaN was not looked at
                return None
    except (KeyError, TypeError):
        return None
    return found


@lru_cache(maxsize=256)
def _plan(keys: tuple[str, ...]) -> tuple[Callable[[Any], tuple[Any, ...]], list[tuple[int, str, Callable[..., Any]]]]:
    """Return what takes the values out of a line, and which columns have a best value: place, its name, min or max."""
    bests = [(i, f"{key}.best", min if is_small_good(key) else max) for i, key in enumerate(keys) if has_best(key)]
    return itemgetter(*keys), bests


@lru_cache(maxsize=1024)
def has_best(name: str) -> bool:
    """Tell whether a metric has a best value: what only counts or times has none."""
    return _NO_BEST.search(name.lower()) is None


@lru_cache(maxsize=1024)
def is_small_good(name: str) -> bool:
    """Tell whether the smallest value of a metric is its best, by its name."""
    return _SMALL_IS_GOOD.search(name.lower()) is not None


def _best(key: str, values: Sequence[float]) -> float:
    values = [v for v in values if v == v] or values  # without a NaN
    return min(values) if is_small_good(key) else max(values)


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _utf8(value: Any) -> Any:
    """Make text printable that JSON's escapes can spell and no file can hold: half of a surrogate pair."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


@lru_cache(maxsize=1024)
def _printable_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Do it for names; the same ones give the same object."""
    return tuple(map(_utf8, names))


def _cell(value: Any) -> Any:
    """Turn what a collector returns into what a cell holds: scalars of number libraries into Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
        return hex(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


# --- what is remembered -------------------------------------------------------------------------------------------


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
