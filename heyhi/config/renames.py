"""The earlier names of what is in the protos: `was: a, b` in the comment of a field, enum value or message.

They are read from the comments when the protos are compiled (`was_lines`), and kept in the compiled descriptors as an
option, so that they go wherever a schema goes and cost nothing where there are none. What is written with the first
names is decided by `keys` and `overrides`; configs that moved are left to `moved`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    OneofDescriptor,
)
from google.protobuf.message import Message

# What can have had another name; a oneof and an enum can, too.
Named = FieldDescriptor | OneofDescriptor | EnumValueDescriptor | Descriptor | EnumDescriptor
Pair = tuple[str, str]  # an earlier name, and the one of today
_Named = TypeVar("_Named", bound=FieldDescriptor | OneofDescriptor | EnumValueDescriptor)
_OPTION = 70707  # number of the option that holds one earlier name, in the range that nobody registers
TAG = b"\x9a\xc3\x22"  # of it, as a text


def may_have_earlier_names(file_set: bytes) -> bool:
    """Return whether something in compiled protos may have had another name; False is certain."""
    return TAG in file_set


def earlier_names(one: Named) -> tuple[str, ...]:
    """Return the names that something in the protos had before, the first one first."""
    if not one.has_options:
        return ()
    return names_in(one.GetOptions())


def names_in(options: Message) -> tuple[str, ...]:
    """Return the earlier names that the options of something in the protos hold."""
    from google.protobuf.unknown_fields import UnknownFieldSet  # hardly anything has options

    found: Iterable[Any] = UnknownFieldSet(options)  # type: ignore[assignment]  # the stubs lack that it is iterable
    return tuple(option.data.decode() for option in found if option.field_number == _OPTION)


def first_name(one: Named) -> str:
    """Return the name that something in the protos first had."""
    return next(iter(earlier_names(one)), str(one.name))


def once_named(ones: Iterable[_Named], name: str) -> _Named | None:
    """Return the one that had a name before, None where none had."""
    return next((one for one in ones if name in earlier_names(one)), None)


def renamed_text(old: str, new: str) -> str:
    """Say that something has another name by now."""
    return f"{old} was renamed: {new}"
