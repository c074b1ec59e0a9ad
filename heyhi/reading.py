"""Owns reading what came out of an experiment, and remembering it as long as its files stay as they are.

What is remembered only saves time: it may be removed at any moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME, ExperimentDir, Status
from heyhi.handle import Handle
from heyhi.identity import Identity
from heyhi.project import Project

Collector = Callable[[Handle], Mapping[str, Any]]

_FORMAT = 2
_CHUNK = 500  # paths in one question to the database
_MANY = 4  # times as many readings may be gone through as are asked for
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
        name = hashlib.sha256(f"{_FORMAT}\0{get_logs_data is not None}\0".encode() + source).hexdigest()[:16]
        self._memory = Memory(project.state_root / "readings.sqlite", name)

    def read_all(
        self, entries: Sequence[Entry], needs: Mapping[str, Sequence[str]], tick: Callable[[], None] = lambda: None
    ) -> list[Reading]:
        """Read experiments.

        Args:
            entries: which.
            needs: exp path -> exp paths of what it needs, for all from which a block may come.
            tick: called after each.
        """
        known = self._memory.recall([entry.folder for entry in entries])
        found = []
        for entry in entries:
            stamp, is_done, updated = _stamp(entry.folder)
            kept = known.get(entry.folder)
            if is_done and kept is not None and kept[0] == stamp:
                found.append(Reading._make((_DONE, "", kept[1], *kept[2], updated)))
            else:
                found.append(self._read(entry, needs, kept, stamp, is_done, updated))
            tick()
        self._memory.keep()
        return found

    def _read(
        self,
        entry: Entry,
        needs: Mapping[str, Sequence[str]],
        kept: Kept | None,
        stamp: str,
        is_done: bool,
        updated: float | None,
    ) -> Reading:
        if updated is None and not os.path.isdir(entry.folder):  # noqa: PTH112 (10,000 of them: no object each)
            status, reason, problems = self._status(entry, needs) if needs else (Status.NOT_STARTED, "", [])
            return Reading(status.value, reason, problem="; ".join(problems))
        status, reason, problems = (Status.DONE, "", []) if is_done else self._status(entry, needs)
        if kept is not None and kept[0] == stamp:
            _, names, (values, problem, *rest) = kept
            problems += [problem] if problem else []
        else:
            names, (values, problem, *rest) = self._read_files(entry, status, problems)
            # A collector may read any file of a run, so only what has ended for good stays as it is.
            settled = updated is not None and updated < time.time() - _SETTLED_SECONDS
            if settled and (is_done or self.get_logs_data is None):
                self._memory.remember(entry.folder, (stamp, names, [values, problem, *rest]))
        return Reading._make((status.value, reason, names, values, "; ".join(problems), *rest, updated))

    def _status(self, entry: Entry, needs: Mapping[str, Sequence[str]]) -> tuple[Status, str, list[str]]:
        folder = ExperimentDir(Path(entry.folder), self._results_root)
        try:
            status, reason = folder.status_and_reason(
                map(Path, entry.needs), lambda path: map(Path, needs.get(str(path), ()))
            )
        except HeyhiError as error:
            return Status.NOT_STARTED, "", [str(error)]
        return status, reason, []

    def _read_files(self, entry: Entry, status: Status, problems: list[str]) -> tuple[tuple[str, ...], list[Any]]:
        """Return the names of what came out, and [its values, problem, attempts, seconds, job id, code]."""
        before = len(problems)
        records = _lines(f"{entry.folder}/{ATTEMPTS_NAME}", lambda: _folder(entry).attempts(), problems)
        started = [r for r in records if r.get("event") == "start"]
        seconds = [r["seconds"] for r in records if r.get("event") == "end" and _is_number(r.get("seconds"))]
        names: tuple[str, ...] = ()
        values: list[Any] = []
        if started or status is Status.DONE:
            outcome = self._outcome(entry, status, problems)
            names, values = _printable_names(tuple(outcome)), list(outcome.values())
            if not _PLAIN.issuperset(map(type, values)):
                values = [_utf8(value) for value in values]
            if len(set(names)) < len(names):
                outcome = dict(zip(names, values, strict=True))
                names, values = tuple(outcome), list(outcome.values())
        last = started[-1] if started else {}
        commit = last.get("commit")
        return names, [
            values,
            "; ".join(problems[before:]),
            len(started),
            math.fsum(seconds) if seconds else None,
            None if last.get("job_id") is None else str(last["job_id"]),
            f"{str(commit)[:8]}{'+' if last.get('dirty') else ''}" if commit else None,
        ]

    def _outcome(self, entry: Entry, status: Status, problems: list[str]) -> dict[str, Any]:
        if self.get_logs_data is not None:
            return _ask(self.get_logs_data, entry, self.project, problems)
        metrics = _all_at_once(f"{entry.folder}/{METRICS_NAME}")
        outcome = _summed_up_at_once(metrics) if metrics else None
        if outcome is None and metrics != []:
            if metrics is None or not _DICTS.issuperset(map(type, metrics)):
                metrics = _with_care(_folder(entry).read_metrics, problems)
            outcome = summed_up(metrics)
        outcome = outcome or {}
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


def _stamp(folder: str) -> tuple[str, bool, float | None]:
    """Return what changes when a file changes, whether there is a result, and when one was written last."""
    parts, newest = [], None
    for name in _FILES:
        try:
            found = os.stat(f"{folder}/{name}")  # noqa: PTH116 (10,000 of them: no object each)
        except OSError:
            parts.append("-")
            continue
        if name == RESULT_NAME:  # it is written last: what has one changes no more
            return f"{found.st_mtime_ns}.{found.st_size}.{found.st_ino}", True, found.st_mtime
        newest = found.st_mtime if newest is None or found.st_mtime > newest else newest
        parts.append(f"{found.st_mtime_ns}.{found.st_size}.{found.st_ino}")
    return " ".join(parts), False, newest


def _lines(path: str, careful: Callable[[], list[dict[str, Any]]], problems: list[str]) -> list[dict[str, Any]]:
    """Read a file of JSON objects, all at once where nothing is wrong with it, else line by line and with care."""
    found = _all_at_once(path)
    if found is not None and _DICTS.issuperset(map(type, found)):
        return found
    return _with_care(careful, problems)


def _all_at_once(path: str) -> list[Any] | None:
    """Read a file of JSON lines, which may be no objects yet; None where something is wrong with it."""
    import orjson

    try:
        data = _bytes(path)
        if not data:
            return []
        if data.endswith(b"\n"):
            found: list[Any] = orjson.loads(b"[%b]" % data[:-1].replace(b"\n", b","))
            return found
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        pass
    return None  # half-written, with NaN, damaged, or unreadable


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
        data = os.read(handle, _READ_BYTES)
        more = data
        while more:  # a file system may give it in pieces
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


def summed_up(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last value of each numeric metric, and as `<name>.best` its best one.

    The best is the smallest of losses, errors and the like, else the largest; what counts or times has none.
    """
    found = _summed_up_at_once(metrics)
    if found is not None:
        return found
    columns: dict[str, list[float]] = {}
    for record in metrics:
        for key, value in _flat(record):
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


