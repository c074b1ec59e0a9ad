"""Which experiments count in means, and which there should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.experiment.names import Status
from heyhi.quick_dataclass import dataclass
from heyhi.report import where
from heyhi.report.cells import is_none

if TYPE_CHECKING:
    import pandas as pd


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


def counting(table: pd.DataFrame, conditions: Sequence[str] = ()) -> list[bool]:
    """Return for each experiment of a table whether its results count in means.

    Those that are DONE do; where a condition is on the status, all that were chosen by it and have any result yet.
    Excluded ones don't, but where a condition is on that.
    """
    asked = {meaning.key for text in conditions for meaning in where.readings(text) if meaning.key in table.columns}
    excluded = table["excluded"].tolist() if "excluded" in table and "excluded" not in asked else None
    if "status" not in table:
        return _less([True] * len(table), excluded)
    statuses = table["status"].tolist()
    if "status" not in asked:
        return counted_by(statuses, excluded)
    is_done = counted_by(statuses, None)
    return _less([own or some for own, some in zip(is_done, _has_results(table), strict=True)], excluded)


def counted_by(statuses: Sequence[str], excluded: Sequence[Any] | None) -> list[bool]:
    """Return for each experiment whether its results count by themselves: it is DONE, and not excluded.

    Args:
        statuses: of each.
        excluded: whether each is; None: none is.
    """
    done = Status.DONE.value  # as text: there may be 10,000
    return _less([status == done for status in statuses], excluded)


def _less(counts: list[bool], excluded: Sequence[Any] | None) -> list[bool]:
    if excluded is None:
        return counts
    return [own and flag is not True for own, flag in zip(counts, excluded, strict=True)]


def _has_results(table: pd.DataFrame) -> list[bool]:
    """Return for each experiment of a table whether anything came out of it yet."""
    begun = [status != Status.NOT_STARTED for status in table["status"].tolist()]
    names = table.attrs.get("metrics")
    if names is None:
        return begun
    columns = [table[name].tolist() for name in names if name in table]
    return [has and any(not is_none(c[place]) for c in columns) for place, has in enumerate(begun)]
