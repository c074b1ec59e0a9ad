"""Lines of metrics as columns of numbers."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.experiment.metric_line import ATTEMPT, FACTS, TIME, is_written_by_log

if TYPE_CHECKING:
    from heyhi.report.decimation import Floats, Positions

_MOST_LEVELS = 50  # of dicts in dicts that are looked into
_NUMBERS = frozenset({int, float})


class Column(NamedTuple):
    """A metric in some lines.

    Attributes:
        where: places of the lines that have it, ascending.
        values: what it is there.
    """

    where: Positions
    values: Floats

    def at(self, where: Positions) -> Floats:
        """Return the values at some lines, NaN where one has none."""
        import numpy as np

        if self.where is where or np.array_equal(self.where, where):
            return self.values
        places = np.searchsorted(self.where, where).clip(max=len(self.where) - 1)
        return np.where(self.where[places] == where, self.values[places], np.nan)


def columns_of(lines: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Column], Column | None]:
    """Return for each metric the lines in which it is a number, and the numbers; nested ones by dotted names.

    Returns:
        the metrics; when `heyhi.log` has written which of the lines, None where it was none of them.
    """
    import numpy as np

    parts: dict[str, list[Column]] = {}
    _gather(parts, lines, np.arange(len(lines)), "", _MOST_LEVELS)
    columns = {name: found[0] if len(found) == 1 else _merged(found) for name, found in parts.items()}
    return (columns, _taken_clock(columns)) if is_written_by_log(columns) else (columns, None)


def _taken_clock(columns: dict[str, Column]) -> Column | None:
    """Take out what `heyhi.log` has said of its lines beside metrics, and return their times."""
    import numpy as np

    clock: Column | None
    if all(name not in columns or columns[name].where is columns[TIME].where for name in FACTS):  # as in most files
        clock = columns[TIME]
        for name in FACTS:
            columns.pop(name, None)
        return clock
    where = np.intersect1d(columns[TIME].where, columns[ATTEMPT].where)
    clock = Column(where, columns[TIME].at(where)) if len(where) else None
    for name in FACTS:
        if name in columns:
            column = columns.pop(name)
            is_other = ~np.isin(column.where, where)
            if is_other.any():
                columns[name] = Column(column.where[is_other], column.values[is_other])
    return clock


def _gather(
    parts: dict[str, list[Column]], lines: Sequence[Mapping[str, Any]], where: Positions, prefix: str, levels: int
) -> None:
    """Add the columns of some lines; where all have the same keys, none is gone through by itself."""
    if lines and set(map(len, lines)) == {len(lines[0])}:
        columns = None
        with contextlib.suppress(KeyError):
            columns = [(key, list(map(itemgetter(key), lines))) for key in lines[0]]
        for key, values in columns or ():
            _add(parts, f"{prefix}{key}", values, where, levels)
        if columns is not None:
            return
    found: dict[str, tuple[list[int], list[Any]]] = {}
    for place, line in enumerate(lines):
        for key, value in line.items():
            if key not in found:
                found[key] = ([], [])
            places, values = found[key]
            places.append(place)
            values.append(value)
    for key, (places, values) in found.items():
        _add(parts, f"{prefix}{key}", values, where[places], levels)


def _add(parts: dict[str, list[Column]], name: str, values: list[Any], where: Positions, levels: int) -> None:
    """Add a column of values of any kind."""
    # One look at the types decides for all lines; only a mixed column is gone through one by one.
    if _NUMBERS.issuperset(map(type, values)):
        parts.setdefault(name, []).append(Column(where, _floats(values)))
        return
    numbers = [i for i, value in enumerate(values) if isinstance(value, int | float)]
    if numbers:
        parts.setdefault(name, []).append(Column(where[numbers], _floats([values[i] for i in numbers])))
    inner = [i for i, value in enumerate(values) if isinstance(value, dict)] if levels else []
    if inner:
        _gather(parts, [values[i] for i in inner], where[inner], f"{name}.", levels - 1)


def _merged(parts: Sequence[Column]) -> Column:
    """Put together what has one name, `a.b` and `b` in `a`; of two in one line the last counts."""
    import numpy as np

    where = np.concatenate([part.where for part in parts])
    order = np.argsort(where, kind="stable")
    where, values = where[order], np.concatenate([part.values for part in parts])[order]
    is_last = np.append(where[1:] != where[:-1], True)
    return Column(where[is_last], values[is_last])


def _floats(values: Sequence[Any]) -> Floats:
    import numpy as np

    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:  # an integer beyond any float
        return np.array([_float(value) for value in values])


def _float(value: float) -> float:
    """Return a number as a float, infinite where it is an integer beyond any float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
