"""The elements of a text such as `a,b,range(3)`: how it is split at its commas, and what quotes are for.

An element stands between two commas, less the spaces around it. In single quotes it is what they enclose, as in a
shell; in double quotes it is a JSON string, which the field that it is for reads. Commas in brackets split nothing.
"""

from __future__ import annotations

import json

from heyhi.errors import SweepError
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

_OPENING, _CLOSING = "([{", ")]}"
_BEFORE_QUOTE = "([{<:,= \t"  # in brackets: a quote behind something else is a character like any other
_LIKE_A_CALL = regex(r"\w+\(")
_EMPTY = "write '' for an empty text"


class Element(NamedTuple):
    """One element.

    Attributes:
        text: without the spaces around it, and without single quotes.
        is_quoted: it stands for itself, and is no `range(…)` or the like.
    """

    text: str
    is_quoted: bool = False


def split_elements(text: str, where: str) -> list[Element]:
    """Split a text.

    Args:
        text: not empty.
        where: it stands, for the error.

    Raises:
        SweepError: an element is empty, or it can't be told where one ends.
    """
    found: list[Element] = []
    start = 0
    while True:
        element, end = _element(text, start, where)
        found.append(element)
        if not element.text and not element.is_quoted:
            which = "nothing stands behind the last comma" if end >= len(text) and found[1:] else "an element is empty"
            raise SweepError(f"{where}: {which}: leave the comma out, or {_EMPTY}")
        if end >= len(text):
            return found
        start = end + 1


def element_text(value: str) -> str:
    """Write a value as an element of a text that is split again: in quotes where it would be read otherwise."""
    if _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False) if "'" in value else f"'{value}'"


def _is_plain(value: str) -> bool:
    try:
        is_alone = split_elements(f"{value},x", "") == [Element(value), Element("x")]
    except SweepError:
        return False
    return is_alone and not _LIKE_A_CALL.match(value)


def _element(text: str, start: int, where: str) -> tuple[Element, int]:
    """Read the element at a place; return it, and the place of the comma behind it."""
    first = start + len(text[start:]) - len(text[start:].lstrip())
    quote = text[first : first + 1]
    if quote not in ("'", '"') or not quote:
        end = _end_of_plain(text, first, where)
        return Element(text[first:end].strip()), end
    close = _close_of(text, first)
    if close < 0:
        raise SweepError(f"{where}: a {quote} opens and isn't closed: {_as_character(text[first:])}")
    rest = text[close + 1 :]
    behind = rest.lstrip()
    if behind and not behind.startswith(","):
        raise SweepError(f"{where}: something stands behind the closing {quote}: {_as_character(text[first:])}")
    inside = text[first + 1 : close] if quote == "'" else text[first : close + 1]
    return Element(inside, is_quoted=True), close + 1 + len(rest) - len(behind)


def _close_of(text: str, start: int) -> int:
    """Return where the quote at a place is closed, -1 where it isn't."""
    if text[start] == "'":
        return text.find("'", start + 1)
    try:
        return json.JSONDecoder().raw_decode(text, start)[1] - 1
    except ValueError:
        return -1


def _as_character(rest: str) -> str:
    """Say how a text with a quote or a bracket in it is written."""
    shown = json.dumps(rest[:40].split(",", 1)[0], ensure_ascii=False)
    return f"a text with quotes or brackets in it is written {shown}"


def _end_of_plain(text: str, start: int, where: str) -> int:
    opened: list[int] = []
    position = start
    has_comma = False
    while position < len(text):
        char = text[position]
        if char in _OPENING:
            opened.append(position)
        elif char in _CLOSING and opened:
            opened.pop()
        elif char == "," and not opened:
            return position
        elif char == ",":
            has_comma = True
        elif char in "'\"" and opened and text[position - 1] in _BEFORE_QUOTE:
            position = max(position, _close_in_brackets(text, position))
        position += 1
    if opened and has_comma:
        bracket = text[opened[0]]
        raise SweepError(f"{where}: a {bracket} isn't closed: {_as_character(text[start:])}")
    return position


def _close_in_brackets(text: str, start: int) -> int:
    """Return where a quote in brackets is closed, as text format and JSON have it; -1 where it isn't."""
    position = start + 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == text[start]:
            return position
        position += 1
    return -1
