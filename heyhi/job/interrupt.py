"""Ctrl-C in a run of Snakemake: what runs here is told once and waited for, by a second one killed.

Snakemake's own way is another one: its event loop drops a Ctrl-C that comes while it works, a run that the terminal
has not told (of `kill -INT`) is waited for as long as it takes, and the end reads as an error. How jobs of Slurm's end
is the executor's business, see executor.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from heyhi.experiment.processes import kill_started_since, ticks
from heyhi.job.ending import TWICE_SECONDS

# So long the terminal's own Ctrl-C may take to end what it reaches, before the others are told.
_TERMINAL_SECONDS = 0.5
_LOOK_SECONDS = 0.2
# What is ended at once has so long to write down that it was.
_RECORD_SECONDS = 2.0
# What Snakemake says of a Ctrl-C, and what is said here in other words.
_SAID = ("Terminating processes on user request", "Shutting down, this might take some time")


class Interrupted(SystemExit, KeyboardInterrupt):
    """Ctrl-C, which ends this process with its exit code, without a traceback; code that lets Ctrl-C pass lets it."""


class Interrupt:
    """What Ctrl-C does in a run of Snakemake; to be made where its Snakefile is read.

    Where something else has changed what Ctrl-C does (`nohup`, a shell for what it runs in the background), nothing is
    changed, nor in the processes that Snakemake starts of itself.

    Args:
        workflow: Snakemake's object of that name.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._since: int | None = None  # when the first run may have started, in clock ticks
        self._interrupted_at: float | None = None
        self._is_hurried = threading.Event()
        is_main = workflow.is_main_process and threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)

    def begin(self) -> None:
        """Note that experiments are run from here on: for `onstart`."""
        self._since = ticks()

    def end(self) -> None:
        """End this process where a signal was why not all was run: for `onerror`, when all else is done.

        Raises:
            Interrupted: so it was.
        """
        executor = getattr(self._workflow.scheduler, "_executor", None)
        left_by = getattr(executor, "left_by", None)
        if left_by is not None:
            raise Interrupted(128 + left_by)
        if self._interrupted_at is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the exit code is told; an impatient one changes nothing more
            _say("stopped by Ctrl-C; the same command goes on")
            raise Interrupted(128 + signal.SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._since is None:  # nothing runs yet
            _say("stopped by Ctrl-C; nothing was started")
            raise Interrupted(128 + number)
        if self._interrupted_at is None:
            self._interrupted_at = now
            _drop_what_is_said()
            if self._workflow.local_exec:
                _Ending(self._since, self._is_hurried).start()
            raise Interrupted(128 + number)
        # While jobs are cancelled, nothing must end that half-way: they would go on, and nobody would say so.
        if now >= self._interrupted_at + TWICE_SECONDS:
            self._is_hurried.set()


class _Ending(threading.Thread):
    """The end of the runs of this machine.

    Args:
        since: when the first of them may have started, in clock ticks.
        is_hurried: that they are to be ended at once.
    """

    def __init__(self, since: int, is_hurried: threading.Event) -> None:
        super().__init__(name="heyhi-interrupt", daemon=True)
        self._since = since
        self._is_hurried = is_hurried

    def run(self) -> None:
        """Tell each of them once; kill what is left some time after it was told to hurry."""
        if self._is_hurried.wait(_TERMINAL_SECONDS):
            return self._kill()
        told: set[int] = set()
        while True:
            new = _runs() - told
            told |= new
            if new:
                _say(f"Ctrl-C: waiting for {_count(new)} to end (again, and {_one(new)} killed)")
            for pid in new:  # one that the terminal has told as well takes both for one
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGINT)
            if self._is_hurried.wait(_LOOK_SECONDS):
                return self._kill()

    def _kill(self) -> None:
        for pid in _runs():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _RECORD_SECONDS
        while (left := _runs()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if left:
            _say(f"Ctrl-C: {_count(left)} {_are(left)} killed")
        kill_started_since(self._since)


def _runs() -> set[int]:
    """Return the process ids of what runs below the shells that Snakemake has started."""
    return {run for shell in _children(os.getpid()) for run in _children(shell)}


def _children(pid: int) -> set[int]:
    """Return the process ids of a process's children; none where it has ended, or the kernel doesn't list them."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (names are all that is asked)
            found.update(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split()))
    return found


def _count(runs: set[int]) -> str:
    return f"{len(runs)} run{'s' * (len(runs) > 1)}"


def _are(runs: set[int]) -> str:
    return "are" if len(runs) > 1 else "is"


def _one(runs: set[int]) -> str:
    return "they are" if len(runs) > 1 else "it is"


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)


def _drop_what_is_said() -> None:
    """Have Snakemake's logger drop what is said here."""
    from snakemake.logging import logger

    def is_news(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(_SAID)

    logger.addFilter(is_news)
