"""A thread that looks at what a server shows, as long as somebody sees it."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from heyhi.collector import paused_collection
from heyhi.errors import error_text

LOOK_SECONDS = 2.0  # from the begin of a look to that of the next one
_LEAST_SECONDS = 0.2  # between two looks, whoever asks for one
_AT_ONCE_SECONDS = 0.02  # where there is more to be seen: others must come to their turn
_END_SECONDS = 0.8  # for which a look is waited for that goes on


class Looked(Protocol):
    """What is looked at: a `Board`."""

    woken: Callable[[], object]

    @property
    def is_unfinished(self) -> bool:
        """Whether the next look should come at once."""

    def look(self) -> bool:
        """Look; return whether there is news."""

    def end(self) -> None:
        """Look no more."""


class Looking:
    """Looks at a board again and again: the first time at once, then only as long as there is a viewer.

    Args:
        board: what is looked at.
        told: called from the thread after each look with news, or another error.
        seconds: between two looks.

    Attributes:
        error: of the last look; empty where it went well.
    """

    def __init__(self, board: Looked, told: Callable[[], None], seconds: float = LOOK_SECONDS) -> None:
        self.error = ""
        self._board, self._told, self._seconds = board, told, seconds
        self._changing = threading.Condition()
        self._viewers = 0
        self._is_over = self._is_woken = False
        self._thread = threading.Thread(target=self._run, name="heyhi-looking", daemon=True)
        board.woken = self.wake

    def begin(self) -> None:
        """Look for the first time."""
        self._thread.start()

    def end(self) -> None:
        """Look no more; a look that goes on is waited for a moment, and its news is told to nobody."""
        with self._changing:
            self._is_over = True
            self._changing.notify_all()
        self._board.end()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def wake(self) -> None:
        """Look now, if there is a viewer."""
        with self._changing:
            self._is_woken = True
            self._changing.notify_all()

    @contextlib.contextmanager
    def viewer(self) -> Iterator[None]:
        """Look while this lasts; the first viewer needn't wait for the next look."""
        with self._changing:
            self._viewers += 1
            self._is_woken = self._is_woken or self._viewers == 1
            self._changing.notify_all()
        try:
            yield
        finally:
            with self._changing:
                self._viewers -= 1

    def _run(self) -> None:
        is_first = True
        while not self._is_over:
            begin = time.monotonic()
            error, is_news = "", False
            try:
                with _all_stays() if is_first else contextlib.nullcontext():
                    is_news = self._board.look()
            except Exception as problem:  # the next look may find it mended
                error = error_text(problem)
            is_first = False
            is_news, self.error = is_news or error != self.error, error
            if is_news and not self._is_over:
                self._told()
            self._wait(begin, is_at_once=not error and self._board.is_unfinished)

    def _wait(self, begin: float, *, is_at_once: bool) -> None:
        """Wait until the next look is due."""
        now = time.monotonic()
        took = now - begin
        # What takes long to look at is left in peace for a while.
        due = now + _AT_ONCE_SECONDS if is_at_once else max(begin + self._seconds, now + took / 2)
        least = due if is_at_once else min(now + max(_LEAST_SECONDS, took / 2), due)
        with self._changing:
            while not self._is_over:
                now = time.monotonic()
                if is_at_once or self._viewers:
                    until = least if self._is_woken else due
                    if now >= until:
                        break
                    self._changing.wait(until - now)
                else:
                    self._changing.wait()
            self._is_woken = False


@contextlib.contextmanager
def _all_stays() -> Iterator[None]:
    """Don't look for garbage among the many objects that come now to stay, neither now nor later."""
    with paused_collection():
        try:
            yield
        finally:
            gc.freeze()
