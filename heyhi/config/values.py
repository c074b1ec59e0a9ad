"""Scalar values: text is cast by a field's type, and each value is written back as the schema writes it.

A value in double quotes that is a JSON string stands for that string, exactly; every other text of a string field
stands for itself. Which field a value is for is left to `keys`, templates in strings to `templates`.
"""

from __future__ import annotations

import enum
import json
import math
import os
import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from heyhi.config.renames import Pair, first_name, once_named
from heyhi.config.schema import enum_type, is_name
from heyhi.config.singles import MAX_FLOAT, shortest_single, to_single
from heyhi.config.special import NULL as NULL
from heyhi.config.special import SELECT as SELECT
from heyhi.config.special import Special as Special
from heyhi.errors import OverrideError, nearest, suggest
from heyhi.regex import regex
from heyhi.text import shorten as shorten

Scalar = bool | int | float | str | bytes
# What a scalar field can hold, or what an override does with a key.
Value = Scalar | Special
INT_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1, "int32"),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1, "int64"),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1, "uint32"),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1, "uint64"),
}
_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_WHOLE = 2.0**53  # below it, each integer is a double of its own
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
INTEGER = regex(r"[+-]?[0-9]+")
_HEX = regex(r"[+-]?0[xX][0-9a-fA-F]+")
_MAX_DIGITS = 100  # of an integer: Python refuses to convert thousands, and no field holds more than 20
_ESCAPE = regex(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-3]?[0-7]{1,2})|(.)|$)", re.DOTALL)
_PLAIN_ESCAPES = dict(zip(b"abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?", strict=True))
_MAX_SHOWN_NAMES = 12
_MAX_DEPTH = 90  # of a Python list in lists: no message that is read again is deeper


class Drawn(float):
    """A number that was drawn between two whole ones: a field of whole numbers takes it rounded."""


def whole_number(text: str) -> int | None:
    """Read a whole number as a config file does: decimal, or hexadecimal behind `0x`; None where it is none.

    Raises:
        OverrideError: behind a leading 0 a file has an octal number, so one that would be another one there is refused.
    """
    stripped = text.strip()
    if _HEX.fullmatch(stripped):
        return int(stripped, 16) if len(stripped) <= _MAX_DIGITS else None
    if len(stripped) > _MAX_DIGITS or not INTEGER.fullmatch(stripped):
        return None
    number = int(stripped)
    digits = stripped.lstrip("+-")
    if digits[0] == "0" and len(digits) > 1 and abs(number) > 7:
        octal = int(stripped, 8) if set(digits) <= set("01234567") else None
        raise OverrideError(
            f"'{shorten(text)}' is {'no number' if octal is None else octal} in a config file, where a leading 0 means"
            f" octal: write {number}{'' if octal is None else f' or {octal}'}"
        )
    return number


def drawn_text(field: FieldDescriptor, value: object) -> str:
    """Write a value that a Python sweep gave for a field, as `value_text` does: for one of whole numbers it is whole.

    Raises:
        OverrideError: it is no single value.
    """
    return str(round(value)) if type(value) is Drawn and field.cpp_type in INT_RANGES else value_text(value)


