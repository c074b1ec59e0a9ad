"""The seconds that a process has to end once its run is over, and its end when they have passed.

Threads that are no daemons, functions at exit, children that are waited for and destructors may keep a process, and
with it a job and its GPUs, for ever. `holding` finds out which it is. Where even that isn't possible, since something
holds the interpreter's lock or the interpreter has ended, an `alarm` ends the process.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from heyhi.job.tee import flush_all

if TYPE_CHECKING:
    from heyhi.job.alarm import Alarm

# What sets the seconds; and what does where another has the experiment by then.
SETTING, LOST = "[tool.heyhi] end_grace", "another has the experiment"
# After the grace: until all stacks are written, where nobody has said more; until that is said, and until the end.
_STACKS_SECONDS, _WORDS_SECONDS, _END_SECONDS = 4.0, 5.0, 6.0
_CHILDREN_SECONDS, _PAUSE_SECONDS = 2.0, 0.05  # for children to end by SIGTERM
_FLUSH_SECONDS = 1.0
_ANY_NUMBER = 1e6  # of seconds: no timer takes much more
_UNKNOWN = "code that is no Python's, or that lets no other run (see the stacks above, where there are any)"


class Grace:
    """The end of this process, whose run `begin` says is over.

    A context around all that is left to do then. A process that goes on after it may have other things to do: from then
    on only the end of the interpreter counts, and the seconds begin again there.

    Attributes:
        exit_code: what this process ends with, as long as nobody knows better.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._seconds = 0.0
        self._limit = ""
        self._log = self._said = -1  # descriptors
        self._process = os.getpid()
        self._alarm: Alarm | None = None
        self._is_over = threading.Event()

    def begin(self, seconds: float, log: Path | None, exit_code: int, limit: str = SETTING) -> None:
        """Start the seconds.

        Args:
            seconds: 0: any number.
            log: where to say what has kept the process, beside standard error; None: nowhere.
            exit_code: to end with.
            limit: what sets the seconds, in words.
        """
        if not 0 < seconds < _ANY_NUMBER:
            return
        self._seconds, self.exit_code, self._limit = seconds, exit_code, limit
        # Opened now: in 30 s it may be another run's folder.
        with contextlib.suppress(OSError):
            self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC) if log is not None else -1
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._seconds:
            return
        self.pause()
        # Before Python waits for threads, which is before it calls functions at exit; the last one is called first.
        register = getattr(threading, "_register_atexit", atexit.register)
        with contextlib.suppress(RuntimeError):  # it ends already
            register(self._start)

    def _start(self) -> None:
        if os.getpid() != self._process:  # a child that was forked after the run
            return
        from heyhi.job.alarm import Alarm  # loads ctypes, which a command that runs nothing can do without

        seconds = self._seconds
        with contextlib.suppress(OSError):
            self._said = os.dup(2)
        targets = [fd for fd in (self._said, self._log) if fd >= 0]
        self._is_over = over = threading.Event()
        words = "".join(f"{shlex.quote(line)} " for line in self._lines([_UNKNOWN]))
        to = " ".join(f"/proc/{self._process}/fd/{fd}" for fd in targets)
        command = f"for to in {to}; do printf '%s\\n' {words}>> $to; done"
        self._alarm = Alarm(command, seconds + _WORDS_SECONDS, self.exit_code, seconds + _END_SECONDS)
        if targets:
            faulthandler.dump_traceback_later(seconds + _STACKS_SECONDS, file=targets[-1])
        with contextlib.suppress(RuntimeError):  # no more threads: the alarm will do
            threading.Thread(target=self._watch, args=(over, targets), name="heyhi-grace", daemon=True).start()

    def pause(self) -> None:
        """Stop the seconds, until the end of the interpreter."""
        self._is_over.set()
        if self._alarm is not None:
            faulthandler.cancel_dump_traceback_later()
            self._alarm.stop()
            self._alarm = None
        if self._said >= 0:
            os.close(self._said)
            self._said = -1

    def _watch(self, over: threading.Event, targets: Sequence[int]) -> None:
        """End the process when its seconds have passed, and say what has kept it."""
        if over.wait(self._seconds):
            return
        try:
            self._end(targets)
        finally:
            os._exit(self.exit_code)

    def _end(self, targets: Sequence[int]) -> None:
        from heyhi.job.holding import what_holds  # most processes end by themselves

        holding = what_holds()
        text = "".join(f"{line}\n" for line in self._lines(holding.lines)).encode(errors="backslashreplace")
        for target in targets:
            with contextlib.suppress(OSError):
                os.write(target, text)
        _end(holding.children)
        # One of its streams may be locked by what hangs.
        flushing = threading.Thread(target=flush_all, daemon=True)
        with contextlib.suppress(RuntimeError):
            flushing.start()
            flushing.join(_FLUSH_SECONDS)

    def _lines(self, what: Sequence[str]) -> list[str]:
        when = f"{self._seconds:g} s after its run ({self._limit})"
        return [f"this process had not ended {when}, and is ended; what kept it:", *(f"  {line}" for line in what)]


def _end(children: Sequence[int]) -> None:
    """End child processes."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sign)
        until = time.monotonic() + _CHILDREN_SECONDS
        while any(map(_lives, children)) and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)


def _lives(pid: int) -> bool:
    """Return whether a process is there; one that nobody has waited for yet counts as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"
