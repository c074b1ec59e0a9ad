"""32-bit floats: which a number becomes, and the number with the fewest digits that becomes one."""

from __future__ import annotations

import math

MAX_FLOAT = 3.4028235677973366e38  # what rounds to a finite 32-bit float is smaller


def to_single(number: float) -> float:
    """Round to what a 32-bit float holds."""
    held = memoryview(bytearray(4)).cast("f")  # struct does as much, and takes 0.3 ms to load
    held[0] = number
    return held[0]


def shortest_single(value: float, *, least: int = 1) -> float:
    """Return the number with the fewest digits that a 32-bit float field holds as a value: 0.1, not 0.10000000149….

    Args:
        value: that the field holds.
        least: digits that are tried; protobuf's own text has six of what is next to nothing, such as 1.4013e-45.
    """
    if math.isfinite(value):
        for digits in range(least, 10):
            short = float(f"{value:.{digits}g}")
            if abs(short) < MAX_FLOAT and to_single(short) == value:
                return short
    return value
