"""The cyclic garbage collector, paused while all that is made is kept: modules that are loaded, a sweep's configs."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_USUAL = gc.get_threshold()
_RARELY = (20_000, *_USUAL[1:])  # new objects


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


def collect_rarely() -> None:
    """Leave alone what there is, and walk over what is made only when that is much, until `collect_as_usual`."""
    gc.freeze()
    gc.set_threshold(*_RARELY)


def collect_as_usual() -> None:
    """Leave alone what there is by now, and walk over the rest as before; does nothing where that wasn't put off."""
    if gc.get_threshold() == _RARELY:
        gc.freeze()
        gc.set_threshold(*_USUAL)


class Pause:
    """The same for a process that ends soon, unless it turns out to run something: then nothing is looked at at all.

    What modules hold is closed at its end as ever.
    """

    def __enter__(self) -> Self:
        self._was_on = gc.isenabled()
        self._is_over = False
        gc.disable()
        return self

    def end(self) -> None:
        """Go on as before: something is run now."""
        self._is_over = True
        if self._was_on:
            gc.enable()

    def __exit__(self, *_: object) -> None:
        if not self._is_over:
            gc.freeze()  # the process ends, and its memory with it
            self.end()
