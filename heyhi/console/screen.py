"""Where the lines of a run go: a file or pipe gets them one by one, a terminal has a bar of the progress below them.

While there is a bar, what others print on the terminal is put above it, too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from heyhi.text import readable, steering

_TICK_SECONDS = 1.0  # the bar is drawn anew after, when nothing happens
_LEAST_SECONDS = 0.15  # between two drawings, unless a line is written
_DEFAULT_WIDTH = 80
_CLEAR = "\r\x1b[2K"


class Screen(Protocol):
    """What lines are written to."""

    def write(self, text: str) -> None:
        """Write a line, or several."""

    def refresh(self) -> None:
        """Show how far the run is now, where that is shown."""

    def close(self) -> None:
        """Leave nothing but lines behind."""


def screen_for(stream: TextIO, bar: Callable[[int], str] | None) -> Screen:
    """Choose how lines are written to a stream.

    Args:
        stream: mostly standard error.
        bar: returns the bar in at most so many characters; None: without one.
    """
    if bar is not None and is_terminal(stream):
        return Terminal(stream, bar)
    return Plain(stream)


def is_terminal(stream: TextIO) -> bool:
    """Return whether a line can be drawn again there; not in a notebook, whose `!` has a terminal that nobody draws."""
    if "JPY_PARENT_PID" in os.environ:  # what starts kernels sets it for them, and they hand it on
        return False
    try:
        return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")
    except (AttributeError, ValueError):  # closed, or replaced by something else
        return False


class Plain:
    """A file or a pipe, which takes lines as they are: who writes them has made others' texts in them readable."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = steering(stream)

    def write(self, text: str) -> None:
        """Write lines, at once."""
        # A full disk or a reader that has gone is no reason to end the run.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def refresh(self) -> None:
        """Do nothing: there is no bar."""

    def close(self) -> None:
        """Do nothing: all is written."""


class Terminal:
    """A terminal with a bar in its last line. It takes lines as they are, their colours too.

    Args:
        stream: the terminal.
        bar: returns the bar in at most so many characters.
    """

    def __init__(self, stream: TextIO, bar: Callable[[int], str]) -> None:
        self._stream, self._bar = steering(stream), bar
        self._lock = threading.RLock()
        self._drawn_at = 0.0
        self._is_open = True
        self._over = threading.Event()
        self._above = [
            (name, old, Above(old, self))
            for name, old in (("stdout", sys.stdout), ("stderr", sys.stderr))
            if is_terminal(old)
        ]
        for name, _, new in self._above:
            setattr(sys, name, new)
        self._timer = threading.Thread(target=self._tick, name="heyhi-bar", daemon=True)
        self._timer.start()

    def write(self, text: str) -> None:
        """Write lines above the bar."""
        with self._lock:
            self._put(f"{_CLEAR}{text}\n{self._drawn()}" if self._is_open else f"{text}\n")

    def refresh(self) -> None:
        """Draw the bar anew, unless that was just done."""
        with self._lock:
            if self._is_open and time.monotonic() - self._drawn_at >= _LEAST_SECONDS:
                self._put(f"{_CLEAR}{self._drawn()}")

    def close(self) -> None:
        """Take the bar away, and give back the streams."""
        self._over.set()
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            for name, old, new in self._above:
                if getattr(sys, name) is new:
                    setattr(sys, name, old)
            self._put(_CLEAR)
            for _, _, new in self._above:
                new.finish()
        if threading.current_thread() is not self._timer:
            self._timer.join(_TICK_SECONDS)

    def _tick(self) -> None:
        while not self._over.wait(_TICK_SECONDS):
            self.refresh()

    def _drawn(self) -> str:
        self._drawn_at = time.monotonic()
        try:
            # One less than there are: a full line would begin the next one.
            return self._bar(self._width() - 1)
        except Exception:  # lines are worth more than the bar
            return ""

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _DEFAULT_WIDTH
        except (OSError, ValueError):
            return _DEFAULT_WIDTH

    def _put(self, text: str) -> None:
        # RuntimeError: a signal's handler writes while that was written which it has interrupted.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._stream.write(text)
            self._stream.flush()


class Above:
    """A stream of this process on a terminal with a bar: what is written to it comes above that, line by line."""

    def __init__(self, stream: TextIO, terminal: Terminal) -> None:
        self._stream, self._terminal = stream, terminal
        self._is_shown = steering(stream) is not stream  # nothing printed there is to steer the terminal
        self._rest = ""

    def write(self, text: str) -> int:
        """Write text; what is no whole line yet waits for its end."""
        lines, newline, rest = (self._rest + text).rpartition("\n")
        self._rest = rest
        if newline:
            self._terminal.write(readable(lines) if self._is_shown else lines)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: whole lines are written at once."""

    def finish(self) -> None:
        """Write what is left."""
        rest, self._rest = self._rest, ""
        if rest:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(rest)
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
