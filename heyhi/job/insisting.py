"""A stop that is raised until it arrives: what a signal's handler raises is lost in some of what it may break into.

Python ignores it in a destructor and in a weak reference's callback, which imports have, too. C code may drop it, and
say nothing: the compiler does so in constants, so while a module is imported.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn

# C code that has failed returns at once; what has not reached Python by then is lost.
_LOOKS, _PAUSE_SECONDS = 50, 0.02


class Insisting:
    """Raise in a signal's handler, and say where that was lost; between `open` and `close`.

    Args:
        on_lost: called from another thread, with the signal.
    """

    def __init__(self, on_lost: Callable[[signal.Signals], None]) -> None:
        self._on_lost = on_lost
        self._is_open = False
        self._pid = os.getpid()
        self._sign: signal.Signals | None = None  # raised last
        self._kind: type[BaseException] | None = None  # likewise
        self._hook: Callable[[Any], object] = sys.unraisablehook

    def open(self) -> None:
        """Begin to see what is ignored."""
        self._hook, sys.unraisablehook = sys.unraisablehook, self._see
        self._is_open = True

    def close(self) -> None:
        """See no more; what was raised by now has arrived."""
        self._is_open = False
        if sys.unraisablehook == self._see:
            sys.unraisablehook = self._hook

    def throw(self, error: BaseException, sign: signal.Signals, frame: FrameType | None) -> NoReturn:
        """Raise an exception for a signal.

        Args:
            error: the exception.
            sign: the signal.
            frame: that its handler breaks into.
        """
        self._sign, self._kind = sign, type(error)
        if self._is_open and frame is not None:
            # No Thread: to start one takes a lock of Python's, which the code below may have.
            with contextlib.suppress(RuntimeError):
                _thread.start_new_thread(self._follow, (error, sign, frame))
        raise error

    def _follow(self, error: BaseException, sign: signal.Signals, frame: FrameType) -> None:
        for _ in range(_LOOKS):
            time.sleep(_PAUSE_SECONDS)
            if not self._is_open or _has_reached(error.__traceback__, frame):
                return
        self._on_lost(sign)

    def _see(self, ignored: Any) -> None:
        if self._sign is None or ignored.exc_type is not self._kind or not self._is_open or os.getpid() != self._pid:
            self._hook(ignored)
            return

        def tell(sign: signal.Signals) -> None:
            time.sleep(_PAUSE_SECONDS)  # until who ignores it has returned
            self._on_lost(sign)

        with contextlib.suppress(RuntimeError):
            _thread.start_new_thread(tell, (self._sign,))


def _has_reached(trace: TracebackType | None, frame: FrameType) -> bool:
    while trace is not None:
        if trace.tb_frame is frame:
            return True
        trace = trace.tb_next
    return False
