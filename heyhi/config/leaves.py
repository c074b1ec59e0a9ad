"""A message's leaves: the key and value of each scalar that is set in it, or that its schema gives a default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

from heyhi.config.schema import INCLUDES, element, is_map, oneof_of, set_fields, type_of
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

if TYPE_CHECKING:
    from google.protobuf.message import Message

_BARE_SEGMENT = regex(r"[A-Za-z0-9_-]+")


class _How(NamedTuple):
    """How a message is walked through: see `leaves`."""

    with_defaults: bool
    whole_lists: bool


def leaves(
    message: Message, *, with_defaults: bool = False, whole_lists: bool = False
) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    """Walk through what is set in a message, in the order of its fields.

    Args:
        message: any message.
        with_defaults: also unset scalars outside a oneof, with their default (None: there is none), and what is in
            unset messages outside a oneof.
        whole_lists: yield a list of scalars as one, and not each element; with defaults also empty lists.

    Yields:
        key, field and value of each scalar, list element and map entry; SELECT for a message with nothing in it.
    """
    yield from _leaves(message, "", _How(with_defaults, whole_lists), ())


def _leaves(
    message: Message, prefix: str, how: _How, seen: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    kind = type_of(message)
    seen = (*seen, kind.full_name)
    fields = set_fields(message)
    if how.with_defaults:
        found = {field.name: value for field, value in fields}
        fields = [(field, found.get(field.name)) for field in kind.fields]
    for field, value in fields:
        key = prefix + field.name
        if value is None:
            yield from _defaults(message, field, key, how, seen)
        elif is_map(field):
            for entry in sorted(value):
                inner = f"{key}.{quote_segment(entry_text(entry))}"
                yield from _leaf(value[entry], element(field), inner, how, seen)
        elif field.is_repeated and how.whole_lists and field.message_type is None:
            yield key, field, list(value)
        elif field.is_repeated:
            for index, one in enumerate(value):
                yield from _leaf(one, field, f"{key}.{index}", how, seen)
        else:
            yield from _leaf(value, field, key, how, seen)


def _leaf(
    value: Any, field: FieldDescriptor, key: str, how: _How, seen: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    if field.message_type is None:
        yield key, field, value
        return
    empty = True
    for leaf in _leaves(value, f"{key}.", how, seen):
        empty = False
        yield leaf
    if empty:
        from heyhi.config.special import SELECT  # an enum, whose class takes as long to make as a module to load

        yield key, field, SELECT


def _defaults(
    message: Message, field: FieldDescriptor, key: str, how: _How, seen: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    """Yield what an absent field reads as."""
    if field.is_repeated or in_oneof(field):
        if how.whole_lists and field.is_repeated and not is_map(field) and field.name != INCLUDES:
            yield key, field, []
        return
    if field.message_type is None:
        yield key, field, default_of(field)
    elif field.message_type.full_name not in seen:  # a message type inside itself would have no end
        yield from _leaves(getattr(message, field.name), f"{key}.", how, seen)


def in_oneof(field: FieldDescriptor) -> bool:
    """Return whether a field is a member of a oneof that stands in the proto."""
    return oneof_of(field) is not None


def default_of(field: FieldDescriptor) -> Any:
    """Return what an unset scalar reads as.

    Its default; without one None, but for a bool False, and for a proto3 field without presence its zero.
    """
    if field.has_default_value or not field.has_presence:
        return field.default_value
    return False if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else None


def quote_segment(text: str) -> str:
    """Write a map key as a segment of a key."""
    return text if _BARE_SEGMENT.fullmatch(text) else json.dumps(text)


def entry_text(entry: object) -> str:
    """Write a map key as text (bools as the schema writes them)."""
    return str(entry).lower() if isinstance(entry, bool) else str(entry)
