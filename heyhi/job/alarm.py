"""Timers of the C library: they fire whoever holds the interpreter's lock, and after the interpreter's end."""

from __future__ import annotations

import threading

# What `ctypes` itself is made of: what that makes besides, on import, takes a job longer than all that is here.
from _ctypes import FUNCFLAG_CDECL, CFuncPtr, Structure, _SimpleCData, byref, dlopen, dlsym
from typing import Any

_CLOCK_MONOTONIC, _SIGEV_THREAD = 1, 2  # linux/time.h, bits/sigevent-consts.h
_CALLED = ("strdup", "system", "_exit", "timer_create", "timer_settime", "timer_delete")


# Without the types that they are generic of: at run time they are not.
class _Int(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class _Long(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Pointer(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "P"


class _Function(CFuncPtr):
    _flags_, _restype_ = FUNCFLAG_CDECL, _Int


class _Event(Structure):
    """What happens when a timer fires (`struct sigevent`): a function is called in a thread of its own."""

    _fields_ = (
        ("value", _Pointer),
        ("signal", _Int),
        ("notify", _Int),
        ("function", _Pointer),
        ("attributes", _Pointer),
        *((f"padding_{i}", _Long) for i in range(8)),
    )


class _Span(Structure):
    """A time and how often it comes again (`struct itimerspec`)."""

    _fields_ = tuple((name, _Long) for name in ("every", "every_ns", "seconds", "ns"))


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
        self._places = _places()
        self._timers: list[tuple[_Pointer, _Span]] = []
        self._changing = threading.Lock()
        if not self._places:
            return
        copy = _Function(self._places["strdup"])
        copy.restype = _Pointer
        # A copy that nobody frees: Python's own would be gone with the interpreter.
        self._set("system", copy(command.encode(errors="replace")), command_seconds)
        self._set("_exit", exit_code, exit_seconds)

    def _set(self, name: str, argument: int, seconds: float) -> None:
        event = _Event(argument, 0, _SIGEV_THREAD, self._places[name])
        timer = _Pointer()
        if self._call("timer_create", _CLOCK_MONOTONIC, byref(event), byref(timer)) != 0:
            return
        self._timers.append((timer, _Span(0, 0, int(seconds), int(seconds % 1 * 1e9) or 1)))
        self._start(*self._timers[-1])

    def _start(self, timer: _Pointer, span: _Span) -> None:
        self._call("timer_settime", timer, 0, byref(span), None)

    def _call(self, name: str, *arguments: Any) -> int:
        code: int = _Function(self._places[name])(*arguments)
        return code

    def begin_again(self) -> None:
        """Have the seconds begin anew, unless it was stopped."""
        with self._changing:
            for timer, span in self._timers:
                self._start(timer, span)

    def stop(self) -> None:
        """Have nothing happen any more."""
        with self._changing:
            for timer, _ in self._timers:
                self._call("timer_delete", timer)
            self._timers = []


def _places() -> dict[str, int]:
    """Return where the C library has what is called here; nothing where it has no timers of this kind."""
    for name in (None, "librt.so.1"):  # which had them before glibc 2.34
        try:
            library = dlopen(name, 0)  # type: ignore[arg-type]
            return {one: dlsym(library, one) for one in _CALLED}
        except OSError:
            continue
    return {}
