"""The value of a cell as text: numbers, means with their spread, times."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

from heyhi.text import in_line, number_text

UPDATED = "updated"  # the column of a table whose numbers are times
MISSING = "-"
_MAX_LISTED = 40  # columns that an error names
_DIGITS = 5  # of a number that says nothing of how exact it is
_MOST_DIGITS = 12  # of a mean, however small its spread
_PLAIN = (-5, 7)  # powers of ten between which a mean needs no exponent


def mean_text(mean: Any, spread: Any, n: int | None = None, wanted: int | None = None, *, sign: str = " ± ") -> str:
    """Write a mean with its spread: `0.9130 ± 0.0042 (2/3)`.

    The spread has two digits that count, and the mean ends at the same place; a mean of one value has five digits.

    Args:
        mean: None where there is none.
        spread: None where there is none.
        n: how many values count.
        wanted: how many there should be; it is said where there are fewer.
        sign: stands between the two.
    """
    of_how_many = f" ({n}/{wanted})" if n is not None and wanted is not None and n < wanted else ""
    return f"{_pair_text(mean, spread, sign)}{of_how_many}"


def _pair_text(mean: Any, spread: Any, sign: str) -> str:
    if not isinstance(mean, (int, float)) or isinstance(mean, bool):
        return value_text(mean)
    if spread is None or not math.isfinite(spread) or not math.isfinite(mean):
        beside = "" if spread is None else f"{sign}{number_text(spread, '.2g')}"
        return f"{number_text(mean, f'.{_DIGITS}g')}{beside}"
    if spread == 0:
        return f"{number_text(mean, f'.{_DIGITS}g')}{sign}0"
    top = max(_power(mean, _DIGITS), _power(spread, 2))
    places = 1 - _power(spread, 2)  # behind the point
    if top + places >= _MOST_DIGITS:
        return f"{mean:.{_MOST_DIGITS}g}{sign}{spread:.2g}"
    if _PLAIN[0] < top < _PLAIN[1]:
        return f"{_rounded(mean, places)}{sign}{_rounded(spread, places)}"
    # As text, since neither 10^-320 nor what is divided by it is a number that can be computed with.
    one, other = _shifted(mean, top, places + top), _shifted(spread, top, places + top)
    return f"({one}{sign}{other})e{top:+03d}"


def _power(value: float, digits: int) -> int:
    """Return the power of ten of the first of some digits, once the number is rounded to these."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _rounded(value: float, places: int) -> str:
    return format(value, f".{places}f") if places >= 0 else format(round(value, places), ".0f")


def _shifted(value: float, power: int, places: int) -> str:
    from decimal import Decimal

    return format(Decimal(value).scaleb(-power), f".{max(places, 0)}f")


def value_text(value: Any, limit: int | None = None) -> str:
    """Return the text that people read for a value: in one line, and `-` for what is missing.

    Args:
        value: of a cell.
        limit: characters after which it is cut.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number_text(value, f".{_DIGITS}g")
    text = str(value)
    if limit is not None and len(text) > limit:
        text = f"{text[: limit - 1]}…"
    return in_line(text)


def listed(names: Sequence[str]) -> str:
    """Write the names of columns, of very many the first ones."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{in_line(', '.join(names[:_MAX_LISTED]))}{more}"


def moment(seconds: Any) -> datetime.datetime | None:
    """Return a time in seconds since 1970 with its zone, UTC; None for what is none."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not math.isfinite(seconds):
        return None
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):  # a file system's clock may say anything
        return None


def with_times(column: str, value: Any) -> Any:
    """Return a value of a column, as a text with its zone where it is a time: `2026-11-28T11:20:00+00:00`."""
    time = moment(value) if column == UPDATED else None
    return value if time is None else time.isoformat(timespec="seconds")
