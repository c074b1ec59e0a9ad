"""The cyclic garbage collector, paused while all that is made is kept: modules that are loaded, a sweep's configs."""

from __future__ import annotations

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


_RARELY = 20_000
_usual: list[tuple[int, int, int]] = []


def collect_rarely() -> None:
    """Leave alone what there is, and walk over what is made only when that is much, until `collect_as_usual`."""
    gc.freeze()
    _usual.append(gc.get_threshold())
    gc.set_threshold(_RARELY)


def collect_as_usual() -> None:
    """Leave alone what there is by now, and walk over the rest as before; does nothing where that wasn't put off."""
    if _usual:
        gc.freeze()
        gc.set_threshold(*_usual.pop())
