"""Reading what came out of experiments, by the files that they wrote.

What was read is remembered as long as those files stay as they are: `kept_readings` decides that.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from heyhi.code.environment import DIGITS
from heyhi.config.best import Best
from heyhi.control.held_back import why_held
from heyhi.errors import HeyhiError, ResultError, fact_of
from heyhi.experiment.directions import Direction, Directions
from heyhi.experiment.folder import MANY_BYTES, ExperimentDir, wrong_text
from heyhi.experiment.followed_metrics import FollowedMetrics
from heyhi.experiment.given import given_in
from heyhi.experiment.handle import Handle
from heyhi.experiment.kinds import dotted_items
from heyhi.experiment.metrics_file import Damage, Opened, sum_up_opened
from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME, Status
from heyhi.experiment.records import End, History, Record, Start, to_records, wrong_fields
from heyhi.experiment.status import State, Statuses, asking_once, no_best
from heyhi.experiment.used import NOTHING, Sums, sums_of, used_so_far
from heyhi.files import Origin, opened_parent
from heyhi.project import Project
from heyhi.report.columns import ColumnCache
from heyhi.report.kept_readings import (
    FOLDERS,
    SETTLED_SECONDS,
    TOKEN,
    UNKNOWN,
    Files,
    Look,
    Remembered,
    Stamp,
    columns_for,
    look_at,
)
from heyhi.report.outcomes import Outcome, outcome_of
from heyhi.report.readings import THEN, Entry, Reading, Readings, printable, printable_names
from heyhi.text import readable

Collector = Callable[[Handle], Mapping[str, Any]]
_FORMAT = 10
_LATER = "-later"  # ends the name of what has changed since all was written
_MAX_INT_BITS = 14_000  # Python writes no longer ones in decimal
_PLAIN = frozenset({int, float, bool})
_DICTS = frozenset({dict})
_DONE = State(Status.DONE)
_NOTHING = Outcome({})


def is_to_be_read(look: Look, state: State) -> bool:
    """Return whether anything may have come out of an experiment yet."""
    return look.updated is not None or (state.status.is_started and state.status is not Status.UNKNOWN)


class Reader:
    """Read experiments one after the other; what is wrong with one stops none of the others.

    Attributes:
        name: of what it makes of a folder; what another one of the same name has read is as good.

    Args:
        project: where they are.
        get_logs_data: returns what came out of an experiment; default: the last and best value of each metric and the
            scalars of the result.
        source: what the function is made of: where it changes, what is remembered of it is forgotten.
        at_best: a metric and which way it is better: what came out is the other metrics where that was best, in place
            of all else.
        follows: experiments are read again and again while they run: go on where their metrics were read to.
    """

    def __init__(
        self,
        project: Project,
        get_logs_data: Collector | None = None,
        source: bytes = b"",
        at_best: tuple[str, Direction] | None = None,
        *,
        follows: bool = False,
    ) -> None:
        self.project = project
        self._results_root = project.results_root
        self._directions = Directions(project.settings.minimize, project.settings.maximize)
        self._at_best = at_best
        self.get_logs_data = get_logs_data if at_best is None else None
        what = (_FORMAT, self.get_logs_data is not None, self._directions, at_best)
        self.name = repr(what).encode(errors="surrogateescape") + hashlib.sha256(source).digest()
        self.cache = ColumnCache(project.state_root / "readings")
        self._followed = FollowedMetrics(self._directions) if follows else None
        # Whether all that is read of an experiment that is done is read here, so that the stamps can be taken by that.
        self._takes_stamps = not follows and at_best is None and get_logs_data is None

    def read(
        self,
        folders: Sequence[str],
        entries_at: Callable[[Sequence[int]], Sequence[Entry]],
        needs: Mapping[str, Sequence[str]],
        tick: Callable[[], None] = lambda: None,
        growing: str = "",
        best_of: Callable[[str], Best | None] = no_best,
    ) -> Readings:
        """Read experiments.

        Args:
            folders: their exp paths.
            entries_at: returns the entries of some of them, given their places.
            needs: exp path -> exp paths of what it needs, for all from which a block may come.
            tick: called after each.
            growing: name of a table that has more experiments each time; of any other, these name it.
            best_of: returns which best of a sweep a need stands for, by its exp path.
        """
        name = self._kept_name(folders, growing)
        kept = self._remembered(name, folders, growing)
        changed = range(len(folders)) if kept is None else kept.changed(folders)
        statuses = Statuses(
            [folders[place] for place in changed],
            needs_of=lambda path: needs.get(path, ()),
            best_of=best_of,
            results_root=self._results_root,
            held=partial(why_held, self.project),
        )
        for _ in range(len(folders) - len(changed)):
            tick()
        found, stamps = {}, {}
        with asking_once(statuses.view), opened_parent(folders) as origin:
            # Only a collector is told more of an experiment than its folder.
            entries = entries_at(changed) if self.get_logs_data is not None else itertools.repeat(None)
            for place, entry in zip(changed, entries, strict=False):
                found[place], stamps[place] = self._read(folders[place], entry, origin, statuses, kept, place)
                tick()
        if kept is None:
            kept = Remembered(Readings.of(list(found.values())), list(stamps.values()))
            is_news = any(kept.stamps)
        else:
            is_news = kept.put(found, stamps)
        if is_news:
            self._remember(name, folders, growing, kept)
        return kept.readings

    def remembered(self, folders: Sequence[str], growing: str = "") -> Remembered | None:
        """Return what is remembered of some experiments; None where nothing is. Arguments are those of `read`."""
        return self._remembered(self._kept_name(folders, growing), folders, growing)

    def _remembered(self, name: str, folders: Sequence[str], growing: str) -> Remembered | None:
        columns = self.cache.load(name)
        kept = Remembered.of(columns_for(folders, columns) if growing else columns, len(folders))
        if kept is not None and kept.token:
            kept.take_later(self.cache.load(name + _LATER))
        return kept

    def remember(self, folders: Sequence[str], growing: str, kept: Remembered) -> None:
        """Keep on disk what was read of some experiments; that it can't be written is no matter."""
        self._remember(self._kept_name(folders, growing), folders, growing, kept)

    def _remember(self, name: str, folders: Sequence[str], growing: str, kept: Remembered) -> None:
        if (later := kept.later_columns()) is not None:
            self.cache.store(name + _LATER, later)
            return
        own = {FOLDERS: list(folders)} if growing else {TOKEN: [os.urandom(8).hex()]}
        self.cache.store(name, own | kept.columns())

    def _kept_name(self, folders: Sequence[str], growing: str) -> str:
        what = growing or "\0".join(folders)
        name = hashlib.sha256(b"%b\0%b" % (self.name, what.encode(errors="surrogateescape")))
        return name.hexdigest()[:32]

    def _read(
        self,
        folder: str,
        entry: Entry | None,
        origin: Origin,
        statuses: Statuses,
        kept: Remembered | None,
        place: int,
    ) -> tuple[Reading, Stamp]:
        """Read one experiment, or only its status where its files are as remembered.

        Returns:
            what there is; with which stamp it may be remembered, `UNKNOWN` if it may not.
        """
        files, now = Files(folder, origin=origin), time.time()
        may_be_done = True
        if self._takes_stamps:
            try:
                files.read_result()
            except OSError as error:
                may_be_done = not isinstance(error, FileNotFoundError)
            else:
                return self._read_whole(entry, _DONE, files, now)
        look = look_at(folder, may_be_done=may_be_done)
        state = _DONE if look.is_done else statuses.of(folder)
        if kept is not None and kept.stamps[place] == look.stamp and is_to_be_read(look, state):
            status, reason = state
            row = kept.readings.row(place)
            return row._replace(status=status.value, reason=reason, updated=look.updated), look.stamp
        return self._read_looked_at(folder, entry, look, state)

    def read_one(self, entry: Entry, look: Look, state: State) -> tuple[Reading, Stamp]:
        """Read one experiment, whatever is remembered of it.

        Args:
            entry: of it.
            look: what the system said of its files, before its status was found out.
            state: how it is.

        Returns:
            what there is; with which stamp it may be remembered, `UNKNOWN` if it may not.
        """
        return self._read_looked_at(entry.folder, entry, look, state)

    def _read_looked_at(self, folder: str, entry: Entry | None, look: Look, state: State) -> tuple[Reading, Stamp]:
        if not is_to_be_read(look, state):
            return Reading(state.status.value, state.reason), UNKNOWN
        return self._read_whole(entry, state, Files(folder, look), time.time())

    def _read_whole(self, entry: Entry | None, state: State, files: Files, now: float) -> tuple[Reading, Stamp]:
        """Read one experiment of which something may have come out.

        Args:
            entry: of it; may be missing where there is no collector.
            state: how it is.
            files: its own, of which none is newer than what was read of it.
            now: the time, when none had been opened.

        Returns:
            as `read_one`.
        """
        reading, holds = self._read_files(entry, *state, files)
        look = files.look()
        settled = look.changed is not None and look.changed < now - SETTLED_SECONDS
        # A collector may read any file of a run, so only what has ended for good stays as it is; and what can't be
        # read today may be readable tomorrow.
        settled = settled and (look.is_done or self.get_logs_data is None) and state.status is not Status.UNKNOWN
        return reading, look.stamp if settled and holds else UNKNOWN

    def _read_files(self, entry: Entry | None, status: Status, reason: str, files: Files) -> tuple[Reading, bool]:
        """Read the files of an experiment.

        Returns:
            what there is; whether that holds as long as no file changes.
        """
        problems: list[str] = []
        damage = Damage()
        records = _attempts(files, status, problems)
        # Each is gone through once: there may be 10,000 experiments.
        starts = [record for record in records if isinstance(record, Start)]
        ends = [record for record in records if isinstance(record, End)]
        last = starts[-1] if starts else None
        own = [end for end in ends if end.attempt == last.attempt] if last is not None else []
        if status is Status.DONE and [end for end in own if end.dropped]:
            problems.append(_dropped(own))
        seconds = [end.seconds for end in ends if end.seconds is not None]
        names: tuple[str, ...] = ()
        values: Sequence[Any] = ()
        outcome = _NOTHING
        if starts or status is Status.DONE:
            outcome = self._outcome(entry, files, status, starts, problems, damage)
            names, values = _printable(outcome.values)
        given = mixed = None
        if [start for start in starts if start.needs or start.is_mixed]:
            history = History(records)
            given, mixed = _given(files, history, problems), _mixed(files, history, status, problems)
        code, digest = _code(files, records, starts, status, problems)
        is_over = status is Status.DONE or (status.is_over and status is not Status.UNKNOWN)
        # What couldn't be read may be readable later, or by somebody else, and no file changes by that. What is being
        # written is half-written for good once its writer is dead.
        holds = not problems and (is_over or not damage.is_cut)
        if lines := damage.text(METRICS_NAME, is_over=is_over):
            problems.append(lines)
        reading = Reading(  # by place, as 10,000 of them are made
            status.value,
            reason,
            names,
            values,
            readable("; ".join(problem for problem in problems if problem != reason)) if problems else "",
            len(starts),
            math.fsum(seconds) if seconds else None,
            *_used(files, last, own, ends, status),
            (last.job_id or None) if last is not None else None,
            code or None,
            digest or None,
            own[-1].environment[:DIGITS] or None if own else None,
            mixed or None,
            given or None,
            files.look().updated,
            printable(outcome.repeated),
            printable(outcome.returned),
        )
        return reading, holds

    def _outcome(
        self,
        entry: Entry | None,
        files: Files,
        status: Status,
        starts: Sequence[Start],
        problems: list[str],
        damage: Damage,
    ) -> Outcome:
        """Return what came out of an experiment that was started."""
        if self.get_logs_data is not None and entry is not None:
            return Outcome(_collected(self.get_logs_data, entry, self.project, problems))
        logged = self._summed_up(files, starts, problems, damage)
        if status is Status.DONE and self._at_best is None:
            try:
                result = _result(files)
            except HeyhiError as error:
                problems.append(str(error))
            else:
                if not _PLAIN.issuperset(map(type, result.values())):
                    result = {k: v for k, v in dotted_items(result) if not isinstance(v, list)}
                return outcome_of(logged, result)
        return Outcome(logged)

    def _summed_up(self, files: Files, starts: Sequence[Start], problems: list[str], damage: Damage) -> dict[str, Any]:
        """Return what a file of metrics comes to."""
        path = f"{files.folder}/{METRICS_NAME}"
        try:
            if self._at_best is not None:
                from heyhi.experiment.at_best import values_at_best

                found = values_at_best(path, starts, *self._at_best, damaged=damage, cut=damage.note_cut)
            else:
                if self._followed is not None:
                    summary = self._followed.sum_up(path, starts, damage)
                else:
                    with Opened(path, damage.note_cut, files.origin) as file:
                        files.note(METRICS_NAME, file.found)
                        summary = sum_up_opened(file, starts, self._directions, damaged=damage, cut=damage.note_cut)
                found = summary.result()
                if summary.is_cut:
                    problems.append(f"{path}: has more metrics than a table can have; only the first are shown")
        except HeyhiError as error:
            problems.append(str(error))
            return {}
        return found


