"""How a process ended that has left no record of that, in words: alone, as a rank, or as one of several in a job."""

from __future__ import annotations

import contextlib
import re
import signal
from collections import deque
from datetime import datetime
from pathlib import Path

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import Start
from heyhi.files import read_end

_NAMES = {int(sign): sign.name for sign in signal.Signals}
_LOG_END = 100_000  # bytes of a log in which the stacks of a crash are looked for
_CLOCK_SECONDS = 2.0  # by which the clock of a file system may be behind
# What faulthandler writes when a signal kills the process, and what may follow: the stacks of its threads.
_CRASHES = {
    "Segmentation fault": signal.SIGSEGV,
    "Aborted": signal.SIGABRT,
    "Bus error": signal.SIGBUS,
    "Illegal instruction": signal.SIGILL,
    "Floating point exception": signal.SIGFPE,
    "Floating-point exception": signal.SIGFPE,
}
_CRASH = re.compile(rf"^Fatal Python error: ({'|'.join(_CRASHES)})$", re.MULTILINE)
_STACK = re.compile(r'|Current thread 0x.*|Thread 0x.*|  File ".*|  <.*>|  \.\.\.|Extension modules: .*')


def signal_text(number: int) -> str:
    """Name a signal that has ended a process."""
    return f"signal {number} ({_NAMES[number]})" if number in _NAMES else f"signal {number}"


def exit_text(code: int) -> str:
    """Say how a process ended that has left no word.

    Args:
        code: its exit code: where a signal has killed it, as subprocess has it, or a shell.
    """
    number = -code if code < 0 else code - 128
    if number > 0 and number in _NAMES:
        return signal_text(number)
    return f"exit code {code}" if code else "exit code 0, before main returned"


def is_exit(text: str) -> bool:
    """Return whether a reason says how a process ended, so that its exit code adds nothing."""
    return re.match(r"(rank \d+(?: on \S+)?: |exit code \d|signal \d)", text) is not None


def crash_of(folder: ExperimentDir, start: Start) -> str:
    """Return by which signal the last run of an experiment has crashed, by what its log ends with; else empty.

    Only where it has left no end: what crashes may be one of its children.

    Args:
        folder: of the experiment.
        start: of that run: what is older isn't its.
    """
    found = _crash_at_end(read_end(folder.log_path, _LOG_END))
    if found is None:
        return ""
    with contextlib.suppress(OSError, ValueError):
        if folder.log_path.stat().st_mtime + _CLOCK_SECONDS < datetime.fromisoformat(start.time).timestamp():
            return ""
    return signal_text(_CRASHES[found[1]])


def said_before_crash(log: Path) -> str:
    """Return the end of a log, without the stacks of a crash behind it."""
    text = read_end(log, _LOG_END)
    found = _crash_at_end(text)
    return text if found is None else text[: found.start()]


def _crash_at_end(text: str) -> re.Match[str] | None:
    """Return where a log tells of a crash, if there are but stacks behind that."""
    found = deque(_CRASH.finditer(text), 1)
    return found[0] if found and all(map(_STACK.fullmatch, text[found[0].end() :].splitlines())) else None
