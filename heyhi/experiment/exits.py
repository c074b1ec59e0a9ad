"""How a process ended that has left no record of that, in words: alone, as a rank, or as one of several in a job."""

from __future__ import annotations

import contextlib
import re
import signal
from collections import deque
from datetime import datetime
from pathlib import Path

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.launch_log import of_last_attempt
from heyhi.experiment.records import Start
from heyhi.files import read_end
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

# What the shell of a run writes into its launch.log where a signal has ended that, or it ended badly and is DONE.
ENDED = "--- ended with exit code "
_ENDED = regex(rf"^{ENDED}(\d+), (\S+)$", re.MULTILINE)
_OF_SHELL = regex(r": line \d+: +(\d+) ")  # bash's own word of a process that a signal has ended, with its id
_LAUNCH_LOG_END = 20_000  # bytes in which these are looked for
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
_CRASH = regex(rf"^Fatal Python error: ({'|'.join(_CRASHES)})$", re.MULTILINE)
_STACK = regex(r'|Current thread 0x.*|Thread 0x.*|  File ".*|  <.*>|  \.\.\.|Extension modules: .*')


class ShellExit(NamedTuple):
    """How the last run that a shell has started here has ended, as that saw it.

    Attributes:
        code: its exit code, as a shell has it.
        time: when (UTC).
        pid: of its process; None where the shell hasn't said.
    """

    code: int
    time: str
    pid: int | None = None


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
        if folder.log_path.stat().st_mtime + _CLOCK_SECONDS < _seconds(start):
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


def shell_exit(folder: ExperimentDir) -> ShellExit | None:
    """Return how the shell of the last run has seen that end; None where it had nothing to say."""
    said = of_last_attempt(read_end(folder.launch_log_path, _LAUNCH_LOG_END))
    ended = list(_ENDED.finditer(said))
    if not ended:
        return None
    pids = _OF_SHELL.findall(said[: ended[-1].start()])
    return ShellExit(int(ended[-1][1]), ended[-1][2], int(pids[-1]) if pids else None)


def seen_by_shell(folder: ExperimentDir, start: Start) -> str:
    """Return how the last run of an experiment has ended, where a shell has seen that, else empty.

    Args:
        folder: of the experiment.
        start: of that run: what was seen of another one isn't its.
    """
    seen = shell_exit(folder) if not start.job_id else None
    if seen is None or seen.pid not in (None, start.pid):
        return ""
    with contextlib.suppress(ValueError):
        if datetime.fromisoformat(seen.time).timestamp() + _CLOCK_SECONDS < _seconds(start):
            return ""
    return exit_text(seen.code)


def _seconds(start: Start) -> float:
    return datetime.fromisoformat(start.time).timestamp()
