"""A thread that looks at what a server shows, as long as somebody sees it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from heyhi.errors import error_text
from heyhi.serve.board import Board

LOOK_SECONDS = 2.0


class Looking:
    """Looks at a board again and again.

    Args:
        board: what is looked at.
        told: called from the thread after each look with news, or another error.

    Attributes:
        error: of the last look; empty where it went well.
    """

    def __init__(self, board: Board, told: Callable[[], None]) -> None:
        self.error = ""
        self._board, self._told = board, told
        self._wake, self._is_over = threading.Event(), False
        self._viewers, self._lock = 0, threading.Lock()
        self._thread = threading.Thread(target=self._run, name="looking", daemon=True)

    def begin(self) -> None:
        """Look for the first time."""
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._is_over = True
        self._wake.set()
        self._thread.join(0.5)

    @contextlib.contextmanager
    def viewer(self) -> Iterator[None]:
        """Look while this lasts."""
        with self._lock:
            self._viewers += 1
        self._wake.set()
        try:
            yield
        finally:
            with self._lock:
                self._viewers -= 1

    def _run(self) -> None:
        while not self._is_over:
            self._wake.clear()
            error, is_news = "", False
            try:
                is_news = self._board.look()
            except Exception as problem:  # the next look may find it mended
                error = error_text(problem)
            is_news, self.error = is_news or error != self.error, error
            if is_news and not self._is_over:
                self._told()
            self._wake.wait(LOOK_SECONDS if self._viewers else None)
