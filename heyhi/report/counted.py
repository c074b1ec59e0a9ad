"""Which experiments count in means, and which there should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Counted:
    """Which experiments count in means.

    Attributes:
        counts: for each row, whether its results do.
        twins: rows whose experiment stands in another row, too, under another name, and counts there.
    """

    counts: Sequence[bool]
    twins: frozenset[int] = frozenset()

    def of(self, places: Iterable[int]) -> list[int]:
        """Return those of some rows whose results count."""
        return [place for place in places if self.counts[place]]

    def wanted(self, places: Iterable[int]) -> list[int]:
        """Return those of some rows that there should be, less twins."""
        return [place for place in places if place not in self.twins]