def value_text(value: object) -> str:
    """Write a value that a Python sweep gave as the text that the command line would have.

    Raises:
        OverrideError: it is no single value.
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return str(value)
    if value is None:
        return NULL.value
    if isinstance(value, enum.Enum):
        return str(value.name)
    item = getattr(value, "item", None)  # NumPy's scalars
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    if isinstance(value, (list, tuple, dict)) or hasattr(value, "tolist"):
        return _composite_text(value, 0)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**_MAX_DIGITS:
        raise OverrideError("a number of more than 100 digits fits no field")
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, bytes):
        return bytes_text(value)
    if isinstance(value, (set, frozenset)):
        raise OverrideError(f"{shorten(repr(value))} is a set, which has no order: give a list, such as sorted(…)")
    if not isinstance(value, (int, os.PathLike)):
        # Its text may have an address in it, which is another one each time: no name for an experiment.
        kind = type(value).__name__
        article = "an" if kind[0] in "aeiou" else "a"
        hint = " (is it to be called?)" if callable(value) else ""
        raise OverrideError(
            f"{article} {kind} is no value of a config{hint}: expected None, a bool, a number, a text, bytes, an enum,"
            " a Path, or a list or dict of these"
        )
    return str(value)


def _composite_text(value: Any, depth: int) -> str:
    """Write a list or dict of Python's, or an array of NumPy's, as JSON, which `value_tree` reads.

    Numbers that JSON lacks are written as the command line would have them.
    """
    if depth > _MAX_DEPTH:
        raise OverrideError(f"a list or dict that is nested deeper than {_MAX_DEPTH} levels fits no field")
    if hasattr(value, "tolist"):  # NumPy's arrays, and those that are like them
        value = value.tolist()
    if isinstance(value, dict):
        members = (f"{_quoted(str(value_text(k)))}: {_part_text(v, depth)}" for k, v in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_part_text(one, depth) for one in value)}]"
    return _part_text(value, depth)


def _part_text(value: object, depth: int) -> str:
    if isinstance(value, (list, tuple, dict)) or hasattr(value, "tolist"):
        return _composite_text(value, depth + 1)
    text = value_text(value)
    if isinstance(value, bytes):
        return f'"{text}"'
    return _quoted(text) if isinstance(value, str) and not isinstance(value, enum.Enum) else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def cast_scalar(field: FieldDescriptor, text: str, key: str) -> Scalar:
    """Cast text to a field's scalar type.

    Args:
        field: its type is what counts; lists and map entries cast one element.
        text: as the command line gave it.
        key: for the error.

    Raises:
        OverrideError: wrong type or out of range.
    """
    kind = field.cpp_type
    if kind in INT_RANGES:
        return _cast_int(field, text, key)
    if kind in _FLOATS:
        return _cast_float(field, text, key)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        value = _BOOLS.get(text.strip().lower())
        if value is None:
            raise _wrong_type(field, text, key)
        return value
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _cast_enum(field, text, key)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _cast_bytes(text, key)
    return cast_string(text, key)


def _cast_int(field: FieldDescriptor, text: str, key: str) -> int:
    stripped = text.strip()
    low, high, _ = INT_RANGES[field.cpp_type]
    number: int | None
    # Nearly all are plain digits, which are recognised faster than by an expression.
    if stripped.isascii() and stripped.isdigit() and stripped[0] != "0" and len(stripped) <= _MAX_DIGITS:
        number = int(stripped)
    else:
        number = _whole_number(stripped, key)
        if number is None and not INTEGER.fullmatch(stripped):
            raise _wrong_type(field, text, key)
    if number is None or not low <= number <= high:
        kind = describe_type(field)
        raise OverrideError(f"key '{key}': {shorten(text)} is out of range for {kind}: {low} to {high}", key=key)
    return number


def _whole_number(text: str, key: str) -> int | None:
    try:
        return whole_number(text)
    except OverrideError as error:
        raise OverrideError(f"key '{key}': {error}", key=key) from None


def _cast_float(field: FieldDescriptor, text: str, key: str) -> float:
    if text.lstrip(" +-")[:1] == "0":
        _whole_number(text, key)  # no number in a file, if it has more digits
    try:
        # Python's own notations (1_000, digits of other scripts) are not the schema's.
        number = float(text if text.isascii() and "_" not in text else "")
    except ValueError:
        # A time limit is often thought of as a time.
        from heyhi.config.duration import parse_hours

        hours = parse_hours(text) if field.name == "hours" else None
        if hours is None:
            raise _wrong_type(field, text, key) from None
        number = hours
    if number != number:
        return math.nan  # there is one NaN here: its sign is no difference
    single = field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT
    overflow = abs(number) >= MAX_FLOAT if single else math.isinf(number)
    if overflow and "inf" not in text.lower():
        raise OverrideError(f"key '{key}': {shorten(text)} is out of range for {describe_type(field)}", key=key)
    return to_single(number) if single else number


def _cast_enum(field: FieldDescriptor, text: str, key: str) -> int:
    names = enum_type(field).values_by_name
    stripped = text.strip()
    if is_name(stripped) and stripped in names:
        return int(names[stripped].number)
    if (known := once_named(enum_type(field).values, stripped)) is not None:
        return int(known.number)
    number = _whole_number(stripped, key)
    if number is not None and number in enum_type(field).values_by_number:
        return number
    hint = suggest(stripped, names) if stripped else ""
    from heyhi.slips import is_slip

    near = [name for name in nearest(stripped, names)[:1] if is_slip(stripped, name)]
    raise OverrideError(
        f"key '{key}' is {describe_type(field)}, not '{shorten(text)}'{hint}",
        key=key,
        fix="".join(f"{key}={name}" for name in near),
    )


def cast_string(text: str, key: str) -> str:
    """Cast text to a string: a JSON string stands for what it says, other text for itself.

    Raises:
        OverrideError: it can't be written as UTF-8.
    """
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        text = decoded if isinstance(decoded, str) else text
    return checked_string(text, key)


def checked_string(text: str, key: str) -> str:
    """Return a string that a field can hold.

    Raises:
        OverrideError: it can't be written as UTF-8 (half of a surrogate pair, a byte that was no text).
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise OverrideError(
            f"key '{shorten(key)}': the string is no valid UTF-8: {shorten(ascii(text))}", key=key
        ) from None
    return text


