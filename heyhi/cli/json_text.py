"""Values as JSON that every program reads: no NaN, no half of a character, no integer that only Python has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from heyhi.regex import regex
from heyhi.text import number_text

_SURROGATE = regex("[\ud800-\udfff]")
_LEAST, _MOST = -(2**63), 2**64 - 1  # of integers as programs hold them
_DIGITS = 4300  # that Python writes of one


def to_json(value: object) -> str:
    """Write a value on a line: NaN and infinities, and integers of more than 64 bits, as strings."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(plain(value), allow_nan=False)
    # An escape in it may be half of a character, of a name that is no text.
    return json.dumps(plain(value)) if "\\ud" in text else text


def plain(value: object) -> Any:
    """Return a value as it is written: what JSON lacks as a string that says the same."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", str(value))
    if isinstance(value, int):
        return int(value) if _LEAST <= value <= _MOST else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else number_text(value, "")
    if isinstance(value, Mapping):
        return {str(plain(key if isinstance(key, str) else str(key))): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if isinstance(value, PurePath):
        return plain(str(value))
    if hasattr(value, "item") and not getattr(value, "shape", ()):  # a number of NumPy's
        return plain(value.item())
    return plain(str(value))


def _digits(value: int) -> str:
    return str(value) if value.bit_length() < 3 * _DIGITS else hex(value)
