"""Which signals come while main runs, whoever handles them: main may have set handlers of its own."""

from __future__ import annotations

import os
import signal

# What the system's handler of each process writes its signals to: by the process, since a child inherits its parent's.
_writers: dict[int, int] = {}


class Ears:
    """Hear signals that have a handler in Python, from `open` to `close`; only in the main thread.

    Where main hears them itself (asyncio's signal handlers do), nothing is heard.
    """

    def __init__(self) -> None:
        self._reader = -1

    def open(self) -> None:
        """Begin to hear."""
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if before != -1:  # somebody else's
            signal.set_wakeup_fd(before)
            os.close(writer)
        else:
            _writers[os.getpid()] = writer

    def close(self) -> set[int]:
        """Hear no more, and return what has come."""
        if self._reader < 0:
            return set()
        if (writer := _writers.pop(os.getpid(), -1)) >= 0:
            _unset(writer)
            os.close(writer)
        try:
            found = os.read(self._reader, 1 << 20)
        except BlockingIOError:
            found = b""
        os.close(self._reader)
        self._reader = -1
        return set(found)


def _unset(writer: int) -> None:
    now = signal.set_wakeup_fd(-1)
    if now != writer:
        signal.set_wakeup_fd(now)


def _leave_parent() -> None:
    """Have a forked child, which inherits all, not tell its parent of signals of its own."""
    if (writer := _writers.pop(os.getppid(), -1)) >= 0:
        _unset(writer)


os.register_at_fork(after_in_child=_leave_parent)
