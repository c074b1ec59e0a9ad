"""The cyclic garbage collector, paused while all that is made is kept: modules, a sweep's configs, all at the end."""

from __future__ import annotations

import atexit
import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused_collection() -> Iterator[None]:
    """Keep it from walking over the same objects again and again while more of them are made."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def end_uncollected() -> None:
    """Have nothing looked through when the process ends, since all of its memory goes with it.

    For processes in which no experiment runs: what a run leaves is looked at. What modules hold is closed as ever.
    """
    atexit.register(gc.freeze)