def _cast_bytes(text: str, key: str) -> bytes:
    def byte(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2]:
            return bytes([int(match[2], 8)])
        if match[3] and match[3][0] in _PLAIN_ESCAPES:
            return bytes([_PLAIN_ESCAPES[match[3][0]]])
        raise OverrideError(
            f"key '{key}': bytes are written with C escapes (\\n, \\x00, \\000, \\\\), not '{shorten(text)}'"
        )

    return _ESCAPE.sub(byte, checked_string(text, key).encode())


def _wrong_type(field: FieldDescriptor, text: str, key: str) -> OverrideError:
    from heyhi.config.duration import FORMS

    hint = f" (or a time such as {FORMS})" if field.name == "hours" and field.cpp_type in _FLOATS else ""
    return OverrideError(f"key '{key}' is {describe_type(field)}{hint}, not '{shorten(text)}'", key=key)


def scalar_text(field: FieldDescriptor, value: Any) -> str:
    """Write a scalar as the schema does; `cast_scalar` reads it back to the same value."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return double_text(value)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return "true" if value else "false"
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        known = enum_type(field).values_by_number.get(value)
        return str(known.name) if known is not None else str(value)
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return double_text(shortest_single(value))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes_text(value)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return string_text(value)
    return str(value)


def double_text(value: float) -> str:
    """Write a double with the fewest digits that give it back; a whole number as an integer field would write it.

    So the names of experiments stay when an integer field becomes a double. From 2**53 on not every integer is a
    double, and no integer field has a minus zero.
    """
    text = repr(value)
    is_whole = text.endswith(".0") and -_WHOLE < value < _WHOLE and text != "-0.0"
    return text[:-2] if is_whole else text


def first_scalar_text(field: FieldDescriptor, value: Any) -> str:
    """Write a scalar as an identity does: a value of an enum by the name that it first had."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        known = enum_type(field).values_by_number.get(value)
        return first_name(known) if known is not None else str(value)
    return scalar_text(field, value)


def renamed_value(field: FieldDescriptor, text: str) -> Pair | None:
    """Return the earlier name that a text has for a value of a field's enum, with the one of today; None for none."""
    if field.cpp_type != FieldDescriptor.CPPTYPE_ENUM:
        return None
    stripped = text.strip()
    known = once_named(enum_type(field).values, stripped) if stripped not in enum_type(field).values_by_name else None
    return (stripped, known.name) if known is not None else None


def string_text(value: str) -> str:
    """Write a string so that it reads back as itself: bare where that is clear, else as JSON."""
    plain = value.isprintable() and value == value.strip() and value != NULL.value
    if plain and not value.startswith('"') and "{{" not in value:
        return value
    return json.dumps(value).replace("{{", "\\u007b\\u007b")


def bytes_text(value: bytes) -> str:
    """Write bytes with C escapes, as an override has them."""
    from google.protobuf.text_encoding import CEscape  # hardly a config has bytes

    text: str = CEscape(value, as_utf8=False)
    return "\\116ULL" if text == NULL.value else text


def describe_type(field: FieldDescriptor) -> str:
    """Name a field's type in a sentence: `a number (double)`, `one of RELU, TANH`."""
    kind = field.cpp_type
    if kind in INT_RANGES:
        return f"an integer ({INT_RANGES[kind][2]})"
    if kind in _FLOATS:
        return f"a number ({'double' if kind == FieldDescriptor.CPPTYPE_DOUBLE else 'float'})"
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return "a bool (true, false, 1, 0)"
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return f"one of {listed(value.name for value in enum_type(field).values)}"
    if field.message_type is not None:
        return f"a message ({field.message_type.name})"
    return "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "a string"


def list_text(field: FieldDescriptor, values: Iterable[Any], limit: int = 60) -> str:
    """Write a list as a person reads it; of a long one only the beginning."""
    shown = ("{…}" if field.message_type is not None else scalar_text(field, value) for value in values)
    return shorten(f"[{', '.join(shown)}]", limit)


def listed(names: Iterable[str]) -> str:
    """Write names with commas between them; of many only the first ones."""
    shown = list(names)
    return ", ".join([*shown[:_MAX_SHOWN_NAMES], *(["…"] if len(shown) > _MAX_SHOWN_NAMES else [])])
