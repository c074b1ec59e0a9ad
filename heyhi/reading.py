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

_FORMAT = 1
_CHUNK = 500  # paths in one question to the database
_SETTLED_SECONDS = 2.0  # a file changed later than this may change again within its clock's tick
_FILES = (RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME)
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
        outcome: what came out, by name.
        problem: what could not be read.
        attempts: how often it was started.
        seconds: of all its attempts that ended.
        job_id: of its last attempt, if that ran as a job.
        code: version of the code of its last attempt: commit, with a `+` if there were uncommitted changes.
        updated: when a file of it was last written, in seconds since 1970; None where there is none.
    """

    status: str
    reason: str = ""
    outcome: dict[str, Any] = {}  # noqa: RUF012 (never written)
    problem: str = ""
    attempts: int = 0
    seconds: float | None = None
    job_id: str | None = None
    code: str | None = None
    updated: float | None = None


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
            found.append(self._read(entry, needs, known.get(entry.folder)))
            tick()
        self._memory.keep()
        return found

    def _read(self, entry: Entry, needs: Mapping[str, Sequence[str]], known: tuple[str, bytes] | None) -> Reading:
        stamp, is_done, updated = _stamp(entry.folder)
        if updated is None and not os.path.isdir(entry.folder):  # noqa: PTH112 (10,000 of them: no object each)
            status, reason, problems = self._status(entry, needs) if needs else (Status.NOT_STARTED, "", [])
            return Reading(status.value, reason, problem="; ".join(problems))
        if known is not None and known[0] == stamp:
            outcome, problem, attempts, seconds, job_id, code = _loads(known[1])
            problems = [problem] if problem else []
            status, reason = Status.DONE, ""
            if not is_done:
                status, reason, more = self._status(entry, needs)
                problems += more
            return Reading(status.value, reason, outcome, "; ".join(problems), attempts, seconds, job_id, code, updated)
        status, reason, problems = (Status.DONE, "", []) if is_done else self._status(entry, needs)
        read = self._read_files(entry, status, problems)
        # A collector may read any file of a run, so only what has ended for good stays as it is.
        settled = updated is not None and updated < time.time() - _SETTLED_SECONDS
        if settled and (is_done or self.get_logs_data is None):
            self._memory.remember(entry.folder, stamp, _dumps(*read))
        outcome, _, attempts, seconds, job_id, code = read
        return Reading(status.value, reason, outcome, "; ".join(problems), attempts, seconds, job_id, code, updated)

    def _status(self, entry: Entry, needs: Mapping[str, Sequence[str]]) -> tuple[Status, str, list[str]]:
        folder = ExperimentDir(Path(entry.folder), self._results_root)
        try:
            status, reason = folder.status_and_reason(
                map(Path, entry.needs), lambda path: map(Path, needs.get(str(path), ()))
            )
        except HeyhiError as error:
            return Status.NOT_STARTED, "", [str(error)]
        return status, reason, []

    def _read_files(
        self, entry: Entry, status: Status, problems: list[str]
    ) -> tuple[dict[str, Any], str, int, float | None, str | None, str | None]:
        before = len(problems)
        records = _lines(f"{entry.folder}/{ATTEMPTS_NAME}", lambda: _folder(entry).attempts(), problems)
        started = [r for r in records if r.get("event") == "start"]
        seconds = [r["seconds"] for r in records if r.get("event") == "end" and _is_number(r.get("seconds"))]
        outcome: dict[str, Any] = {}
        if started or status is Status.DONE:
            outcome = {_utf8(k): _utf8(v) for k, v in self._outcome(entry, status, problems).items()}
        last = started[-1] if started else {}
        commit = last.get("commit")
        return (
            outcome,
            "; ".join(problems[before:]),
            len(started),
            math.fsum(seconds) if seconds else None,
            None if last.get("job_id") is None else str(last["job_id"]),
            f"{str(commit)[:8]}{'+' if last.get('dirty') else ''}" if commit else None,
        )

    def _outcome(self, entry: Entry, status: Status, problems: list[str]) -> dict[str, Any]:
        if self.get_logs_data is not None:
            return _ask(self.get_logs_data, entry, self.project, problems)
        metrics = _lines(f"{entry.folder}/{METRICS_NAME}", lambda: _folder(entry).read_metrics(), problems)
        outcome = summed_up(metrics)
        if status is Status.DONE:
            try:
                outcome.update({k: v for k, v in _flat(_result(entry)) if not isinstance(v, list)})
            except HeyhiError as error:
                problems.append(str(error))
        return outcome


def _ask(collector: Collector, entry: Entry, project: Project, problems: list[str]) -> dict[str, Any]:
    handle = Handle(Path(entry.folder), identity=entry.identity, project=project)
    try:
        return {str(key): _cell(value) for key, value in collector(handle).items()}
    except HeyhiError as error:
        problems.append(str(error))
    except Exception as error:  # a user's code may raise anything; the other rows must come
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
    import orjson

    try:
        data = _bytes(path)
        if not data:
            return []
        if data.endswith(b"\n"):
            records = orjson.loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
            if set(map(type, records)) <= {dict}:
                return records  # type: ignore[no-any-return]
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        pass  # half-written, with NaN, damaged, or unreadable
    try:
        return careful()
    except HeyhiError as error:
        problems.append(str(error))
        return []


def _bytes(path: str) -> bytes:
    # 10,000 of them, so none of the layers that open() puts around a file.
    handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        while len(data) > size or (len(data) < size and size > 0):  # it grows, or comes in pieces
            more = os.read(handle, 1 << 20)
            if not more:
                break
            data += more
        return data
    finally:
        os.close(handle)


def metrics_of(folder: str) -> list[dict[str, Any]]:
    """Return the metrics that an experiment wrote, as far as they can be read."""
    return _lines(f"{folder}/{METRICS_NAME}", ExperimentDir(Path(folder)).read_metrics, [])


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
    columns = _columns(metrics)
    last = {key: values[-1] for key, values in columns.items()}
    best = {f"{key}.best": _best(key, values) for key, values in columns.items() if has_best(key)}
    return {**last, **best}


def _columns(metrics: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[float]]:
    if metrics:
        # Most files have the same numbers on each line; then all of a column's lines are gone through at once.
        keys = list(metrics[-1])
        if len(keys) > 1 and set(map(len, metrics)) == {len(keys)}:
            with contextlib.suppress(KeyError):
                columns = dict(zip(keys, zip(*map(itemgetter(*keys), metrics), strict=True), strict=True))
                if all(map(_is_number, metrics[-1].values())) and all(map(_adds_up, columns.values())):
                    return columns
    slow: dict[str, list[float]] = {}
    for record in metrics:
        for key, value in _flat(record):
            if _is_number(value):
                slow.setdefault(key, []).append(value)
    return slow


@lru_cache(maxsize=1024)
def has_best(name: str) -> bool:
    """Tell whether a metric has a best value: what only counts or times has none."""
    return _NO_BEST.search(name.lower()) is None


@lru_cache(maxsize=1024)
def is_small_good(name: str) -> bool:
    """Tell whether the smallest value of a metric is its best, by its name."""
    return _SMALL_IS_GOOD.search(name.lower()) is not None


def _adds_up(values: Sequence[Any]) -> bool:
    try:
        sum(values)
    except TypeError:
        return False
    return True


def _best(key: str, values: Sequence[float]) -> float:
    total = sum(values)
    if total != total:  # a NaN is among them, or both infinities
        values = [v for v in values if v == v] or values
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


def _cell(value: Any) -> Any:
    """Turn what a collector returns into what a cell holds: scalars of number libraries into Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


