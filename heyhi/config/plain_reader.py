"""Reads the text of a plain message without protobuf's `text_format`, which takes a command half its time to load.

Plain is what most configs are: names, numbers, texts without escapes, enums, messages in braces, comments. What is
anything else, or wrong in any way, is left to protobuf, which has the words for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from heyhi.config.schema import enum_type, is_map, oneof_of, type_of
from heyhi.regex import regex

if TYPE_CHECKING:
    from google.protobuf.message import Message

# A token, or blanks and comments, or one character that is in no plain text.
_TOKEN = regex(
    r"""(?P<blank>[ \t\n]+|\#[^\n]*\n?)|(?P<text>"[^"\\\n]*"|'[^'\\\n]*')(?!["'])|(?P<mark>[{}:])"""
    r"""|(?P<word>[A-Za-z_]\w*)(?![\w.+-])|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.])"""
    r"""|(?P<other>[\s\S])""",
)
_BOOLS = {"true": True, "false": False}
_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_INTS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)
_DEEPEST = 50  # messages in one another; protobuf allows more
_Tokens = Iterator[tuple[str, str]]


class _NotPlain(Exception):
    """A text has something that is left to protobuf."""


def read_plain(text: str, message: Message) -> bool:
    """Read a text into an empty message, as `text_format.Parse` does.

    Returns:
        whether it could; if not, the message is empty, and nothing was said of the text.
    """
    tokens = ((str(one.lastgroup), one[0]) for one in _TOKEN.finditer(text) if one.lastgroup != "blank")
    try:
        _read(tokens, message, type_of(message), 0)
    except (_NotPlain, ValueError, TypeError):  # protobuf's own check of a value says the latter two
        message.Clear()
        return False
    return True


def _read(tokens: _Tokens, message: Message, kind: Descriptor, depth: int) -> None:
    """Read fields up to the brace that closes their message, or to the end of the text."""
    if depth > _DEEPEST or kind.full_name == "google.protobuf.Any":
        raise _NotPlain
    seen: set[str] = set()
    for what, name in tokens:
        if name == "}" and depth:
            return
        field = kind.fields_by_name.get(name) if what == "word" else None
        if field is None or is_map(field) or field.type == FieldDescriptor.TYPE_GROUP:
            raise _NotPlain
        oneof = oneof_of(field)
        place = name if oneof is None else f"{oneof.name}="
        if place in seen and not field.is_repeated:  # twice, or beside another member of its oneof
            raise _NotPlain
        seen.add(place)
        what, token = next(tokens, ("", ""))
        is_message = field.message_type is not None
        if token == ":":
            what, token = next(tokens, ("", ""))
        elif not is_message:
            raise _NotPlain
        if is_message:
            if token != "{" or what != "mark":
                raise _NotPlain
            inner = getattr(message, name).add() if field.is_repeated else getattr(message, name)
            if not field.is_repeated:
                inner.SetInParent()
            _read(tokens, inner, type_of(inner), depth + 1)
        elif field.is_repeated:
            getattr(message, name).append(_scalar(field, what, token))
        else:
            setattr(message, name, _scalar(field, what, token))
    if depth:
        raise _NotPlain  # the text ends before the message


def _scalar(field: FieldDescriptor, what: str, token: str) -> Any:
    kind = field.cpp_type
    if field.type == FieldDescriptor.TYPE_STRING and what == "text":
        return token[1:-1]
    if kind == FieldDescriptor.CPPTYPE_BOOL and what == "word" and token in _BOOLS:
        return _BOOLS[token]
    if kind == FieldDescriptor.CPPTYPE_ENUM and what == "word":
        value = enum_type(field).values_by_name.get(token)
        if value is not None:
            return value.number
    if what == "number" and kind in _INTS and token.lstrip("-").isdigit():
        return int(token)
    if what == "number" and kind in _FLOATS:
        number = float(token)
        if math.isfinite(number):
            return number
    raise _NotPlain
