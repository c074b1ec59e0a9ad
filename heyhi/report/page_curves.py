"""The learning curves of a page: thinned out to what a screen shows, and their numbers packed."""

from __future__ import annotations

import base64
import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Positions: TypeAlias = NDArray[np.intp]

POINTS = 300  # of a learning curve, beside its extremes: more than a screen shows
# What may count a curve's progress, the usual one first; all else that is a number is a metric.
X_KEYS = ("step", "global_step", "iteration", "iter", "update", "epoch", "samples", "tokens", "seconds", "time")
MAX_EXACT = 2**53  # JavaScript's numbers hold no larger integers
_FLOAT32 = (1e-37, 3e38)  # what 32 bits hold in full precision


class Arrays:
    """The numbers of all curves, each array once: seeds and metrics mostly share their steps.

    Attributes:
        packed: the arrays; the first letter of each tells the type of the rest, in base64.
    """

    def __init__(self) -> None:
        self.packed: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, values: Floats, *, exact: bool = False) -> int:
        """Add an array if it is new, and return its number."""
        text = _packed(values, exact)
        number = self._numbers.setdefault(text, len(self.packed))
        if number == len(self.packed):
            self.packed.append(text)
        return number


def _packed(values: Floats, exact: bool) -> str:
    """Write numbers in the smallest of three types that changes nothing a plot could show, or nothing at all."""
    import numpy as np

    kind, dtype = "d", "<f8"
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not exact and (not sizes.size or (sizes.min() > _FLOAT32[0] and sizes.max() < _FLOAT32[1])):
        kind, dtype = "f", "<f4"
    if len(values) and np.isfinite(values).all() and (values == np.rint(values)).all():
        top = np.abs(values).max()
        if top < 2**31:
            kind, dtype = "i", "<i4"
        elif top < MAX_EXACT:
            kind, dtype = "d", "<f8"  # a time stamp or a count of tokens needs its last digits
    return kind + base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")


def thinned(lines: Sequence[Mapping[str, object]], points: int, arrays: Arrays) -> list[dict[str, Any]]:
    """Thin out one experiment's curves.

    Args:
        lines: of its metrics file.
        points: how many points of a curve are kept, beside its extremes and its end.
        arrays: to which the numbers are added.

    Returns:
        one dict for each set of lines that hold the same metrics: `x` and `y`, each name -> array's number.
    """
    import numpy as np

    if not lines:
        return []
    columns = _numbers(lines)
    x = {key: columns.pop(key) for key in X_KEYS if key in columns}
    # Metrics that are logged at the same lines share their x, and what is kept of it.
    sets: dict[bytes, list[str]] = {}
    for name, (where, _) in columns.items():
        sets.setdefault(where.tobytes(), []).append(name)
    found = []
    for names in sets.values():
        where = columns[names[0]][0]
        kept = _kept([columns[name][1] for name in names], points)
        positions = {key: _at(where[kept], *values, len(lines)) for key, values in x.items()}
        if not positions:
            positions = {"line": (where[kept] + 1).astype(np.float64)}
        found.append(
            {
                "x": {key: arrays.add(values, exact=True) for key, values in positions.items()},
                "y": {name: arrays.add(np.asarray(columns[name][1][kept])) for name in names},
            }
        )
    return found


def _numbers(lines: Sequence[Mapping[str, object]]) -> dict[str, tuple[Positions, Floats]]:
    """Return for each key the lines where it is a number, and the numbers."""
    import numpy as np

    everywhere = np.arange(len(lines))
    columns = {}
    for key, values in _by_key(lines):
        where = everywhere
        # One look at the types decides for all lines; only a mixed column is gone through one by one.
        if set(map(type, values)) - {float, int}:
            where = np.array([i for i, v in enumerate(values) if isinstance(v, int | float)], dtype=np.intp)
            values = [values[i] for i in where]
        if len(where):
            columns[str(key)] = (where, _floats(values))
    return columns


def _by_key(lines: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, list[Any]]]:
    """Turn lines into columns, None where a line lacks a key; fast where all lines have the same keys."""
    if set(map(len, lines)) == {len(lines[0])}:
        with contextlib.suppress(KeyError):
            yield from [(key, list(map(itemgetter(key), lines))) for key in lines[0]]
            return
    for key in dict.fromkeys(key for line in lines for key in line):
        yield key, [line.get(key) for line in lines]


def _floats(values: list[Any]) -> Floats:
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


def _kept(metrics: Sequence[Floats], points: int) -> Positions:
    """Choose positions: evenly spaced ones, each metric's extremes, and where it first isn't finite."""
    import numpy as np

    count = len(metrics[0])
    if count <= points:
        return np.arange(count)
    kept = [np.linspace(0, count - 1, points).round().astype(np.intp)]
    for values in metrics:
        finite = np.isfinite(values)
        if finite.all():
            kept.append(np.array([values.argmin(), values.argmax()]))
            continue
        first_bad = int(finite.argmin())
        kept.append(np.array([max(first_bad - 1, 0), first_bad]))
        if finite.any():
            inner = np.where(finite, values, np.nan)
            kept.append(np.array([np.nanargmin(inner), np.nanargmax(inner)]))
    return np.unique(np.concatenate(kept))


def _at(wanted: Positions, where: Positions, values: Floats, count: int) -> Floats:
    """Return values at some lines, NaN where a line has none."""
    import numpy as np

    if len(where) == count:
        return values[wanted]
    full = np.full(count, np.nan)
    full[where] = values
    return full[wanted]
