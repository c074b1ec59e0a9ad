"""The text of a message as protobuf's text format has it, without loading that where the message is a plain one.

A job writes the text of its config, and has no other use of `text_format`, which takes half as long to load as HeyHi.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

from heyhi.config.schema import enum_type, is_map, type_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

_ESCAPED = frozenset("\"'\\")
_ANY = "google.protobuf.Any"  # which is written as what it holds


def text_of(message: Message) -> str:
    """Return what `text_format.MessageToString(message, as_utf8=True)` does."""
    try:
        return "".join(_lines(message, ""))
    except NotImplementedError:
        from google.protobuf import text_format

        return text_format.MessageToString(message, as_utf8=True)


def _lines(message: Message, indent: str) -> Iterator[str]:
    if type_of(message).full_name == _ANY:
        raise NotImplementedError
    for field, value in message.ListFields():
        if field.is_extension or field.type == FieldDescriptor.TYPE_GROUP or is_map(field):
            raise NotImplementedError
        for one in value if field.is_repeated else (value,):
            if field.message_type is not None:
                yield f"{indent}{field.name} {{\n"
                yield from _lines(one, f"{indent}  ")
                yield f"{indent}}}\n"
            else:
                yield f"{indent}{field.name}: {_scalar(field, one)}\n"


def _scalar(field: FieldDescriptor, value: Any) -> str:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if not isinstance(value, str) or not value.isprintable() or _ESCAPED.intersection(value):
            from google.protobuf.text_encoding import CEscape

            return f'"{CEscape(value, isinstance(value, str))}"'
        return f'"{value}"'
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        known = enum_type(field).values_by_number.get(value)
        return known.name if known is not None else str(value)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return "true" if value else "false"
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        from heyhi.config.singles import shortest_single  # many schemas have none

        return str(shortest_single(value, least=6))
    return str(value)
