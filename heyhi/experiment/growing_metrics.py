"""The metrics that count of one experiment, read again and again while its file grows: each time only what is new.

What comes out is exactly what a reading from the begin brings. So only whole blocks are taken for good, which any
reading has alike; what follows them is read each time. A file that was written anew, or was cut, is begun anew, and so
is one of which something doesn't count any more that was taken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from heyhi.experiment.abandoned import Limits, Logged
from heyhi.experiment.metrics_file import BEGIN, Opened, Place, bounds_of
from heyhi.experiment.records import Start

_MARK_BYTES = 256  # before a place, by which it is seen whether the file is the one that was read


class Taker(Protocol):
    """What takes lines."""

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Take the next lines."""

    def thin(self) -> None:
        """Make what was taken small."""


T = TypeVar("T", bound=Taker)


class GrowingMetrics(Generic[T]):
    """Read the metrics of one experiment on from where they were read last.

    Args:
        make: makes what takes the lines.
        copied: makes another one of it, which goes on by itself.
    """

    def __init__(self, make: Callable[[], T], copied: Callable[[T], T]) -> None:
        self._make, self._copied = make, copied
        self._begin()

    def _begin(self) -> None:
        self._place, self._mark = BEGIN, b""
        self._bounds: list[int] = []
        self._taken = self._make()
        self._striking = _Striking()

    @property
    def taken(self) -> T | None:
        """What is kept for the next reading; None where that begins anew, as in short files."""
        return self._taken if self._place.read else None

    def read(self, path: Path | str, starts: Sequence[Start]) -> T:
        """Return what has taken all lines that count now, and takes no others.

        Args:
            path: of the file; where there is none, there are no metrics.
            starts: of the experiment's attempts.

        Raises:
            ResultError: it can't be read.
        """
        try:
            with Opened(path) as file:
                return self._read(file, bounds_of(starts), is_struck=file.may_be_struck(starts))
        except BaseException:
            self._begin()  # some of a block may have been taken
            raise

    def _read(self, file: Opened, bounds: Sequence[int], *, is_struck: bool) -> T:
        place = self._place
        if not (
            place.read
            and file.size >= place.read
            and self._mark == _mark(file, place)
            and self._bounds == [bound for bound in bounds if bound <= place.read]
            and self._striking.is_on == is_struck
        ):
            self._begin()
        if is_struck and not self._striking.look(file, bounds, self._place):
            striking = self._striking  # it has looked at all of the file, and need not do so again
            self._begin()
            self._striking = striking
        taken, behind = self._taken, self._place
        for piece in file.pieces(begin=self._place):
            if piece.behind is None and taken is self._taken:
                taken = self._copied(taken)
            for part, lines in file.parts_of(piece, bounds):
                if kept := self._striking.kept(part, lines):
                    taken.add(kept)
            if piece.behind is not None:
                taken.thin()  # as any reading does at this place, and to hold little
                behind = piece.behind
        result = taken if taken is not self._taken else self._copied(taken)
        if is_struck and behind != self._striking.place:  # it was cut meanwhile
            self._begin()
        elif behind is not self._place:
            self._place, self._mark = behind, _mark(file, behind)
            self._bounds = [bound for bound in bounds if bound <= behind.read]
        return result


class _Striking:
    """What later attempts have struck of earlier ones, where there are several.

    Attributes:
        is_on: whether there are.
        place: up to which was looked for good.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.place = BEGIN
        self._logged = Logged()
        self._parts: list[int] = []
        self._limits: dict[int, Limits] = {}

    def look(self, file: Opened, bounds: Sequence[int], place: Place) -> bool:
        """Look at what is new; return whether what was taken still counts.

        Args:
            file: of the metrics.
            bounds: of the attempts.
            place: up to which was looked before.
        """
        self.is_on = True
        logged, parts = self._logged, self._parts
        for piece in file.pieces(begin=place):
            self.place = piece.behind or self.place
            if piece.behind is None and logged is self._logged:
                logged, parts = copy.deepcopy(logged), list(parts)
            for part, lines in file.parts_of(piece, bounds):
                if part not in parts[-1:]:
                    parts.append(part)
                    logged.begin_attempt()
                logged.add(lines)
        known, self._limits = self._limits, dict(zip(parts, logged.limits(), strict=True))
        return not place.read or all(limits == known.get(part, {}) for part, limits in self._limits.items())

    def kept(self, part: int, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what counts of some lines."""
        return self._logged.kept(lines, self._limits.get(part, {})) if self.is_on else lines


def _mark(file: Opened, place: Place) -> bytes:
    """Return what is the same as long as what was read of a file is."""
    return file.identity + file.read_at(max(place.read - _MARK_BYTES, 0), place.read)