# Stamp of the files when they were read; names of what came out; [values, problem, attempts, seconds, job id, code].
Kept = tuple[str, tuple[str, ...], list[Any]]


class Memory:
    """Remember readings in a database; a damaged or missing one is made anew, one that can't be written is not used.

    Args:
        path: of the database.
        reader: name of who reads: readings of another one are not its own.
    """

    def __init__(self, path: Path, reader: str) -> None:
        self.path = path
        self.reader = reader
        self._new: list[tuple[str, str, str, bytes]] = []

    def recall(self, folders: Sequence[str]) -> dict[str, Kept]:
        """Return what is remembered of some experiments."""
        if not folders or not self.path.is_file():
            return {}
        found: dict[str, Kept] = {}
        self._use(lambda connection: found.update(_decoded(self._rows(connection, folders))))
        return found

    def _rows(self, connection: sqlite3.Connection, folders: Sequence[str]) -> list[tuple[str, str, bytes]]:
        # Those of a sweep lie side by side; going through them takes half the time of looking for each.
        wanted = frozenset(folders)
        limit = _MANY * len(wanted)
        query = f"SELECT folder, stamp, data FROM reading WHERE reader = ? AND folder BETWEEN ? AND ? LIMIT {limit + 1}"
        rows = connection.execute(query, (self.reader, min(wanted), max(wanted))).fetchall()
        if len(rows) <= limit:
            return rows if len(rows) == len(wanted) else [row for row in rows if row[0] in wanted]
        rows = []
        for start in range(0, len(folders), _CHUNK):
            some = folders[start : start + _CHUNK]
            marks = ", ".join("?" * len(some))
            query = f"SELECT folder, stamp, data FROM reading WHERE reader = ? AND folder IN ({marks})"
            rows += connection.execute(query, (self.reader, *some)).fetchall()
        return rows

    def remember(self, folder: str, kept: Kept) -> None:
        """Note a reading, to be kept later."""
        self._new.append((self.reader, folder, kept[0], _encoded(kept)))

    def keep(self) -> None:
        """Write down what was noted."""
        if not self._new:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._new.sort()  # the order in which they lie there
        self._use(lambda db: db.executemany("INSERT OR REPLACE INTO reading VALUES (?, ?, ?, ?)", self._new))
        self._new.clear()

    def _use(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do something with the database, if that can be done at all."""
        connection = None
        try:
            connection = sqlite3.connect(self.path, timeout=5.0)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS reading (reader TEXT, folder TEXT, stamp TEXT NOT NULL, data BLOB NOT NULL,"
                " PRIMARY KEY (reader, folder)) WITHOUT ROWID"
            )
            work(connection)
            connection.commit()
        except sqlite3.OperationalError:  # locked, read-only or full: nothing is remembered this time
            pass
        except (sqlite3.DatabaseError, ValueError, TypeError):  # damaged
            with contextlib.suppress(OSError):
                self.path.unlink()
        finally:
            if connection is not None:
                connection.close()


def _encoded(kept: Kept) -> bytes:
    """Write names and data as two lines of JSON; `!` stands before what only Python's own json can read."""
    import orjson

    _, names, content = kept
    try:
        data = orjson.dumps(content)
        # orjson writes NaN as null, and what is NaN must not become missing.
        if data.count(b"null") == content.count(None) + content[0].count(None):
            return b"%b\n%b" % (orjson.dumps(names), data)
    except TypeError:  # an integer of more than 64 bits
        pass
    return f"!{json.dumps(names)}\n{json.dumps(content)}".encode()


def _decoded(rows: Iterable[tuple[str, str, bytes]]) -> dict[str, Kept]:
    """Read rows back.

    Raises:
        ValueError: they are damaged.
        TypeError: the same.
    """
    import orjson

    known: dict[bytes, tuple[str, ...]] = {}

    def names_of(head: bytes) -> tuple[str, ...]:
        if head not in known:
            known[head] = _printable_names(tuple(json.loads(head.removeprefix(b"!"))))
        return known[head]

    split: list[Any] = [(folder, stamp, *data.split(b"\n", 1)) for folder, stamp, data in rows]
    odd = [row for row in split if row[2][:1] == b"!"]
    found: dict[str, Kept] = {folder: (stamp, names_of(head), json.loads(line)) for folder, stamp, head, line in odd}
    if odd:
        split = [row for row in split if row[2][:1] != b"!"]
    if split:
        folders, stamps, heads, lines = zip(*split, strict=True)
        # All at once, which takes half the time.
        data = orjson.loads(b"[%b]" % b",".join(lines))
        found.update(zip(folders, zip(stamps, map(names_of, heads), data, strict=True), strict=True))
    return found
