"""Summing up metrics files again and again while they grow: reading goes on where it had come to.

What comes out is what a fresh reading gives, to the last damaged line. A file is read from its beginning where it was
cut or replaced, or where several attempts have written to it: a later one may strike what was read before. Whoever
wants the lines themselves has `growing_metrics`.
"""

from __future__ import annotations

import contextlib
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.experiment.directions import Directions
from heyhi.experiment.metrics import Summary
from heyhi.experiment.metrics_file import BEGIN, Damage, Opened, Place, add_piece, sum_up
from heyhi.experiment.records import Start

_MOST = 2_000  # files of which it is remembered how far they were read; others are read from the beginning
_SEEN_BYTES = 4096  # at the begin of a file and before a place, by which it is known again


class _Known(NamedTuple):
    """How far a file was read.

    Attributes:
        place: to which it was read.
        seen: what is the same as long as what is before that is.
        summary: of all before it.
        damage: in all before it.
    """

    place: Place
    seen: tuple[bytes, int]
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
        with Opened(path, damage.note_cut) as file:
            if not file.is_small and not file.may_be_struck(starts):
                return self._go_on(name, file, damage)
        self._known.pop(name, None)
        return sum_up(path, starts, self._directions, damaged=damage, cut=damage.note_cut)

    def _go_on(self, name: str, file: Opened, damage: Damage) -> Summary:
        known = self._known.get(name)
        if known is not None and not (file.size > known.place.read and _seen(file, known.place) == known.seen):
            known = None
            self._known.pop(name, None)
        summary, place = Summary(self._directions), BEGIN
        if known is not None:
            summary, place = known.summary.copy(), known.place
            damage.copy_from(known.damage)
        is_kept = False
        for piece in file.pieces(damage, place):
            if piece.behind is None and not is_kept:  # what follows comes otherwise once there is more
                self._keep(name, file, place, summary, damage)
                is_kept = True
            add_piece(summary, piece, damage, damage.note_cut)
            place = piece.behind or place
        if not is_kept:
            self._keep(name, file, place, summary, damage)
        return summary

    def _keep(self, name: str, file: Opened, place: Place, summary: Summary, damage: Damage) -> None:
        known = self._known.get(name)
        if place.read and (known is None or known.place != place):
            before = Damage()
            before.copy_from(damage)
            self._known[name] = _Known(place, _seen(file, place), summary.copy(), before)
        with contextlib.suppress(KeyError):  # another thread, which reads what is long, may drop one meanwhile
            self._known.move_to_end(name)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)


def _seen(file: Opened, place: Place) -> tuple[bytes, int]:
    """Return what tells whether a file still begins as it did when it was read to a place."""
    end = file.read_at(max(0, place.read - _SEEN_BYTES), place.read)
    return file.identity, zlib.crc32(end, zlib.crc32(file.read_at(0, min(_SEEN_BYTES, place.read))))
