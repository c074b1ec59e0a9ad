"""The points of a metric: put after one another as they are read, and thinned out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from heyhi.report.decimation import Parts, kept_places

if TYPE_CHECKING:
    from heyhi.report.decimation import Floats, Positions


class Points(NamedTuple):
    """What is kept of a metric: its places among all that it has, their lines, and values over each axis."""

    positions: Positions
    lines: Positions
    values: Floats
    x: dict[str, Floats]

    def numbers(self) -> Floats:
        """Return the numbers of the lines, from 1, to be drawn over."""
        return (self.lines + 1).astype(float)


def thinned(points: Points, parts: Parts) -> Points:
    """Thin out what there is of a metric."""
    places = kept_places(points.values, parts)
    x = {name: values[places] for name, values in points.x.items()}
    return Points(points.positions[places], points.lines[places], points.values[places], x)


def appended(old: Points, new: Points) -> Points:
    """Put what was kept of a metric before what came after it; an axis that is new has no values before."""
    import numpy as np

    nothing = np.full(len(old.positions), np.nan)
    x = {name: np.concatenate([old.x.get(name, nothing), values]) for name, values in new.x.items()}
    return Points(
        np.concatenate([old.positions, new.positions]),
        np.concatenate([old.lines, new.lines]),
        np.concatenate([old.values, new.values]),
        x,
    )


def joined(parts: Sequence[Floats | int], count: int) -> Floats:
    """Put arrays after one another; a number stands for as many places without a value."""
    import numpy as np

    if len(parts) == 1 and not isinstance(parts[0], int):
        return parts[0]
    return np.concatenate([np.full(part, np.nan) if isinstance(part, int) else part for part in parts])
