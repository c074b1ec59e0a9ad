"""The door between a run and a tracker: lines go through it while main runs, and nothing of it can hold main up.

What a tracker does may take any time: it imports a large library, asks a network, waits for a full disk. So each has a
thread of its own. One that fails is said once, and is shut; the lines are in metrics.jsonl, and `heyhi export` has them
later.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from heyhi.experiment.metric_log import giving_lines_to
from heyhi.trackers.opening import reason_of
from heyhi.trackers.tracked_run import Line, RunEnd, Tracker

_MOST_WAITING = 100_000  # lines: where more wait, the tracker doesn't keep up
_MOST_AT_ONCE = 1000
_log = logging.getLogger(__name__)


class _End(NamedTuple):
    end: RunEnd
    result: Mapping[str, Any]


class Door:
    """A tracker as a listener of heyhi.log.

    Nothing is opened, imported or started before the first line.

    Args:
        name: as in `log_to`.
        open: opens the tracker; called in the door's thread.
        remedy: what is said of it where it fails.
    """

    def __init__(self, name: str, open: Callable[[], Tracker], remedy: str = "") -> None:  # noqa: A002
        self.name = name
        self._open = open
        self._remedy = remedy
        self._process = os.getpid()
        self._lines: SimpleQueue[Line | _End] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_shut = self._is_lost = self._is_ending = False
        self._failing = threading.RLock()

    def __call__(self, line: Line) -> None:
        """Let a line through; in a forked child, whose parent has the door, nothing."""
        if self._is_shut or os.getpid() != self._process:
            return
        if self._lines.qsize() >= _MOST_WAITING:
            self._fail(f"{_MOST_WAITING} lines wait for it")
            return
        self._lines.put(line)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"heyhi-{self.name}", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # no more threads
                self._fail(reason_of(error))

    def begin_to_close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Say how the run has ended; `wait` until the tracker knows."""
        if os.getpid() == self._process:
            self._lines.put(_End(end, result))

    def wait(self, seconds: float | None, until: float | None) -> None:
        """Wait until the tracker has all, or until a time: then it is given up, and that is said.

        Args:
            seconds: that it had in all, for what is said; None: any number.
            until: the end of these, by time.monotonic.
        """
        if self._thread is None or os.getpid() != self._process or (self._is_shut and not self._is_ending):
            return
        self._thread.join(None if until is None else max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._fail(f"it had not taken all within {seconds:g} s after main")

    def shut(self) -> None:
        """Let nothing through any more: another has the experiment, and goes on with it."""
        self._is_shut = self._is_lost = True

    def _work(self) -> None:
        try:
            with giving_lines_to(f"log_to {self.name}"):
                self._give(self._open())
        except BaseException as error:  # of a library: whatever it is, it ends this thread only
            self._fail(reason_of(error))

    def _give(self, tracker: Tracker) -> None:
        """Give a tracker the lines until the run's end, and say how that was; what fails on the way is ended here."""
        end = None
        try:
            while end is None and not self._is_shut:
                lines, end = self._take()
                if lines and not self._is_shut:
                    tracker.write(lines)
        except BaseException as error:
            end = None
            self._is_ending = True
            self._fail(reason_of(error))
        if self._is_lost:
            return
        if end is not None:
            tracker.close(end.end, end.result)
            return
        with contextlib.suppress(BaseException):  # or its run would be alive for ever
            tracker.close(RunEnd.STOPPED, {})

    def _take(self) -> tuple[list[Line], _End | None]:
        """Return the lines that wait, at least one; and the end where that is behind them."""
        found: list[Line] = []
        with contextlib.suppress(Empty):
            while len(found) < _MOST_AT_ONCE:
                one = self._lines.get(block=not found)
                if isinstance(one, _End):
                    return found, one
                found.append(one)
        return found, None

    def _fail(self, why: str) -> None:
        """Say why, and shut the door, once: who finds it shut can count on it that it was said."""
        with self._failing:
            if self._is_shut:
                return
            with contextlib.suppress(Exception):
                _log.warning("log_to %s: %s; the run goes on without it%s", self.name, why, self._remedy)
            self._is_shut = True


def close_all(doors: Iterable[Door], end: RunEnd, result: Mapping[str, Any], seconds: float | None) -> None:
    """Close doors, all at once.

    Args:
        doors: of one run.
        end: how that has ended.
        result: what came out.
        seconds: how long it may take; None: any time.
    """
    used = [*doors]
    until = None if seconds is None else time.monotonic() + seconds
    for door in used:
        door.begin_to_close(end, result)
    for door in used:
        door.wait(seconds, until)
