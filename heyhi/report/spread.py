"""Means of numbers, and what stands beside one: standard error, standard deviation, or half a confidence interval."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, get_args

from heyhi.report.shaped import Spread

SPREADS: tuple[Spread, ...] = get_args(Spread)
DEFAULT_SPREAD: Spread = "se"
_CONFIDENCE = 0.95
_LARGE = 10**100  # of numbers beyond, or below its inverse, squares may be none


def mean_and_spread(values: Sequence[float], spread: Spread = DEFAULT_SPREAD) -> tuple[float | None, float | None]:
    """Return the mean of some finite numbers, and how far they spread.

    Args:
        values: the numbers.
        spread: `std` is the sample deviation; `se` that of the mean, deviation / √n; `ci95` half the width of the 95 %
            confidence interval by Student's t.

    Returns:
        (None, None) for none; no spread for a single one.
    """
    if not values:
        return None, None
    count = len(values)
    if count > 1 and min(values) == max(values):  # a sum is rounded: 0.7 ± 8e-17
        return float(values[0]), 0.0
    if all(isinstance(value, int) for value in values):
        mean, deviation = _of_integers(values)
    else:
        mean, deviation = _of_floats([float(value) for value in values])
    return mean, None if count == 1 else deviation * factor(spread, count)


def _of_integers(values: Sequence[Any]) -> tuple[float, float]:
    """Return mean and deviation of integers, exactly: no float holds each, and their differences may be small."""
    count = len(values)
    differences = [value - values[0] for value in values]
    if max(map(abs, differences)) > _LARGE:
        return _of_floats([float(value) for value in values])
    squares = count * sum(value * value for value in differences) - sum(differences) ** 2
    return sum(values) / count, math.sqrt(squares / (count * (count - 1))) if count > 1 else 0.0


def _of_floats(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and deviation; neither sums nor squares may be too large or too small for a float."""
    count, largest = len(values), max(map(abs, values))
    scale = 1.0 if not largest or 1 / _LARGE < largest < _LARGE else 2.0 ** (math.frexp(largest)[1] - 1)
    small = [value / scale for value in values]
    mean = math.fsum(small) / count
    squares = math.fsum((value - mean) ** 2 for value in small)
    return mean * scale, math.sqrt(squares / (count - 1)) * scale if count > 1 else 0.0


def is_number(value: Any) -> bool:
    """Return whether a value can be computed with; a bool can't, nor an integer that no float can hold."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_finite(value: Any) -> bool:
    """Return whether a value is a number that counts in a mean."""
    return is_number(value) and math.isfinite(value)


def factor(spread: Spread, count: int) -> float:
    """Return by what the sample deviation of some numbers, two or more, is multiplied."""
    match spread:
        case "std":
            return 1.0
        case "se":
            return 1 / math.sqrt(count)
        case "ci95":
            return student_t(_CONFIDENCE, count - 1) / math.sqrt(count)


@lru_cache(maxsize=1024)
def student_t(confidence: float, degrees: int) -> float:
    """Return the t that a Student-distributed value exceeds, either way, with the probability 1 - confidence.

    Args:
        confidence: between 0 and 1.
        degrees: of freedom, at least 1.
    """
    if degrees == 1:
        return math.tan(math.pi * confidence / 2)
    low, high = 0.0, 2.0
    while _within(high, degrees) < confidence:
        high *= 2
    return _root(lambda t: _within(t, degrees) - confidence, low, high)


def _within(t: float, degrees: int) -> float:
    """Return the probability that a Student-distributed value lies between -t and t.

    By the finite series for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    angle = math.atan(t / math.sqrt(degrees))
    squared = math.cos(angle) ** 2
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    if degrees == 1:
        return 2 * angle / math.pi
    for k in range(2 if odd else 1, degrees - 2, 2):
        term *= squared * k / (k + 1)
        total += term
    within = math.sin(angle) * total
    return 2 / math.pi * (angle + within) if odd else within


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Find where an increasing function is 0, to the last digit."""
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if function(middle) < 0:
            low = middle
        else:
            high = middle
