"""The numbers of a page's curves, packed into texts."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heyhi.report.decimation import Floats

MAX_EXACT = 2**53  # JavaScript's numbers hold no larger integers
_FLOAT32 = (1e-37, 3e38)  # what 32 bits hold in full precision


class Arrays:
    """The numbers of all curves, each array once: seeds and metrics mostly share their steps.

    Attributes:
        packed: the arrays.
    """

    def __init__(self) -> None:
        self.packed: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, packed: str) -> int:
        """Add a packed array if it is new, and return its number."""
        number = self._numbers.setdefault(packed, len(self.packed))
        if number == len(self.packed):
            self.packed.append(packed)
        return number


def packed_axis(values: Floats) -> str:
    """Write numbers in full precision: as their steps where these are few, which takes a fifth.

    Returns:
        as `packed`, or `1` or `2` (bytes of an integer) and in base64: the first value and a unit, of 64 bits each,
        and by how many units each value is larger than the one before (the first by none).
    """
    return _packed_axis(values.tobytes())


@lru_cache(maxsize=64)  # most experiments of a sweep have the same steps
def _packed_axis(data: bytes) -> str:
    import numpy as np

    values = np.frombuffer(data, np.float64)
    if len(values) > 2 and values[0] >= 0 and values[-1] < MAX_EXACT:
        steps = np.zeros(len(values))
        with np.errstate(invalid="ignore"):  # of infinities there is no difference
            np.subtract(values[1:], values[:-1], out=steps[1:])
        halves = 2 * values  # the mean of the steps of a bucket mostly ends in .5
        # What never decreases from the first to the last is finite.
        if (steps >= 0).all() and (halves == np.rint(halves)).all():
            unit = max(int(np.gcd.reduce((2 * steps).astype(np.int64))), 1) / 2
            top = steps.max() / unit
            if top < 1 << 16:
                kind, dtype = ("1", "<u1") if top < 1 << 8 else ("2", "<u2")
                head = np.array([values[0], unit], "<f8").tobytes()
                return kind + _base64(head + (steps / unit).astype(dtype).tobytes())
    return packed(values, exact=True)


def packed(values: Floats, *, exact: bool = False) -> str:
    """Write numbers in the smallest of three types that changes nothing a plot could show, or nothing at all.

    Returns:
        `f`, `d` or `i` (floats of 32 and 64 bits, integers of 32), and their bytes in base64.
    """
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
    return kind + _base64(values.astype(dtype).tobytes())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
