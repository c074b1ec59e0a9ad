"""How a rank that a search ends early takes the others along: it says so at once, and leaves even if it is kept.

Others fail as they miss it, which must not be the reason; and a `finally` of main's that waits for them, in a barrier,
would wait for ever: they are in another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Self

from heyhi.errors import ResultError
from heyhi.experiment.records import PRUNED
from heyhi.files import replace_file
from heyhi.job.tee import flush_all
from heyhi.job_env import REQUEUE_EXIT, node_name
from heyhi.text import shown_streams


class EarlyEnd:
    """A context around main in a rank, which the search may end.

    Args:
        note: file in which the rank says how it has ended.
        first: that of the rank that ends all.
        rank: of this process.
        seconds: that main has to be left in, once the search has ended it; 0: any number.
    """

    def __init__(self, note: Path, first: Path, rank: int, seconds: float) -> None:
        self._note, self._first = note, first
        self._rank, self._seconds = rank, seconds
        self._timer = threading.Timer(seconds, self._leave)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def announce(self, why: str) -> None:
        """Say that a search has ended this run, and why."""
        note = {"rank": self._rank, "reason": PRUNED, "exception": why, "node": node_name(), "exit_code": 0}
        with contextlib.suppress(ResultError, OSError):  # it is noted again at its end
            replace_file(self._note, json.dumps(note))
            self._first.hardlink_to(self._note)
        if self._seconds:
            self._timer.start()

    @shown_streams()
    def _leave(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            text = (
                f"main was not left within {self._seconds:g} s after its search had ended it early: all ranks are ended"
            )
            print(text, file=sys.stderr, flush=True)
            flush_all()
        os._exit(REQUEUE_EXIT)
