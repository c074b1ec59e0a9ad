"""Owns reading what came out of experiments, and remembering it as long as their files stay as they are.

How it is kept is `memory`'s business.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.handle import Handle
from heyhi.experiment.metrics import dotted_items, summed_up, summed_up_unread
from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME, Status
from heyhi.experiment.records import History, Record, to_records
from heyhi.experiment.status import State, Statuses
from heyhi.project import Project
from heyhi.report.columns import Memory
from heyhi.report.readings import _UNKNOWN, Entry, Reading, Readings, Stamp, _Kept, _printable_names, _recalled, _utf8

_T = TypeVar("_T")
Collector = Callable[[Handle], Mapping[str, Any]]
_FORMAT = 3
_READ_BYTES = 1 << 16  # read at once: more than most files hold
_SETTLED_SECONDS = 2.0  # a file changed later than this may change again within its clock's tick
_FILES = (RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME)
_MAX_INT_BITS = 14_000  # Python writes no longer ones in decimal
_PLAIN = frozenset({int, float, bool})
_DICTS = frozenset({dict})
_DONE = State(Status.DONE)


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
        statuses = Statuses(
            [folders[place] for place in changed],
            needs_of=lambda path: needs.get(path, ()),
            results_root=self._results_root,
        )
        for _ in range(len(folders) - len(changed)):
            tick()
        found, stamps = {}, {}
        for place, entry in zip(changed, entries_at(changed), strict=True):
            found[place], stamps[place] = self._read(entry, statuses, kept, place)
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

    def _read(self, entry: Entry, statuses: Statuses, kept: _Kept | None, place: int) -> tuple[Reading, Stamp]:
        """Return what there is, and below which stamp it may be remembered."""
        stamp, is_done, updated = _stamp(entry.folder)
        status, reason = _DONE if is_done else statuses.of(entry.folder)
        if updated is None and (not status.is_started or status is Status.UNKNOWN):
            return Reading(status.value, reason), _UNKNOWN
        problems: list[str] = []
        if kept is not None and kept.stamps[place] == stamp:
            row = kept.readings.row(place)
            problems += [row.problem] if row.problem else []
            return row._replace(status=status.value, reason=reason, problem="; ".join(problems), updated=updated), stamp
        settled = updated is not None and updated < time.time() - _SETTLED_SECONDS
        # A collector may read any file of a run, so only what has ended for good stays as it is; and what can't be
        # read today may be readable tomorrow.
        settled = settled and (is_done or self.get_logs_data is None) and status is not Status.UNKNOWN
        names, (values, *rest) = self._read_files(entry, status, problems)
        problems = [problem for problem in problems if problem != reason]
        row = Reading._make((status.value, reason, names, values, "; ".join(problems), *rest, updated))
        return row, stamp if settled else _UNKNOWN

    def _read_files(self, entry: Entry, status: Status, problems: list[str]) -> tuple[tuple[str, ...], list[Any]]:
        """Return the names of what came out, and [its values, attempts, seconds, job id, code]."""
        history = History(_attempts(entry, problems))
        started = history.starts
        seconds = [end.seconds for end in history.ends if end.seconds is not None]
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
        last = started[-1] if started else None
        return names, [
            values,
            len(started),
            math.fsum(seconds) if seconds else None,
            (last.job_id or None) if last is not None else None,
            f"{last.commit[:8]}{'+' if last.dirty else ''}" if last is not None and last.commit else None,
        ]

    def _outcome(self, entry: Entry, status: Status, problems: list[str]) -> dict[str, Any]:
        if self.get_logs_data is not None:
            return _ask(self.get_logs_data, entry, self.project, problems)
        outcome = _summed_up_file(f"{entry.folder}/{METRICS_NAME}")
        if outcome is None:
            metrics: list[dict[str, Any]] = _with_care(_folder(entry).read_metrics, problems)
            outcome = summed_up(metrics)
        if status is Status.DONE:
            try:
                result = _result(entry)
            except HeyhiError as error:
                problems.append(str(error))
            else:
                if not _PLAIN.issuperset(map(type, result.values())):
                    result = {k: v for k, v in dotted_items(result) if not isinstance(v, list)}
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


def _attempts(entry: Entry, problems: list[str]) -> Sequence[Record]:
    found = _all_at_once(f"{entry.folder}/{ATTEMPTS_NAME}")
    if found is not None and _DICTS.issuperset(map(type, found)):
        return to_records(found)
    return _with_care(_folder(entry).attempts, problems)


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


def _with_care(careful: Callable[[], list[_T]], problems: list[str]) -> list[_T]:
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
    found = summed_up_unread(data)
    if found is None:
        metrics = _parsed(data)
        if metrics is None or not _DICTS.issuperset(map(type, metrics)):
            return None
        found = summed_up(metrics)
    return found


def _cell(value: Any) -> Any:
    """Turn what a collector returns into what a cell holds: scalars of number libraries into Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
        return hex(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
