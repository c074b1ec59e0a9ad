"""The log of who starts an experiment: what runners and jobs say of it past its own log, of earlier attempts as well.

A line stands between two attempts. What Slurm's jobs say is set apart by their ids.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from heyhi.files import utc_now

# What a job's script writes there, behind the job's id: that it was queued again, or why it wasn't, or why it started
# no run: a line of setup failed, its Python has no HeyHi.
AGAIN = "starts again"
NOT_AGAIN = "could not be queued again: "
SETUP, PYTHON = "setup", "python"
_MARK = "--- started again "
_MOST_BYTES, _KEPT_BYTES = 1 << 20, 1 << 16


def begin_attempt(log: Path) -> None:
    """Set what this process says from here on apart from what was said before, and bound that.

    Nothing is done where standard error is another file. Where the log takes nothing (its disk is full), what is said
    goes to standard output from here on, which is whoever has started this process.

    Args:
        log: of who starts it.
    """
    try:
        own, there = os.fstat(2), log.stat()
    except OSError:
        return
    if not os.path.samestat(own, there):
        return
    try:
        if own.st_size > _MOST_BYTES:
            with log.open("rb") as file:
                file.seek(-_KEPT_BYTES, os.SEEK_END)
                kept = file.read().partition(b"\n")[2]
            os.ftruncate(2, 0)
            os.write(2, kept)
        os.write(2, f"{_MARK}{utc_now()}, pid {os.getpid()}\n".encode() if own.st_size else b"\n")
        if os.fstat(2).st_size == 1:  # that it takes text is all that was asked
            os.ftruncate(2, 0)
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(1, 2)


def of_last_attempt(text: str) -> str:
    """Return what the last attempt has said, of a log or its end."""
    _, mark, last = f"\n{text}".rpartition(f"\n{_MARK}")
    return last.partition("\n")[2] if mark else text