def _used(files: Files, last: Start | None, own: Sequence[End], ends: Sequence[End], status: Status) -> Sums:
    """Return what all attempts have used, with what the last one has noted so far where it has no end on record."""
    if last is None or own:
        return sums_of(ends) if ends else NOTHING
    note = used_so_far(files.folder)
    return sums_of(ends, note.used, is_lost=status.is_trouble) if note.is_of(last) else sums_of(ends)


def _dropped(ends: Sequence[End]) -> str:
    """Say what the attempt that made the result could not keep of it."""
    return f"dropped from its result: {', '.join(key for end in ends for key in end.dropped)}"


def _printable(outcome: dict[str, Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
    """Return the names and the values of what came out, as a file can hold them."""
    written, values = tuple(outcome), list(outcome.values())
    names = printable_names(written)
    if not _PLAIN.issuperset(map(type, values)):
        values = [printable(value) for value in values]
    if names != written and len(set(names)) < len(names):  # two became one
        merged = dict(zip(names, values, strict=True))
        return tuple(merged), list(merged.values())
    return names, values


def _collected(collector: Collector, entry: Entry, project: Project, problems: list[str]) -> dict[str, Any]:
    """Return what a sweep file's `get_logs_data` makes of an experiment; what it raises becomes a problem."""
    handle = Handle(Path(entry.folder), identity=entry.identity, project=project)
    try:
        found = collector(handle)
        if not isinstance(found, Mapping):
            raise TypeError(f"it returned {found!r:.100}; expected a dict")
        flat: dict[str, Any] = {}
        for key, value in found.items():  # a dict has columns of its own, as in a result
            flat |= dict(dotted_items(value, f"{key}.")) if isinstance(value, dict) else {str(key): value}
        return {key: _cell(value) for key, value in flat.items()}
    except HeyhiError as error:
        problems.append(str(error))
    except (Exception, SystemExit) as error:  # a user's code may raise anything; the other rows must come
        problems.append(f"get_logs_data: {type(error).__name__}: {error}")
    return {}


def _attempts(files: Files, status: Status, problems: list[str]) -> Sequence[Record]:
    """Read the records of an experiment's attempts."""
    found = _all_at_once(files, ATTEMPTS_NAME)
    if found is not None and _DICTS.issuperset(map(type, found)) and ((records := to_records(found)) or not found):
        if wrong := wrong_fields(found):
            problems.append(wrong_text(wrong))
        return records
    try:
        records, problem = _folder(files).attempts_and_problem()
    except HeyhiError as error:
        records, problem = [], str(error) if status is Status.UNKNOWN else fact_of(error)
    problems += [problem] if problem else []
    return records


def _given(files: Files, history: History, problems: list[str]) -> dict[str, list[str]]:
    """Return the results that an experiment was given of what it needs; most need nothing."""
    if not any(start.needs for start in history.starts):
        return {}
    try:
        return given_in(history, _folder(files).metrics_now())
    except HeyhiError as error:
        problems.append(str(error))
        return {}


def _mixed(files: Files, history: History, status: Status, problems: list[str]) -> str:
    """Say of which configs an experiment is; most are of one."""
    if not history.may_be_mixed:
        return ""
    try:
        return history.mixed(_folder(files).metrics_now(), is_done=status is Status.DONE)
    except HeyhiError as error:
        problems.append(str(error))
        return ""


def _code(
    files: Files, records: Sequence[Record], starts: Sequence[Start], status: Status, problems: list[str]
) -> tuple[str, str]:
    """Return the version of the code that made what came out, or all of them where it was made by several.

    Returns:
        their names; the digests of their files.
    """
    if len(starts) == 1:  # mostly
        return _version_name(starts[0].commit, starts[0].dirty, starts[0].code), starts[0].code
    named = [(_version_name(start.commit, start.dirty, start.code), start.code) for start in starts]
    last = named[-1] if named else ("", "")
    if named.count(last) == len(named):
        return last
    try:
        made = History(records).logged(_folder(files).metrics_now())
    except HeyhiError as error:
        problems.append(str(error))
        return last
    made += starts[-1:] if status is Status.DONE else []
    versions = dict[str, str]()
    for start in made:
        if name := start.version.name:
            versions.setdefault(name, start.code)
    return (THEN.join(versions), THEN.join(versions.values())) if len(versions) > 1 else last


@lru_cache(maxsize=256)  # most of a sweep's experiments have run the same
def _version_name(commit: str, dirty: bool, code: str) -> str:
    return Start(commit=commit, dirty=dirty, code=code).version.name


def _all_at_once(files: Files, name: str) -> list[Any] | None:
    """Read a file of JSON lines all at once, objects or not; None where it has to be read with care."""
    try:
        return _parsed(files.read(name, MANY_BYTES))
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _parsed(data: bytes) -> list[Any] | None:
    """Parse JSON lines all at once; None where one is half-written or damaged, or has a NaN."""
    import orjson

    if not data:
        return []
    if data.endswith(b"\n"):
        try:
            found: list[Any] = orjson.loads(b"[%b]" % data[:-1].replace(b"\n", b","))
            if len(found) == data.count(b"\n"):  # else two lines are an object only together
                return found
        except ValueError:
            pass
    return None


def _folder(files: Files) -> ExperimentDir:
    return ExperimentDir(Path(files.folder))


def _result(files: Files) -> dict[str, Any]:
    """Read an experiment's result.

    Raises:
        HeyhiError: it is no JSON object, or can't be read.
    """
    import orjson

    try:
        result = orjson.loads(files.read_result())
        if type(result) is dict:
            return result
    except OSError as error:
        if error.errno == errno.EFBIG:  # nobody would see it in a table, which all have to be held for
            raise ResultError(f"{files.folder}/{RESULT_NAME}: isn't in the table: {error.strerror}") from None
    except ValueError:
        pass  # with NaN, or cut short
    return _folder(files).read_result()


def _cell(value: Any) -> Any:
    """Turn what a collector returns into what a cell holds: scalars of number libraries into Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
        return hex(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
