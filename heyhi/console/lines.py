"""The lines of a run, one when an experiment starts and one when it ends: written, and read again from a log."""

from __future__ import annotations

import re
import time

from heyhi.text import readable, shorten

START, DONE, QUEUED, AGAIN, TABLE, ERROR, RUN, END = "start", "done", "queued", "again", "table", "ERROR", "run", "end"
BEST, WAITS, CANARY, HELD = "best", "waits", "canary", "held back"
_WIDTH = 7  # of the longest: UNKNOWN, BLOCKED
_LONG = 500  # characters of a reason
# How one ended that has no log by which to find out more: its exp id stands there, which has no spaces.
_UNLOGGED = re.compile(r"^\d\d:\d\d:\d\d (?P<word>[A-Z_]+) +(?P<exp_id>\S+/\S+): (?P<text>.*)$")
_OWN = re.compile(r"^\d\d:\d\d:\d\d (?:[a-z]+|[A-Z_]+) ")
_SUBMITTED = re.compile(rf"^(?:\d\d:\d\d:\d\d {QUEUED} +\S+  |\S+/\S+: )job \d+$")


def line(now: float, word: str, *parts: str) -> str:
    """Write a line.

    Args:
        now: seconds since the epoch.
        word: what happened.
        parts: to whom, and what there is to say; empty ones are left out, and each is one line however it is made.
    """
    text = "  ".join(part for part in (_one_line(part) for part in parts) if part)
    return f"{clock(now)} {word:<{_WIDTH}} {text}".rstrip()


def clock(now: float) -> str:
    """Write a time of day."""
    return time.strftime("%H:%M:%S", time.localtime(now))


def day(now: float) -> str:
    """Write a date."""
    return time.strftime("%Y-%m-%d", time.localtime(now))


def unlogged(text: str) -> str | None:
    """Return `EXP_ID: why` of a line that says why an experiment without a log has ended; None of another one."""
    match = _UNLOGGED.match(text)
    if match is None:
        return None
    status = "" if match["word"] == ERROR else f"{match['word']}: "
    return f"{match['exp_id']}: {status}{match['text']}"


def is_own(text: str) -> bool:
    """Return whether a line is one of these."""
    return _OWN.match(text) is not None


def is_submission(text: str) -> bool:
    """Return whether a line says that Slurm has taken a job: ours or, where another logger is used, the executor's."""
    return _SUBMITTED.match(text) is not None


def _one_line(text: str) -> str:
    return shorten(" ".join(readable(text).split()), _LONG)