# --- what is remembered -------------------------------------------------------------------------------------------


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

    def recall(self, folders: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        """Return stamp and data of what is remembered of some experiments."""
        if not self.path.is_file():
            return {}
        found: dict[str, tuple[str, bytes]] = {}

        def ask(connection: sqlite3.Connection) -> None:
            for start in range(0, len(folders), _CHUNK):
                some = folders[start : start + _CHUNK]
                marks = ", ".join("?" * len(some))
                query = f"SELECT folder, stamp, data FROM reading WHERE reader = ? AND folder IN ({marks})"
                for folder, stamp, data in connection.execute(query, (self.reader, *some)):
                    found[folder] = (stamp, data)

        self._use(ask)
        return found

    def remember(self, folder: str, stamp: str, data: bytes) -> None:
        """Note a reading, to be kept later."""
        self._new.append((self.reader, folder, stamp, data))

    def keep(self) -> None:
        """Write down what was noted."""
        if not self._new:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
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
        except sqlite3.DatabaseError:  # damaged
            with contextlib.suppress(OSError):
                self.path.unlink()
        finally:
            if connection is not None:
                connection.close()


def _dumps(outcome: Mapping[str, Any], *rest: Any) -> bytes:
    import orjson

    # orjson would write NaN as null, and what is NaN must not become missing.
    if all(type(v) is not float or math.isfinite(v) for v in outcome.values()):
        with contextlib.suppress(TypeError):  # an integer of more than 64 bits
            return orjson.dumps([outcome, *rest])
    return json.dumps([outcome, *rest]).encode()


def _loads(data: bytes) -> Any:
    import orjson

    try:
        return orjson.loads(data)
    except ValueError:
        return json.loads(data)
