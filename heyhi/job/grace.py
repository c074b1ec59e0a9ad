"""The seconds that a process has to end once its run is over, and its end when they have passed.

Threads that are no daemons, functions at exit, children that are waited for and destructors may keep a process, and
with it a job and its GPUs, for ever. `holding` finds out which it is. Where even that isn't possible, since something
holds the interpreter's lock or the interpreter has ended, an `alarm` ends the process. What holds that lock may come as
soon as main has returned, so one is set before the end is put on record, too.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from heyhi.files import open_to_append
from heyhi.job.alarm import Alarm  # not late: a task may leave nothing to load it by
from heyhi.job.tee import flush_all
from heyhi.text import single_quoted

# What sets the seconds; and what does where another has the experiment by then.
SETTING, LOST = "[tool.heyhi] end_grace", "another has the experiment"
# After the grace: until all stacks are written, where nobody has said more; until that is said, and until the end.
_STACKS_SECONDS, _WORDS_SECONDS, _END_SECONDS = 4.0, 5.0, 6.0
_CHILDREN_SECONDS, _PAUSE_SECONDS = 2.0, 0.05  # for children to end by SIGTERM
_FLUSH_SECONDS = 1.0
_LOOK_SECONDS = 1.0  # between two words of who watches that Python runs
_ANY_NUMBER = 1e6  # of seconds: no timer takes much more
_UNKNOWN = "code that is no Python's, or that lets no other run"


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
        self._watching: tuple[Alarm, threading.Event] | None = None

    def watch(self, seconds: float, log: Path, result: Path) -> None:
        """End this process where no Python runs for so long, until the seconds begin.

        To write the end down may take its time: a disk that is full or slow isn't what this is for.

        Args:
            seconds: 0: any number.
            log: where to say so; standard error may be the run's still.
            result: of the run; where there is none by then, the exit code isn't 0.
        """
        if self._watching is not None or not 0 < seconds < _ANY_NUMBER:
            return
        self._seconds, self._limit = seconds, SETTING
        self._log = _open_log(log)
        targets = [self._log] if self._log >= 0 else []
        fatal = f"; [ -f {single_quoted(str(result))} ] || kill -9 {self._process}"
        alarm, over = self._new_alarm(targets, 0, fatal), threading.Event()
        self._print_stacks_later(targets)

        def run() -> None:
            while not over.wait(_LOOK_SECONDS):
                alarm.begin_again()
                self._print_stacks_later(targets)

        self._watching = alarm, over
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=run, name="heyhi-watch", daemon=True).start()
            return
        self._stop_watching()  # nobody would say that Python runs

    def _stop_watching(self) -> None:
        if self._watching is not None:
            alarm, over = self._watching
            self._watching = None
            over.set()
            alarm.stop()

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
        if self._log < 0 or log is None:
            self._log = _open_log(log)
        self._start()
        self._stop_watching()

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
        targets = self._targets()
        self._is_over = over = threading.Event()
        self._alarm = self._new_alarm(targets, self.exit_code)
        self._print_stacks_later(targets)
        with contextlib.suppress(RuntimeError):  # no more threads: the alarm will do
            threading.Thread(target=self._watch, args=(over, targets), name="heyhi-grace", daemon=True).start()

    def _print_stacks_later(self, targets: Sequence[int]) -> None:
        """Have all stacks written into the last of some descriptors, where nobody has said more by then."""
        if targets:
            faulthandler.dump_traceback_later(self._seconds + _STACKS_SECONDS, file=targets[-1])

    def _targets(self) -> list[int]:
        """Return the descriptors that it is said to."""
        with contextlib.suppress(OSError):
            self._said = os.dup(2)
        return [fd for fd in (self._said, self._log) if fd >= 0]

    def _new_alarm(self, targets: Sequence[int], exit_code: int, more: str = "") -> Alarm:
        words = "".join(f"{single_quoted(line)} " for line in self._lines([_UNKNOWN]))
        to = " ".join(f"/proc/{self._process}/fd/{fd}" for fd in targets)
        command = f"for to in {to}; do printf '%s\\n' {words}>> $to; done{more}" if to else f":{more}"
        return Alarm(command, self._seconds + _WORDS_SECONDS, exit_code, self._seconds + _END_SECONDS)

    def pause(self) -> None:
        """Stop the seconds, until the end of the interpreter."""
        self._stop_watching()
        faulthandler.cancel_dump_traceback_later()
        self._is_over.set()
        if self._alarm is not None:
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


def _open_log(log: Path | None) -> int:
    """Return a descriptor of a log; -1 where there is no file of that name."""
    with contextlib.suppress(OSError):
        if log is not None and os.path.isfile(log):  # noqa: PTH113 (never raises)
            return open_to_append(log)
    return -1


def _end(children: Sequence[int]) -> None:
    """End child processes."""
    from heyhi.experiment.processes import send  # most processes end by themselves

    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in children:
            send(pid, sign)
        until = time.monotonic() + _CHILDREN_SECONDS
        while any(map(_lives, children)) and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)


def _lives(pid: int) -> bool:
    """Return whether a process is there; one that nobody has waited for yet counts as gone."""
    from heyhi.experiment.owner import is_running

    with contextlib.suppress(PermissionError):
        return is_running(pid, 0)
    return False
