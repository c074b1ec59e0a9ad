"""Lists, messages and maps as values of overrides: what such a text writes, key by key, and how it is written again.

    key=[a,b]     key={width: 3 name: "x"}     key={key: "a" value: 1}     key=[{…}, {…}]     key+=…

How the text is split is left to `value_tree`, how an identity names what was written to `normal_form`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.keys import Key, Kind, Part, Step, child_key, entry_step, present
from heyhi.config.leaves import entry_text
from heyhi.config.schema import element, is_map, map_key, oneof_of, set_fields
from heyhi.config.value_tree import Items, Members, Node, Text, read_value
from heyhi.config.values import NULL, SELECT, cast_scalar, checked_string, describe_type, scalar_text, shorten
from heyhi.errors import OverrideError
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

_BARE = regex(r"[A-Za-z0-9_./@:+-]+")


def parts_of(
    key: Key, text: str, message: Message, *, adds: bool = False, check: Callable[[Key], None] = lambda key: None
) -> list[Part]:
    """List what the text of a composite value writes, in order.

    Args:
        key: of a list, a map or a message.
        text: of the value.
        message: in which the key starts, as it is before.
        adds: append to the list, or merge into the map or the message, and replace nothing (`key+=…`).
        check: is called with the key of each field in a message; what it raises is raised.

    Raises:
        OverrideError: the text is no value of that field.
    """
    return list(_Writer(check).parts(key, read_value(text, key.text), message, adds))


class _Writer:
    def __init__(self, check: Callable[[Key], None]) -> None:
        self._check = check

    def parts(self, key: Key, node: Node, message: Message, adds: bool) -> Iterator[Part]:
        is_new = key.kind is Kind.MESSAGE and key.steps[-1].index == -1
        made, key = pinned(key, message)
        yield from made
        if key.kind is Kind.LIST:
            items = node.items if isinstance(node, Items) else (node,) if adds else None
            if items is None:
                raise _no_value(key, node)
            if not adds:
                yield Part(key, NULL)
            yield from self._elements(key, items, length_at(key, message) if adds else 0)
        elif key.kind is Kind.MAP:
            if not adds:
                yield Part(key, NULL)
            yield from self._entries(key, node, message if adds else None)
        else:
            if not isinstance(node, Members):
                raise _no_value(key, node)
            if not adds and not is_new:
                yield Part(key, SELECT)
            yield from self._members(key, node, message if adds else None)

    def _elements(self, key: Key, items: tuple[Node, ...], length: int) -> Iterator[Part]:
        *outer, last = key.steps
        append = Step(last.field, index=-1)
        if last.field.message_type is None:
            one = Key((*outer, append), Kind.SCALAR)
            for place, node in enumerate(items):
                yield self._scalar(one, node, Key((*outer, Step(last.field, index=length + place)), Kind.SCALAR).text)
            return
        for place, node in enumerate(items, length):
            here = Key((*outer, Step(last.field, index=place)), Kind.MESSAGE)
            if not isinstance(node, Members):
                raise _no_value(here, node)
            yield Part(Key((*outer, append), Kind.MESSAGE), SELECT)
            yield from self._members(here, node, None)

    def _entries(self, key: Key, node: Node, before: Message | None) -> Iterator[Part]:
        *outer, last = key.steps
        seen: set[object] = set()
        for name, value in _pairs(key, node):
            step = entry_step(last.field, name, key.text)
            if step.entry in seen:
                raise OverrideError(f"key '{key.text}': the value has the entry '{shorten(name)}' twice", key=key.text)
            seen.add(step.entry)
            if element(last.field).message_type is None:
                here = Key((*outer, step), Kind.SCALAR)
                yield self._scalar(here, value, here.text)
                continue
            here = Key((*outer, step), Kind.MESSAGE)
            if not isinstance(value, Members):
                raise _no_value(here, value)
            if before is not None or not value.members:
                yield Part(here, SELECT)
            yield from self._members(here, value, None)

    def _members(self, key: Key, node: Members, before: Message | None) -> Iterator[Part]:
        """Yield what the fields of a message write; `before`: what they are merged into, None where all is new."""
        chosen: dict[str, str] = {}
        lengths: dict[str, int] = {}
        for member in node.members:
            here = child_key(key, member.name)
            member = member._replace(name=here.names[-1])  # of today, also where it is given by an earlier one
            self._check(here)
            field = here.steps[-1].field
            if member.name in chosen.values() or (member.name in lengths and not field.is_repeated):
                raise OverrideError(f"key '{key.text}': the value sets '{member.name}' twice", key=key.text)
            oneof = oneof_of(field)
            if oneof is not None and oneof.name in chosen:
                raise OverrideError(
                    f"key '{key.text}': the value sets '{chosen[oneof.name]}' and '{member.name}',"
                    f" of which '{oneof.name}' takes one"
                )
            if oneof is not None:
                chosen[oneof.name] = member.name
            if field.is_repeated and member.name not in lengths:
                lengths[member.name] = length_at(here, before) if before is not None and here.kind is Kind.LIST else 0
            yield from self._member(here, member.value, lengths[member.name] if field.is_repeated else 0, before)
            count = len(member.value.items) if isinstance(member.value, Items) else 1
            lengths[member.name] = lengths.get(member.name, 0) + count

    def _member(self, key: Key, value: Node, length: int, before: Message | None) -> Iterator[Part]:
        """Yield what a field in a message writes; one that is repeated may be given element by element."""
        if key.kind is Kind.LIST:
            yield from self._elements(key, value.items if isinstance(value, Items) else (value,), length)
        elif key.kind is Kind.MAP:
            yield from self._entries(key, value, before)
        elif key.kind is Kind.MESSAGE:
            if not isinstance(value, Members):
                raise _no_value(key, value)
            if not value.members and not (before is not None and is_there(key, before)):
                yield Part(key, SELECT)
            yield from self._members(key, value, before)
        else:
            yield self._scalar(key, value, key.text)

    def _scalar(self, key: Key, node: Node, shown: str) -> Part:
        if not isinstance(node, Text):
            raise OverrideError(f"key '{shown}' is {describe_type(key.field)}, not {_named(node)}")
        is_bytes = key.field.type == FieldDescriptor.TYPE_BYTES
        if key.field.type == FieldDescriptor.TYPE_STRING:
            # It is unquoted already: what is left of quotes is part of it.
            return Part(key, checked_string(node.text, shown), node.is_literal)
        return Part(key, cast_scalar(key.field, node.raw if is_bytes else node.text, shown))


def pinned(key: Key, message: Message) -> tuple[list[Part], Key]:
    """Return what makes the elements that a key appends, and the key with their indices in place of -1."""
    made: list[Part] = []
    steps: list[Step] = []
    here: Message | None = message
    for step in key.steps:
        if step.index == -1:
            made.append(Part(Key((*steps, step), Kind.MESSAGE), SELECT))
            step = Step(step.field, index=len(getattr(here, step.field.name)) if here is not None else 0)
            here = None
        elif here is not None:
            here = present(here, step) if step is not key.steps[-1] else None
        steps.append(step)
    return made, Key(tuple(steps), key.kind) if made else key


def length_at(key: Key, message: Message) -> int:
    """Return how many elements a list has."""
    here = holder(key, message)
    return len(getattr(here, key.steps[-1].field.name)) if here is not None else 0


def is_there(key: Key, message: Message) -> bool:
    """Return whether a message is set, or a map has entries."""
    here = holder(key, message)
    if here is None or key.kind is not Kind.MAP:
        return here is not None and present(here, key.steps[-1]) is not None
    return len(getattr(here, key.steps[-1].field.name)) > 0


def holder(key: Key, message: Message) -> Message | None:
    """Return the message that holds what a key leads to, None where it isn't there."""
    here: Message | None = message
    for step in key.steps[:-1]:
        here = present(here, step) if here is not None else None
    return here


