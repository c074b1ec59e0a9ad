"""Which signals come while main runs, whoever handles them: main may have set handlers of its own."""

from __future__ import annotations

import contextlib
import os
import signal

from heyhi.streams import Held

# What the system's handler of each process writes its signals to: by the process, since a child inherits its parent's.
_writers: dict[int, Held] = {}


class Ears:
    """Hear signals that have a handler in Python, from `open` to `close`; only in the main thread.

    Where main hears them itself (asyncio's signal handlers do), or has closed what is ours, nothing is heard.
    """

    def __init__(self) -> None:
        self._reader: Held | None = None

    def open(self) -> None:
        """Begin to hear."""
        reader, writer = map(Held, os.pipe())
        for end in (reader, writer):
            os.set_blocking(end.fd, False)
        self._reader = reader
        before = signal.set_wakeup_fd(writer.fd, warn_on_full_buffer=False)
        if before != -1:  # somebody else's
            _hear_with(before)
            writer.close()
        else:
            _writers[os.getpid()] = writer

    def close(self) -> set[int]:
        """Hear no more, and return what has come."""
        reader, self._reader = self._reader, None
        if reader is None:
            return set()
        if (writer := _writers.pop(os.getpid(), None)) is not None:
            _unset(writer)
            writer.close()
        found = b""
        if reader.is_ours:
            with contextlib.suppress(BlockingIOError):
                found = os.read(reader.fd, 1 << 20)
        reader.close()
        return set(found)


def _unset(writer: Held) -> None:
    now = signal.set_wakeup_fd(-1)
    if now != writer.fd:
        _hear_with(now)


def _hear_with(fd: int) -> None:
    """Hear with another's descriptor, unless that is gone: Python refuses one that is closed or none of a pipe."""
    with contextlib.suppress(OSError, ValueError):
        signal.set_wakeup_fd(fd)


def _leave_parent() -> None:
    """Have a forked child, which inherits all, not tell its parent of signals of its own."""
    if (writer := _writers.pop(os.getppid(), None)) is not None:
        _unset(writer)


os.register_at_fork(after_in_child=_leave_parent)
