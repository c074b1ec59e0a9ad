"""The experiments of one source, looked at again and again: what has changed is read, and what hasn't costs a look.

Each look spends a bounded time. What is most likely to change comes first: what runs or waits; then what may appear in
a folder that has changed; what is DONE comes in turn.
"""

from __future__ import annotations

import os
import re
import time
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.control.held_back import held_mark, why_held
from heyhi.errors import error_text
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME, Status, is_winner
from heyhi.experiment.pace import reached_by
from heyhi.experiment.status import State, Statuses, asking_once
from heyhi.report.kept_readings import SETTLED_SECONDS, UNKNOWN, Look, Remembered, Stamp, look_at
from heyhi.report.read import is_to_be_read
from heyhi.report.readings import Reading, Readings
from heyhi.serve.long_readings import LongReadings
from heyhi.text import one_line

if TYPE_CHECKING:
    from heyhi.experiment.owner import Owner
    from heyhi.report.parts import Plan
    from heyhi.report.readings import Entry
    from heyhi.slurm.aside import Aside
    from heyhi.slurm.commands import View

Mark = tuple[int, int] | None  # time of change and number of a folder; None where there is none
_NEVER: Mark = (0, 0)
# Seconds of a look, for all that is shown, and each in turn: of 10,000 not all can be looked at each time.
_FILES_CPU = 0.04  # for the files of what runs or waits
_ALIVE_CPU = 0.02  # for whether its processes still run
_UNHELD_CPU = 0.03  # for a close look at how that is which no process of this machine has
_CLOSELY_CPU = 0.003  # at the rest
_STOPPED_CPU = 0.004  # for what may be started again
_QUIET_CPU = 0.007  # for what is DONE
_QUIET_SECONDS = 0.25  # where a file system takes its time to answer
_READING_SECONDS = 1.0
_DEPENDENT_SECONDS = 10.0
_COSTLY = 0.05  # seconds of CPU of a reading that isn't repeated at each look
_COSTLY_PART = 20
_FEW = 200
_FILES: tuple[tuple[str, int], ...] = (
    (METRICS_NAME, 3),
    (ATTEMPTS_NAME, 6),
)  # each with where its numbers begin in a stamp
_ATTEMPTS = slice(6, 9)
_SMALL = 1_000  # experiments of which all files are looked at each time
_STEP, _FEW_STEP = 100, 10  # experiments between two looks at the clock
_JOB = re.compile(r"job (\d+)")


_DONE, _NOT_STARTED = State(Status.DONE), State(Status.NOT_STARTED)
_NOTHING_READ = Reading(Status.NOT_STARTED.value)


class Seen:
    """What was seen of one experiment.

    Attributes:
        folder: its exp path.
        mark: of its folder.
        stamp: of its files when they were read; `UNKNOWN` where they may have changed within their clock's tick.
        kept: with which stamp the reading may be remembered.
        state: how it is.
        reading: what was read of it.
        is_read: whether it was, or needn't be.
        entry: of it, once it was read.
        when: when it was read last, by `time.monotonic`.
        cost: seconds of CPU that took.
        owner: the process of this machine that has it: as long as that runs, and no file says otherwise, it is as it
            was.
        attempts: stamp of those when it was found out how it is.
        progress: how far it is, while it runs; empty where nothing says so.
    """

    __slots__ = (
        "attempts",
        "cost",
        "entry",
        "folder",
        "is_read",
        "kept",
        "mark",
        "owner",
        "progress",
        "reading",
        "stamp",
        "state",
        "when",
    )

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.mark: Mark = _NEVER
        self.stamp: Stamp = UNKNOWN
        self.kept: Stamp = UNKNOWN
        self.state = _NOT_STARTED
        self.reading = _NOTHING_READ
        self.is_read = True
        self.entry: Entry | None = None
        self.when = 0.0
        self.cost = 0.0
        self.owner: Owner | None = None
        self.attempts: Stamp = UNKNOWN
        self.progress = ""

    def is_held(self, mark: Mark, look: Look) -> bool:
        """Return whether who had it has it still, by what costs little."""
        is_same = mark == self.mark and look.stamp[_ATTEMPTS] == self.attempts
        return is_same and self.owner is not None and self.owner.runs


