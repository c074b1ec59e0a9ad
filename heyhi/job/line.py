"""The line in which jobs wait that are to be handed over to Slurm, and when the next of them is tried.

As long as Slurm takes jobs, several are tried at once, in order. Once it takes none, it is asked for one at a time: as
soon as one of ours has ended, where a limit is reached, and now and then, ever less often. What is tried, and how, the
line doesn't know; all times are seconds of one clock.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# A job whose result is there still counts for Slurm, for a while that is learned.
_FIRST_LAG, _LONGEST_LAG = 0.3, 3.0
_LAG_GROWTH, _LAG_DECAY = 1.7, 0.95
_LAG_TRIES = 4
# So long after a job of ours has ended its place may still be to come.
_JUST_ENDED_SECONDS = 5.0

Item = TypeVar("Item", bound=Hashable)


class Short(enum.Enum):
    """Why Slurm takes no jobs."""

    FULL = "full"  # a limit on the number of jobs
    AWAY = "away"  # it doesn't answer as it should


class Line(Generic[Item]):
    """Jobs that wait to be handed over, in order; several threads may take from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = itertools.count()
        self._waiting: list[tuple[float, int, Item]] = []
        self._tried: dict[Item, tuple[float, int, Item]] = {}
        self._short: Short | None = None
        self._since = 0.0  # when it began
        self._pause = FIRST_PAUSE
        self._next_at = 0.0
        self._probe: Item | None = None  # that is tried alone
        self._is_for_place = False  # whether it is tried because one of ours has ended
        self._places = 0  # that ended ones have left, and nobody has taken yet
        self._place_at = 0.0
        self._place_tries = 0
        self._lag = _FIRST_LAG
        self._ended_at = float("-inf")

    @property
    def is_short(self) -> bool:
        """Whether something waits since Slurm takes no more for now."""
        with self._lock:
            return self._short is not None and bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether something waits since a limit on the number of jobs is reached."""
        with self._lock:
            return self._short is Short.FULL and bool(self._waiting)

    def away_seconds(self, now: float) -> float:
        """Return for how long Slurm hasn't answered as it should; 0 where it does."""
        with self._lock:
            return now - self._since if self._short is Short.AWAY else 0.0

    def add(self, item: Item, rank: float = 0.0) -> None:
        """Let one wait; those of a lower rank come first, then those that came before."""
        with self._lock:
            heapq.heappush(self._waiting, (rank, next(self._count), item))

    def take(self, now: float) -> Item | None:
        """Return the one to be tried now; None where none is. What came of it is told by one of the next four."""
        with self._lock:
            if not self._waiting:
                return None
            if self._short is not None:
                if self._probe is not None:
                    return None
                self._is_for_place = self._short is Short.FULL and self._places > 0
                if now < (self._place_at if self._is_for_place else self._next_at):
                    return None
            entry = heapq.heappop(self._waiting)
            self._tried[entry[2]] = entry
            if self._short is not None:
                self._probe = entry[2]
            return entry[2]

    def taken(self, item: Item, now: float) -> None:
        """Note that Slurm took one."""
        with self._lock:
            was_probe = self._end_try(item)
            if self._short is Short.AWAY or not self._waiting:
                self._short = None
            elif was_probe and self._is_for_place:
                self._places -= 1
                self._place_at, self._place_tries = now, 0
                self._lag = max(self._lag * _LAG_DECAY, _FIRST_LAG)
            elif was_probe:  # more than ours have made room: there may be more of it
                self._pause, self._next_at = FIRST_PAUSE, now

    def answered(self, item: Item) -> None:
        """Note that Slurm gave another answer to one, for good."""
        with self._lock:
            self._end_try(item)
            if self._short is Short.AWAY:
                self._short = None

    def dropped(self, item: Item) -> None:
        """Note that one was not tried after all."""
        with self._lock:
            self._end_try(item)

    def refused(self, item: Item, why: Short, now: float) -> bool:
        """Let one wait again, at its place, since Slurm takes none now; return whether it took some before."""
        with self._lock:
            entry = self._tried[item]
            was_probe = self._end_try(item)
            heapq.heappush(self._waiting, entry)
            if self._short is not why:
                self._begin(why, now)
                return True
            if not was_probe:  # it was tried before that was known
                return False
            if self._is_for_place and self._place_tries < _LAG_TRIES:
                self._place_tries += 1
                self._lag = min(self._lag * _LAG_GROWTH, _LONGEST_LAG)
                self._place_at = now + self._lag
            elif self._is_for_place:  # another has taken them
                self._places = self._place_tries = 0
            else:
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                self._next_at = now + self._pause
            return False

    def ended(self, now: float) -> None:
        """Note that a job of ours has ended, which leaves its place to another."""
        with self._lock:
            self._ended_at = now
            if self._short is Short.FULL:
                if not self._places:
                    self._place_at, self._place_tries = now + self._lag, 0
                self._places += 1

    def heard(self, now: float) -> None:
        """Note that Slurm has answered something again, that hadn't answered: it is asked soon, as at first."""
        with self._lock:
            if self._short is Short.AWAY:
                self._pause, self._next_at = FIRST_PAUSE, min(self._next_at, now + FIRST_PAUSE)

    def clear(self) -> list[Item]:
        """Remove those that wait, and return them in order; what is being tried is none of them."""
        with self._lock:
            found = [item for _, _, item in sorted(self._waiting, key=lambda entry: entry[:2])]
            self._waiting.clear()
            self._short = None
            return found

    def _begin(self, why: Short, now: float) -> None:
        self._short, self._since = why, now
        self._pause, self._next_at = FIRST_PAUSE, now + FIRST_PAUSE
        self._places = int(why is Short.FULL and now < self._ended_at + _JUST_ENDED_SECONDS)
        self._place_at, self._place_tries = now + self._lag, 0

    def _end_try(self, item: Item) -> bool:
        """Return whether it was the only one that was tried."""
        del self._tried[item]
        was_probe = self._probe is not None and self._probe == item
        if was_probe:
            self._probe = None
        return was_probe
