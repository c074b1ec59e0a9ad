"""Summing up metrics files again and again while they grow: reading goes on where it had come to.

What comes out is what a fresh reading gives. A file is read from its beginning where it was cut or replaced, or where
several attempts have written to it: a later one may strike what was read before.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.experiment.directions import Directions
from heyhi.experiment.metrics import Summary
from heyhi.experiment.metrics_file import Damage, OpenedMetrics, Place, add_lines, sum_up
from heyhi.experiment.records import Start

_MOST = 2_000  # files of which it is remembered how far they were read; others are read from the beginning
_SEEN_BYTES = 4096  # at the begin of a file and before a place, by which it is known again


class _Known(NamedTuple):
    """How far a file was read.

    Attributes:
        file: device and number of it.
        place: to which it was read.
        seen: checksum of some of what is before that.
        summary: of all before it.
        damage: in all before it.
    """

    file: tuple[int, int]
    place: Place
    seen: int
    summary: Summary
    damage: Damage


class FollowedMetrics:
    """The metrics files that are summed up again and again; those of one block are read anew each time.

    Args:
        directions: of the project.
    """

    def __init__(self, directions: Directions) -> None:
        self._directions = directions
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def sum_up(self, path: Path | str, starts: Sequence[Start], damage: Damage) -> Summary:
        """Sum up the metrics that count, as `metrics_file.sum_up` does.

        Args:
            path: of the file.
            starts: of the experiment's attempts.
            damage: takes in which lines can't be read.

        Raises:
            ResultError: it can't be read.
        """
        name = str(path)
        with OpenedMetrics(path, damage.note_cut) as file:
            if not file.is_small and not file.may_be_struck(starts):
                return self._go_on(name, file, damage)
        self._known.pop(name, None)
        return sum_up(path, starts, self._directions, damaged=damage, cut=damage.note_cut)

    def _go_on(self, name: str, file: OpenedMetrics, damage: Damage) -> Summary:
        known = self._known.get(name)
        if known is not None and not _is_same(file, known):
            known = None
        summary = Summary(self._directions) if known is None else known.summary.copy()
        if known is not None:
            damage.copy_from(known.damage)

        def note(place: Place) -> None:
            before = Damage()
            before.copy_from(damage)
            self._known[name] = _Known(file.number, place, _seen(file, place), summary.copy(), before)
            self._known.move_to_end(name)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

        for _, number, data in file.pieces(damage, None if known is None else known.place, note):
            add_lines(summary, number, data, damage, damage.note_cut)
        return summary


def _is_same(file: OpenedMetrics, known: _Known) -> bool:
    """Return whether a file still begins as it did when it was read."""
    return file.number == known.file and file.size >= known.place.read and _seen(file, known.place) == known.seen


def _seen(file: OpenedMetrics, place: Place) -> int:
    begin = max(0, place.read - _SEEN_BYTES)
    return zlib.crc32(file.bytes_at(begin, place.read - begin), zlib.crc32(file.bytes_at(0, _SEEN_BYTES)))