class _Turn:
    """Some of many at a time: who hasn't come to its turn in a look does in the next one.

    Args:
        cpu: seconds that what is done with them may take.
    """

    def __init__(self, cpu: float) -> None:
        self._cpu, self._last = cpu, -1

    def of(self, places: Iterable[int], share: float) -> Iterator[int]:
        """Yield places, those whose turn it is first, as long as a share of the time isn't over."""
        every = sorted(places)
        turn = bisect_right(every, self._last)
        cpu, begin = time.thread_time(), time.monotonic()
        for number, place in enumerate([*every[turn:], *every[:turn]]):
            if number and number % _FEW_STEP == 0 and _is_over(share * self._cpu, cpu, begin):
                return
            self._last = place
            yield place


@dataclass
class Outcome:
    """What came of a look.

    Attributes:
        changed: how many experiments have changed.
        statuses: whether any has another status.
    """

    changed: int = 0
    statuses: bool = False


class Watched:
    """The experiments of one source.

    Args:
        plan: which they are, and how they are read.
        aside: asks Slurm.
        before: what was watched before, of which what was seen is taken over.
    """

    def __init__(self, plan: Plan, aside: Aside, before: Watched | None = None) -> None:
        self.plan = plan
        self._aside = aside
        self._lively: set[int] = set()  # what is looked at each time
        self._dependent: set[int] = set()  # what isn't started and needs something
        self._unread: dict[int, Look] = {}
        self._stopped: set[int] = set()  # what has ended, and isn't DONE: it may be started again
        self._files, self._alive = _Turn(_FILES_CPU), _Turn(_ALIVE_CPU)
        self._closely, self._unheld, self._startable = _Turn(_CLOSELY_CPU), _Turn(_UNHELD_CPU), _Turn(_STOPPED_CPU)
        self._quiet_turn = 0
        self._share = 1.0
        self._round = 0
        self._next_dependent = 0.0
        self._jobs: dict[int, str] = {}  # place -> job that its reason names
        self._lines: dict[str, str] = {}  # of squeue, by jobs' ids
        self._parents: dict[str, Mark] = {}
        self._children: dict[str, list[int]] = {}
        self._kept_count = 0  # readings with a stamp that were made since they were kept
        self._is_begun = False
        self._held_mark: object = []
        self._long: LongReadings = before._long if before is not None else LongReadings()
        known = {one.folder: one for one in before.seen} if before is not None else {}
        self.seen: list[Seen] = [known.get(folder) or Seen(folder) for folder in plan.outline.folders]
        self._new = [place for place, one in enumerate(self.seen) if one.folder not in known]
        lively = {before.seen[place].folder for place in before._lively} if before is not None else set()
        if before is not None:
            self._is_begun = before._is_begun
        for place, one in enumerate(self.seen):
            self._children.setdefault(one.folder.rpartition("/")[0], []).append(place)
            if one.folder in known:
                self._sort(place, one, is_settled=one.folder not in lively)
                if not one.is_read:
                    self._unread[place] = look_at(one.folder)

    @property
    def is_filling(self) -> bool:
        """Whether there are experiments of which nothing but the status is known yet."""
        return any(not self.seen[place].is_read for place in self._unread)

    @property
    def being_read(self) -> dict[str, int]:
        """How many bytes of metrics are being read beside the looks, by the folders; their rows lack what comes out."""
        return self._long.sizes

    def readings(self) -> Readings:
        """Return what was read of them, as columns."""
        return Readings.of([one.reading for one in self.seen])

    def states(self) -> dict[str, State]:
        """Return how those are that aren't DONE."""
        return {one.folder: one.state for one in self.seen if one.state.status is not Status.DONE}

    def progress(self) -> dict[str, str]:
        """Return how far those are that run, by their exp paths, where something says so."""
        running = (self.seen[place] for place in self._lively)
        return {one.folder: one.progress for one in running if one.progress and one.state.status is Status.RUNNING}

    # --- looking

    def look(self, share: float = 1.0) -> Outcome:
        """Look at what may have changed, and read what has.

        Args:
            share: of all that is shown, which may take its part of what a look may take.
        """
        found = Outcome()
        self._share = share
        statuses = self._statuses()
        if self._new:
            self._begin(statuses, found)
            if len(self._unread) <= _FEW:  # else how they are is shown first
                self._read(found)
            return found
        places = dict.fromkeys([*self._appeared(), *self._of_jobs(), *self._lively_changed(), *self._ended()])
        places |= dict.fromkeys([*self._stopped_changed(), *self._quiet_changed(), *self._held_changed()])
        self._examine(places, statuses, found)
        self._examine_closely(places, statuses, found)
        self._examine_dependent(places, statuses, found)
        self._read(found)
        return found

    def _statuses(self, folders: Sequence[str] = ()) -> Statuses:
        plan = self.plan
        return Statuses(
            folders,
            needs_of=lambda path: plan.needs.get(path, ()),
            best_of=plan.best_of,
            results_root=plan.reader.project.results_root,
            view=self._aside.view,
            held=partial(why_held, plan.reader.project),
        )

    def _begin(self, statuses: Statuses, found: Outcome) -> None:
        """Look at experiments for the first time."""
        new, self._new = self._new, []
        kept = None
        if not self._is_begun:
            self._is_begun = True
            kept = self.plan.reader.remembered(self.plan.outline.folders, self.plan.growing)
        if kept is not None:
            changed = set(kept.changed(self.plan.outline.folders))
            rows = kept.readings.rows()
            for place, one in enumerate(self.seen):
                one.mark, one.kept = _mark(one.folder), kept.stamps[place]
                one.stamp, one.reading = one.kept, rows[place]
                if place not in changed:
                    one.state = _DONE
            new = sorted(changed)
            found.changed += len(self.seen)
        elif len(new) > _FEW:
            found.changed += len(new)
        self._examine(new, statuses, found)
        found.statuses = True

    def _appeared(self) -> list[int]:
        """Return the places of those that have come, gone or changed in a folder in which something has."""
        found: list[int] = []
        for parent, places in self._children.items():
            mark = _mark(parent)
            if mark != self._parents.get(parent, _NEVER):
                # Within its clock's tick, more may come.
                self._parents[parent] = mark if _is_settled(mark) else _NEVER
                found += [place for place in places if _mark(self.seen[place].folder) != self.seen[place].mark]
        return found

    def _of_jobs(self) -> list[int]:
        """Return the places of those of whose jobs Slurm says something else than before."""
        if not self._jobs or not self._aside.view.queue.has_answer:
            return []
        lines, before = self._aside.view.lines(), self._lines
        if lines is before:
            return []
        self._lines = lines
        return [place for place, job in self._jobs.items() if lines.get(job) != before.get(job)]

    def _lively_changed(self) -> list[int]:
        """Return the places of those that run or wait, or were written to just now, whose files have changed."""
        found = []
        for place in self._files.of(self._lively, self._share):
            one = self.seen[place]
            waits = one.state.status is Status.PENDING
            if _mark(one.folder) != one.mark or (not waits and look_at(one.folder).stamp != one.stamp):
                found.append(place)
        return found

    def _ended(self) -> list[int]:
        """Return the places of those whose process runs no more."""
        owners = ((place, self.seen[place].owner) for place in self._alive.of(self._lively, self._share))
        return [place for place, owner in owners if owner is not None and not owner.runs]

    def _stopped_changed(self) -> list[int]:
        """Return the places of those that have ended and may have been started again."""
        return [place for place in self._startable.of(self._stopped, self._share) if not _is_marked(self.seen[place])]

    def _held_changed(self) -> list[int]:
        """Return the places of all that aren't started, where a launch has held some back or begun anew."""
        mark = held_mark(self.plan.reader.project)
        if mark == self._held_mark:
            return []
        self._held_mark = mark
        return [place for place, one in enumerate(self.seen) if one.state.status is Status.NOT_STARTED]

    def _quiet_changed(self) -> list[int]:
        """Return the places of others that have changed, as far as their turn came; of all where one has."""
        found: list[int] = []
        count, seen, lively = len(self.seen), self.seen, self._lively
        begin, cpu = time.monotonic(), time.thread_time()
        is_small = count <= _SMALL
        for number in range(count):
            is_asked = number % _STEP == 0 and not found  # the clock
            if is_asked and number and _is_over(self._share * _QUIET_CPU, cpu, begin):
                break
            place = self._quiet_turn = (self._quiet_turn + 1) % count
            self._round += not place
            one = seen[place]
            if place in lively or one.mark is None:  # what isn't there comes with its parent
                continue
            # Of three looks, two in turn; where something is going on, all are looked at, for what grows.
            own = _FILES if is_small else _FILES[:1] if found else _FILES[(place + self._round) % 2 :][:1]
            is_marked = (bool(found) and not is_small) or _is_marked(one)
            if not is_marked or not (one.stamp is UNKNOWN or all(_is_same(one, *file) for file in own)):
                found.append(place)
        return found

    # --- what has changed

    def _examine(self, places: Iterable[int], statuses: Statuses, found: Outcome) -> None:
        for place in places:
            self._examine_one(place, statuses, found)

    def _examine_closely(self, done: Collection[int], statuses: Statuses, found: Outcome) -> None:
        """Look closely at some of those that run or wait, whose files say nothing new."""
        left = self._lively.difference(done)
        unheld = {place for place in left if self.seen[place].owner is None}
        for places, turn in ((unheld, self._unheld), (left - unheld, self._closely)):
            for place in turn.of(places, self._share):
                self.seen[place].owner = None
                self._examine_one(place, statuses, found)

    def _examine_dependent(self, done: Iterable[int], statuses: Statuses, found: Outcome) -> None:
        """Look at those that wait for others where any of these has changed, and now and then."""
        if not self._dependent:
            return
        is_few = len(self._dependent) <= _FEW
        now = time.monotonic()
        if not (found.statuses or is_few or now >= self._next_dependent):
            return
        self._next_dependent = now + _DEPENDENT_SECONDS
        known = set(done)
        for place in sorted(self._dependent - known):
            self._examine_one(place, statuses, found)

    def _examine_one(self, place: int, statuses: Statuses, found: Outcome) -> None:
        one = self.seen[place]
        mark, look = _mark(one.folder), look_at(one.folder)
        view = self._aside.view
        view.begin_one()
        if look.is_done:
            state, one.owner = _DONE, None
        elif one.is_held(mark, look):
            state = one.state
        else:
            state = statuses.of(one.folder)
            owner = statuses.owner_of(one.folder) if _is_settled(mark) else None
            one.owner = owner if owner is not None and not owner.root and owner.runs else None
            one.attempts = look.stamp[_ATTEMPTS]
            if view.queue.error and state.status.is_alive and one.state.status.is_alive and view.is_asked:
                state = one.state  # as it was last known
        is_new = one.mark is _NEVER
        if not is_new and one.state.status is Status.PENDING and (mark != one.mark or look.stamp != one.stamp):
            self._aside.ask_soon()  # its files tell of something that the last answer may not know
        is_other = state.status is not one.state.status
        if is_other or is_new:
            found.statuses = True
        is_same = look.stamp == one.stamp and not is_other
        is_changed = is_other or is_new or state.reason != one.state.reason or look.updated != one.reading.updated
        found.changed += is_changed
        one.mark, one.state = mark, state
        job = _JOB.match(state.reason) if state.status.is_alive else None
        if job is not None:
            self._jobs[place] = job[1]
        else:
            self._jobs.pop(place, None)
        settled = look.changed is None or look.changed < time.time() - SETTLED_SECONDS
        if is_same and one.is_read:
            one.reading = one.reading._replace(status=state.status.value, reason=state.reason, updated=look.updated)
        elif is_to_be_read(look, state):
            self._unread[place] = look
            one.is_read = one.is_read and not is_new
            before = one.reading if one.is_read else Reading("")  # until it is read
            one.reading = before._replace(status=state.status.value, reason=state.reason, updated=look.updated)
        else:
            self._unread.pop(place, None)
            one.reading, one.kept = Reading(state.status.value, state.reason), UNKNOWN
            one.stamp, one.is_read = look.stamp, True
        self._sort(place, one, is_settled=settled and not view.ledger.is_missing and _is_settled(mark))

    def _sort(self, place: int, one: Seen, *, is_settled: bool) -> None:
        """Put an experiment where it is looked at as often as need be."""
        status = one.state.status
        if status.is_alive or status is Status.UNKNOWN or not is_settled or is_winner(one.folder):
            self._lively.add(place)
        else:
            self._lively.discard(place)
        if place in self._lively or status is Status.DONE or one.mark is None:
            self._stopped.discard(place)
        else:
            self._stopped.add(place)
        if status in (Status.NOT_STARTED, Status.BLOCKED) and self.plan.needs.get(one.folder):
            self._dependent.add(place)
        else:
            self._dependent.discard(place)

    # --- reading

    def _read(self, found: Outcome) -> None:
        """Read what has changed, as much as a look has time for."""
        with asking_once(self._view):
            self._read_due(found)

    def _view(self) -> View:
        """Return what Slurm has said last, for who asks it while an experiment is read."""
        view = self._aside.view
        view.begin_one()
        return view

    def _read_due(self, found: Outcome) -> None:
        begin = time.monotonic()
        due = [place for place in self._unread if self._is_due(self.seen[place], begin)]
        for at in range(0, len(due), _STEP):
            if at and time.monotonic() - begin > _READING_SECONDS:
                return
            places = due[at : at + _STEP]
            lacking = [place for place in places if self.seen[place].entry is None]
            for place, entry in zip(lacking, self._entries(lacking), strict=True):
                self.seen[place].entry = entry
            for place in places:
                found.changed += self._read_one(place)

    def _entries(self, places: Sequence[int]) -> Sequence[Entry]:
        if not places:
            return []
        if len(self._unread) > len(self.seen) // 10 and len(places) < len(self.seen):
            # Then all are read together: one by one they take longer.
            every = [place for place in self._unread if self.seen[place].entry is None]
            for place, entry in zip(every, self.plan.entries_at(every), strict=True):
                self.seen[place].entry = entry
            return [one for place in places if (one := self.seen[place].entry) is not None]
        return self.plan.entries_at(places)

    def _is_due(self, one: Seen, now: float) -> bool:
        """Return whether one may be read now: what takes long isn't read all the time."""
        return not one.is_read or one.cost < _COSTLY or now - one.when > _COSTLY_PART * one.cost

    def _read_one(self, place: int) -> bool:
        """Read one; return whether there is anything new."""
        one, look = self.seen[place], self._unread.pop(place)
        before = one.reading
        assert one.entry is not None
        begin = time.thread_time()  # however slow the disk is, or busy the machine
        look = look_at(one.folder) if one.is_read else look  # others may have been read meanwhile
        status, reason = one.state
        bare = Reading(status.value, reason, updated=look.updated)
        read = partial(self.plan.reader.read_one, one.entry, look, one.state)
        if self._long.is_long(one.folder, look):
            if (found := self._long.find(one.folder, look, read, bare)) is None:
                self._unread[place] = look  # each look asks whether it is read
                is_new, one.is_read = not one.is_read, True
                one.reading = bare if is_new else before
                return is_new
            look, reading, one.kept = found
            one.reading = reading._replace(status=status.value, reason=reason)
        else:
            try:
                one.reading, one.kept = read()
            except Exception as error:  # the other rows must come
                one.reading, one.kept = bare._replace(problem=one_line(error_text(error))), UNKNOWN
        if look.changed is None or look.changed < time.time() - SETTLED_SECONDS:
            one.stamp = look.stamp
        else:
            one.stamp = UNKNOWN
            self._lively.add(place)
        is_running = one.state.status is Status.RUNNING
        reached = reached_by(ExperimentDir(Path(one.folder))) if is_running else None
        one.progress = reached.short(time.time()) if reached is not None else ""
        one.is_read, one.when = True, time.monotonic()
        one.cost = time.thread_time() - begin
        if one.state.status is Status.DONE and one.kept:
            one.entry = None
        self._kept_count += bool(one.kept)
        return one.reading != before

    # --- what is remembered

    @property
    def is_to_be_kept(self) -> bool:
        """Whether there is something to be remembered by the next report."""
        return bool(self._kept_count)

    def keep(self) -> None:
        """Remember on disk what was read."""
        self._kept_count = 0
        if all(one.is_read for one in self.seen):
            kept = Remembered(self.readings(), [one.kept for one in self.seen])
            self.plan.reader.remember(self.plan.outline.folders, self.plan.growing, kept)


def _is_over(seconds: float, cpu: float, begin: float) -> bool:
    """Return whether what began then has taken its time."""
    return time.thread_time() - cpu > seconds or time.monotonic() - begin > _QUIET_SECONDS


def _is_marked(one: Seen) -> bool:
    """Return whether the folder of an experiment is as it was."""
    try:
        found = os.stat(one.folder)  # noqa: PTH116 (10,000 of them: no object each)
    except OSError:
        return False
    return one.mark == (found.st_mtime_ns, found.st_ino)


def _is_same(one: Seen, name: str, at: int) -> bool:
    """Return whether a file of an experiment is as it was; the numbers of its stamp begin at a place."""
    try:
        file = os.stat(f"{one.folder}/{name}")  # noqa: PTH116
    except OSError:
        return not one.stamp[at + 2]
    return one.stamp[at : at + 3] == (file.st_mtime_ns, file.st_size, file.st_ino)


def _mark(folder: str) -> Mark:
    try:
        found = os.stat(folder)  # noqa: PTH116
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _is_settled(mark: Mark) -> bool:
    """Return whether a folder can't change any more within its clock's tick."""
    return mark is None or mark[0] / 1e9 < time.time() - SETTLED_SECONDS
