"""How rarely Python looks for garbage while Snakemake makes its graph: of millions of objects, which all stay."""

from __future__ import annotations

import atexit
import gc

_RARELY = (50_000, 20, 100)  # new objects; how many such looks until older ones are looked at, too


class RareCollection:
    """Look rarely, from the start of Snakemake's process until its first job: to look takes a seventh of its time.

    When the process ends, nothing is looked at, either, since all of its memory goes with it: that took an eighth of a
    dry run's time.
    """

    def __init__(self) -> None:
        self._usual = gc.get_threshold()
        gc.set_threshold(*_RARELY)
        atexit.register(gc.freeze)

    def end(self) -> None:
        """Look as often as usual: a run may last for weeks. What is there by now stays, and isn't looked at."""
        gc.freeze()
        gc.set_threshold(*self._usual)
