"""Timers of the C library: they fire whoever holds the interpreter's lock, and after the interpreter's end."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

_CLOCK_MONOTONIC, _SIGEV_THREAD = 1, 2  # linux/time.h, bits/sigevent-consts.h


class _Event(ctypes.Structure):
    """What happens when a timer fires (`struct sigevent`): a function is called in a thread of its own."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("padding", ctypes.c_char * 64),
    )


class _Span(ctypes.Structure):
    """A time and how often it comes again (`struct itimerspec`)."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every", "every_ns", "seconds", "ns"))


class Alarm:
    """Timers that run a command, and then end this process, unless they are stopped.

    Where the system has no such timers, nothing happens.

    Args:
        command: for a shell.
        command_seconds: until it is run.
        exit_code: that this process is ended with: nothing is flushed, and nothing of Python's runs.
        exit_seconds: until then.
    """

    def __init__(self, command: str, command_seconds: float, exit_code: int, exit_seconds: float) -> None:
        self._library: Any = _library()
        self._timers: list[tuple[ctypes.c_void_p, _Span]] = []
        self._changing = threading.Lock()
        if self._library is None:
            return
        self._library.strdup.restype = ctypes.c_void_p
        # A copy that nobody frees: Python's own would be gone with the interpreter.
        self._set(self._library.system, self._library.strdup(command.encode(errors="replace")), command_seconds)
        self._set(self._library._exit, exit_code, exit_seconds)

    def _set(self, function: Any, argument: int, seconds: float) -> None:
        event = _Event(argument, 0, _SIGEV_THREAD, ctypes.cast(function, ctypes.c_void_p))
        timer = ctypes.c_void_p()
        if self._library.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)) != 0:
            return
        self._timers.append((timer, _Span(0, 0, int(seconds), int(seconds % 1 * 1e9) or 1)))
        self._library.timer_settime(timer, 0, ctypes.byref(self._timers[-1][1]), None)

    def begin_again(self) -> None:
        """Have the seconds begin anew, unless it was stopped."""
        with self._changing:
            for timer, span in self._timers:
                self._library.timer_settime(timer, 0, ctypes.byref(span), None)

    def stop(self) -> None:
        """Have nothing happen any more."""
        with self._changing:
            for timer, _ in self._timers:
                self._library.timer_delete(timer)
            self._timers = []


def _library() -> Any:
    """Return the C library; None where it has no timers of this kind."""
    for name in (None, "librt.so.1"):  # which had them before glibc 2.34
        try:
            library = ctypes.CDLL(name)
            _ = library.timer_create, library.timer_settime, library.timer_delete, library.system, library.strdup
        except (OSError, AttributeError):
            continue
        return library
    return None
