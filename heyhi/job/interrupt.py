"""Ctrl-C, SIGTERM or SIGHUP in a run of Snakemake: what runs here is told once and waited for, by a second one killed.

Snakemake's own way is another one: its event loop drops a Ctrl-C that comes while it works, a run that the terminal
has not told (of `kill -INT`) is waited for as long as it takes, as is each after a SIGTERM, and the end reads as an
error. How jobs of Slurm's end is the executor's business, see executor.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from heyhi.console.noise import INTERRUPTED, SHUTTING_DOWN
from heyhi.experiment.processes import children_of, kill_started_since, send, ticks
from heyhi.job.ending import TWICE_SECONDS
from heyhi.job.engine_jobs import EngineJobs
from heyhi.sweep.engine import is_other_engine

# What is taken here, and what it does where nobody has changed that.
_USUALLY: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,  # a terminal that is closed
}
# So long the terminal's own Ctrl-C may take to end what it reaches, before the others are told.
_TERMINAL_SECONDS = 0.5
_LOOK_SECONDS = 0.2
# What is ended at once has so long to write down that it was.
_RECORD_SECONDS = 2.0


class Interrupted(SystemExit, KeyboardInterrupt):
    """A signal, which ends this process with its exit code, without a traceback; code that lets Ctrl-C pass lets it."""


class Interrupt:
    """What Ctrl-C, SIGTERM and SIGHUP do in a run of Snakemake; to be made where its Snakefile is read.

    Where something else has changed what one of them does (`nohup`, a shell for what it runs in the background), that
    stays, as in the processes that Snakemake starts of itself.

    Args:
        workflow: Snakemake's object of that name.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._engine_jobs: EngineJobs | None = None
        self._since: int | None = None  # when the first run may have started, in clock ticks
        self._interrupted_at: float | None = None
        self._by = signal.SIGINT  # what came first
        self._is_hurried, self._is_over = threading.Event(), threading.Event()
        is_main = workflow.is_main_process and threading.current_thread() is threading.main_thread()
        self._has_taken = []
        for sign, usual in _USUALLY.items():
            if is_main and signal.getsignal(sign) is usual:
                signal.signal(sign, self._handle)
                self._has_taken.append(sign)

    def begin(self) -> None:
        """Note that experiments are run from here on: for `onstart`."""
        self._since = ticks()
        # By now Snakemake has a handler of its own, which waits for what runs as long as it takes. HeyHi's own executor
        # lets its jobs go on; those of another engine are cancelled its way, as by Ctrl-C.
        is_other = is_other_engine(self._workflow)
        is_ours = self._workflow.local_exec or is_other
        for sign in (signal.SIGTERM, signal.SIGHUP):
            if is_ours and sign in self._has_taken:
                signal.signal(sign, self._handle)
        executor = getattr(self._workflow.scheduler, "_executor", None)
        if is_other and executor is not None:
            self._engine_jobs = EngineJobs(executor)

    @property
    def is_cut_off(self) -> bool:
        """Whether a signal was why not all was run."""
        executor = getattr(self._workflow.scheduler, "_executor", None)
        return self._interrupted_at is not None or getattr(executor, "left_by", None) is not None

    @property
    def hands_over(self) -> bool:
        """Whether it was, and another Snakemake of the same launch is to go on."""
        return bool(getattr(getattr(self._workflow.scheduler, "_executor", None), "hands_over", False))

    def end(self) -> None:
        """End this process where a signal was why not all was run: for `onerror`, when all else is done.

        Raises:
            Interrupted: so it was.
        """
        self._is_over.set()
        executor = getattr(self._workflow.scheduler, "_executor", None)
        left_by = getattr(executor, "left_by", None)
        if left_by is not None:
            raise Interrupted(128 + left_by)
        if self._interrupted_at is not None:
            for sign in self._has_taken:  # the exit code is told; an impatient one changes nothing more
                signal.signal(sign, signal.SIG_IGN)
            _say(f"stopped by {_name(self._by)}; the same command goes on")
            raise Interrupted(128 + self._by)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._since is None:  # nothing runs yet
            _say(f"stopped by {_name(number)}; nothing was started")
            raise Interrupted(128 + number)
        if self._interrupted_at is None:
            self._interrupted_at, self._by = now, signal.Signals(number)
            drop_what_is_said()
            if self._workflow.local_exec:
                _Ending(self._since, self._by, self._is_hurried, self._is_over).start()
            if self._engine_jobs is None or not self._engine_jobs.put_off(self._leave):
                self._leave()
        # While jobs are cancelled, nothing must end that half-way: they would go on, and nobody would say so.
        if now >= self._interrupted_at + TWICE_SECONDS:
            self._is_hurried.set()

    def _leave(self) -> None:
        raise Interrupted(128 + self._by)


class _Ending(threading.Thread):
    """The end of the runs of this machine.

    Args:
        since: when the first of them may have started, in clock ticks.
        sign: what they are told.
        is_hurried: that they are to be ended at once.
        is_over: that none is left to be told.
    """

    def __init__(self, since: int, sign: signal.Signals, is_hurried: threading.Event, is_over: threading.Event) -> None:
        super().__init__(name="heyhi-interrupt", daemon=True)
        self._since = since
        self._sign = sign
        self._is_hurried = is_hurried
        self._is_over = is_over

    def run(self) -> None:
        """Tell each of them once; kill what is left some time after it was told to hurry."""
        if self._is_hurried.wait(_TERMINAL_SECONDS):
            return self._kill()
        told: set[int] = set()
        while not self._is_over.is_set():
            new = _runs() - told
            told |= new
            if new:
                _say(f"{_name(self._sign)}: waiting for {_count(new)} to end (again, and {_one(new)} killed)")
            for pid in new:  # one that was told with its group as well takes both for one
                send(pid, self._sign)
            if self._is_hurried.wait(_LOOK_SECONDS):
                return self._kill()
        return None

    def _kill(self) -> None:
        for pid in _runs():
            send(pid, self._sign)
        deadline = time.monotonic() + _RECORD_SECONDS
        while (left := _runs()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if left:
            _say(f"{_name(self._sign)}: {_count(left)} {_are(left)} killed")
        kill_started_since(self._since)


def drop_what_is_said() -> None:
    """Have Snakemake's logger drop what it says of a Ctrl-C: that is said here in other words."""
    from snakemake.logging import logger

    def is_news(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith((INTERRUPTED, SHUTTING_DOWN))

    logger.addFilter(is_news)


def _runs() -> set[int]:
    """Return the process ids of what runs below the shells that Snakemake has started."""
    return {run for shell in children_of(os.getpid()) if _is_of_session(shell) for run in children_of(shell)}


def _is_of_session(pid: int) -> bool:
    """Return whether a process is of this one's session; the one that keeps the table fresh isn't, and runs nothing."""
    with contextlib.suppress(OSError):
        return os.getsid(pid) == os.getsid(0)
    return False


def _name(number: int) -> str:
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def _count(runs: set[int]) -> str:
    return f"{len(runs)} run{'s' * (len(runs) > 1)}"


def _are(runs: set[int]) -> str:
    return "are" if len(runs) > 1 else "is"


def _one(runs: set[int]) -> str:
    return "they are" if len(runs) > 1 else "it is"


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)