def _pairs(key: Key, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the entries of a map's value: `{key: … value: …}`, a list of these, or a JSON object."""
    if isinstance(node, Items):
        for item in node.items:
            yield from _pairs(key, item)
        return
    if not isinstance(node, Members):
        raise _no_value(key, node)
    if all(member.is_quoted for member in node.members):
        yield from ((member.name, member.value) for member in node.members)
        return
    by_name = {member.name: member.value for member in node.members}
    if not {"key", "value"}.issuperset(by_name) or len(by_name) != len(node.members):
        found = ", ".join(member.name for member in node.members)
        raise OverrideError(
            f"key '{key.text}' is a map: an entry is {{key: … value: …}} or {{\"KEY\": VALUE}},"
            f" and this one has {found}"
        )
    field = key.steps[-1].field
    name = by_name.get("key") or _zero(map_key(field))
    if not isinstance(name, Text):
        raise OverrideError(f"key '{key.text}' is a map, whose keys are scalars, not {_named(name)}", key=key.text)
    yield name.text, by_name.get("value") or _zero(element(field))


def _zero(field: FieldDescriptor) -> Node:
    """Return what is meant where an entry of a map has no key or no value, as text format leaves out zeros."""
    if field.message_type is not None:
        return Members(())
    text = "" if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else scalar_text(field, field.default_value)
    return Text(text, text, is_quoted=True)


def _no_value(key: Key, node: Node) -> OverrideError:
    what = "a map" if key.kind is Kind.MAP else "a list" if key.kind is Kind.LIST else describe_type(key.field)
    form = {Kind.MAP: '{key: "KEY" value: VALUE}', Kind.LIST: "[A,B]"}.get(key.kind, "{FIELD: VALUE}")
    return OverrideError(f"key '{key.text}' is {what} and is written {form}, not {_named(node)}", key=key.text)


def _named(node: Node) -> str:
    if isinstance(node, Text):
        return f"'{shorten(node.text)}'"
    return "a list" if isinstance(node, Items) else "a message"


# --- written again ----------------------------------------------------------------------------------------------------


class Writing(NamedTuple):
    """How what is in a list or a message is written.

    Attributes:
        string: writes a string in quotes.
        scalar: writes any other scalar.
        name: names a field.
    """

    string: Callable[[str], str] = json.dumps
    scalar: Callable[[FieldDescriptor, Any], str] = scalar_text
    name: Callable[[FieldDescriptor], str] = attrgetter("name")


_AS_SHOWN = Writing()


def list_text(field: FieldDescriptor, values: Any, writing: Writing = _AS_SHOWN) -> str:
    """Write the elements of a list as a value that reads back the same: `[64,64]`.

    Args:
        field: the list.
        values: its elements.
        writing: how these are written.
    """
    return f"[{','.join(_one_text(field, value, writing) for value in values)}]"


def _one_text(field: FieldDescriptor, value: Any, writing: Writing) -> str:
    if isinstance(value, Message):
        return message_text(value, writing)
    if field.type == FieldDescriptor.TYPE_STRING:
        return bare_or_quoted(value, writing.string)
    return _quoted_scalar(field, value, writing)


def bare_or_quoted(text: str, string: Callable[[str], str] = json.dumps) -> str:
    """Write a string as an element of a list: bare where that is clear."""
    return text if _BARE.fullmatch(text) and text != NULL.value else string(text)


def _quoted_scalar(field: FieldDescriptor, value: Any, writing: Writing) -> str:
    text = writing.scalar(field, value)
    return f'"{text}"' if field.type == FieldDescriptor.TYPE_BYTES else text


def message_text(message: Message, writing: Writing = _AS_SHOWN) -> str:
    """Write a message on one line, as text format in braces: `{width: 3 name: "x"}`."""
    return f"{{{' '.join(_member_text(field, value, writing) for field, value in set_fields(message))}}}"


def _member_text(field: FieldDescriptor, value: Any, writing: Writing) -> str:
    name = writing.name(field)
    if is_map(field):
        entries = []
        for entry in sorted(value):
            key = writing.string(entry) if map_key(field).type == FieldDescriptor.TYPE_STRING else entry_text(entry)
            entries.append(f"{{key: {key} value: {_field_text(element(field), value[entry], writing)}}}")
        return f"{name}: [{','.join(entries)}]"
    if field.is_repeated:
        elements = (_field_text(field, one, writing) for one in value)
        return f"{name}: [{','.join(elements)}]"
    colon = "" if field.message_type is not None else ":"
    return f"{name}{colon} {_field_text(field, value, writing)}"


def _field_text(field: FieldDescriptor, value: Any, writing: Writing) -> str:
    if isinstance(value, Message):
        return message_text(value, writing)
    return writing.string(value) if field.type == FieldDescriptor.TYPE_STRING else _quoted_scalar(field, value, writing)
