"""Whether a launch starves: a limit on jobs is reached, and none of its own is there whose end would let one in.

What else of it takes a place, the job that is to be its next controller, may leave that then. Both are in one process.
"""

from __future__ import annotations

import threading

_STARVES = threading.Event()


def note_starving(*, starves: bool) -> None:
    """Note whether the launch of this process starves."""
    if starves:
        _STARVES.set()
    else:
        _STARVES.clear()


def is_starving() -> bool:
    """Return whether the launch of this process starved when it was looked at last."""
    return _STARVES.is_set()
