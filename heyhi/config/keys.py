"""Keys: how the text of one is split and found in the schema, and how a value is written to where it leads.

A key is a field's name, `message.field`, `list.0`, `list.-1`, `map.entry`, `map."odd.entry"`, or a oneof's name. What
the text of a value means to it is left to `overrides` and `values`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from heyhi.config.leaves import entry_text, quote_segment
from heyhi.config.renames import Pair, first_name, once_named
from heyhi.config.schema import element, field_named, is_map, map_key, message_type, oneof_named, oneof_of, real_oneofs
from heyhi.config.values import (
    INTEGER,
    NULL,
    SELECT,
    Scalar,
    Value,
    cast_scalar,
    checked_string,
    describe_type,
    listed,
    shorten,
)
from heyhi.errors import OverrideError, suggest
from heyhi.quick_dataclass import dataclass
from heyhi.quick_dataclass import field as _attribute
from heyhi.quick_tuple import NamedTuple

_MAX_SEGMENTS = 90  # protobuf reads no message that is nested deeper than 100 levels
_MAX_KEYS = 5000  # that are looked through for a near one


class Kind(enum.Enum):
    """What a key leads to."""

    SCALAR = "scalar"
    MESSAGE = "message"
    LIST = "list"
    MAP = "map"
    ONEOF = "oneof"


@dataclass(frozen=True)
class Step:
    """One part of a key: a field, and what of it where it is a list or a map."""

    field: FieldDescriptor
    index: int | None = None  # of a list; -1 appends
    entry: Any = None  # of a map, cast to the type of its keys
    has_entry: bool = False

    @cached_property
    def text(self) -> str:
        """The step as a key writes it."""
        if self.index is not None:
            return f"{self.field.name}.{self.index}"
        if self.has_entry:
            return f"{self.field.name}.{quote_segment(entry_text(self.entry))}"
        return str(self.field.name)

    @cached_property
    def first_text(self) -> str:
        """The step as an identity writes it: by the name that the field first had."""
        return first_name(self.field) + self.text[len(self.field.name) :]

    @cached_property
    def oneof(self) -> str | None:
        """Name of the oneof of which the field is a member."""
        found = oneof_of(self.field)
        return found.name if found is not None else None


@dataclass(frozen=True)
class Key:
    """A key that was found in the schema.

    Attributes:
        steps: fields from the message on, in order; for a oneof, those that lead to the message that holds it.
        kind: what it leads to.
        oneof: name of the oneof, where it leads to one.
        choices: that oneof's members.
        first_oneof: the name that the oneof first had.
        renamed: earlier names by which it was found, each with the one of today.
    """

    steps: tuple[Step, ...]
    kind: Kind
    oneof: str = ""
    choices: tuple[FieldDescriptor, ...] = ()
    first_oneof: str = ""
    renamed: tuple[Pair, ...] = _attribute(default=(), compare=False)  # the same by whatever names it was found

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the oneof's members, where it leads to one."""
        return tuple(field.name for field in self.choices)

    def member(self, name: str) -> Key:
        """Return the key of a member of the oneof to which it leads."""
        field = next(field for field in self.choices if field.name == name)
        return Key((*self.steps, Step(field)), Kind.SCALAR if field.message_type is None else Kind.MESSAGE)

    def chosen(self, message: Message) -> str | None:
        """Return which member of the oneof to which it leads a message has, None where it has none."""
        here: Message | None = message
        for step in self.steps:
            here = present(here, step) if here is not None else None
        return here.WhichOneof(self.oneof) if here is not None else None

    @cached_property
    def text(self) -> str:
        """The key as an override writes it."""
        parts = [step.text for step in self.steps]
        return ".".join([*parts, self.oneof] if self.oneof else parts)

    @cached_property
    def first_text(self) -> str:
        """The key as an identity writes it: by the names that its fields first had."""
        parts = [step.first_text for step in self.steps]
        return ".".join([*parts, self.first_oneof] if self.oneof else parts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of its fields, without indices and entries."""
        return tuple(step.field.name for step in self.steps)

    @cached_property
    def parts(self) -> tuple[Key, ...]:
        """Keys of the messages that lead to where it leads, outermost first, and itself."""
        outer = (Key(self.steps[:count], Kind.MESSAGE) for count in range(1, len(self.steps)))
        return (*outer, self)

    @cached_property
    def field(self) -> FieldDescriptor:
        """Field whose values it takes: the last one, or the values of a map's last one."""
        last = self.steps[-1]
        return element(last.field) if last.has_entry else last.field

    @cached_property
    def apply(self) -> Callable[[Message, Value], None]:
        """Function that writes a cast value to where the key leads in a message of the type in which it was found."""
        plain = all(s.index is None and not s.has_entry for s in self.steps)
        if not plain or self.kind is not Kind.SCALAR:
            return self._apply
        *parents, last = self.names

        def write(message: Message, value: Value) -> None:
            if value is NULL:
                self._clear(message)
                return
            for name in parents:
                message = getattr(message, name)
            setattr(message, last, value)

        return write

    def reach(self, message: Message) -> Message:
        """Return the message that the key leads to, made where it is absent (an index of -1 appends one)."""
        for step in self.steps:
            message = self._enter(message, step)
        message.SetInParent()
        return message

    def _apply(self, message: Message, value: Value) -> None:
        if value is NULL:
            self._clear(message)
            return
        if value is SELECT:
            self.reach(message).Clear()
            return
        if self.oneof:  # the value names a member, which is left as it is where it is chosen
            self.member(str(value)).reach(message)
            return
        for step in self.steps[:-1]:
            message = self._enter(message, step)
        last = self.steps[-1]
        if last.has_entry:
            getattr(message, last.field.name)[last.entry] = value
        elif last.index is None:
            setattr(message, last.field.name, value)
        else:
            container = getattr(message, last.field.name)
            if last.index in (-1, len(container)):
                container.append(value)
            else:
                container[self._checked(last.index, container)] = value

    def _clear(self, message: Message) -> None:
        found: Message | None = message
        for step in self.steps if self.oneof else self.steps[:-1]:
            found = present(found, step) if found is not None else None
        if found is None:
            return  # nothing is made on the way: what is absent is clear
        if self.oneof:
            found.ClearField(self.oneof)
            return
        last = self.steps[-1]
        if last.has_entry:
            getattr(found, last.field.name).pop(last.entry, None)
        elif last.index is not None:
            container = getattr(found, last.field.name)
            del container[self._checked(last.index, container)]
        else:
            found.ClearField(last.field.name)

    def _enter(self, message: Message, step: Step) -> Message:
        """Go one step down to a message, made where it is absent."""
        child = getattr(message, step.field.name)
        if step.has_entry:
            child = child[step.entry]
        elif step.index is not None:
            fresh = step.index in (-1, len(child))
            child = child.add() if fresh else child[self._checked(step.index, child)]
        assert isinstance(child, Message)
        return child

    def _checked(self, index: int, container: Any) -> int:
        if not 0 <= index < len(container):
            raise OverrideError(
                f"key '{self.text}': the list has {len(container)} elements:"
                f" use an index up to {len(container)}, or -1 to append"
            )
        return index


class Part(NamedTuple):
    """One write of a composite value.

    Attributes:
        key: where it goes.
        value: a scalar, NULL or SELECT.
        is_literal: whether braces in a string are no template.
    """

    key: Key
    value: Value
    is_literal: bool = False


def is_composite(key: Key) -> bool:
    """Return whether what a key holds is no scalar, but written by its parts."""
    return key.kind in (Kind.LIST, Kind.MAP, Kind.MESSAGE)


def present(message: Message, step: Step) -> Message | None:
    """Go one step down to a message that is there, None where it isn't."""
    found: Message
    if step.has_entry:
        entries = getattr(message, step.field.name)
        if step.entry not in entries:
            return None
        found = entries[step.entry]
    elif step.index is not None:
        elements = getattr(message, step.field.name)
        if not 0 <= step.index < len(elements):
            return None
        found = elements[step.index]
    elif message.HasField(step.field.name):
        found = getattr(message, step.field.name)
    else:
        return None
    return found


def value_at(message: Message, key: Key) -> Any:
    """Return what a message holds at a key that leads to a field, None where it doesn't."""
    here: Message | None = message
    for step in key.steps[:-1]:
        here = present(here, step) if here is not None else None
    return getattr(here, key.names[-1]) if here is not None else None


def find_key(message: Descriptor, key: str) -> Key:
    """Find a key in a message type; a field that was renamed also by its earlier names.

    Raises:
        OverrideError: no such key; the message names the nearest ones.
    """
    here: Descriptor | None = message
    steps: list[Step] = []
    renamed: list[Pair] = []
    segments = split_key(key)
    if len(segments) > _MAX_SEGMENTS:
        raise OverrideError(
            f"key '{shorten(key)}': has {len(segments)} parts; at most {_MAX_SEGMENTS} are allowed", key=key
        )
    position = 0
    while position < len(segments):
        name, is_quoted = segments[position]
        position += 1
        if here is None:
            last = steps[-1]
            kind = describe_type(element(last.field) if last.has_entry else last.field)
            raise OverrideError(f"unknown key '{shorten(key)}': '{_text(steps)}' is {kind} and has no fields", key=key)
        field = None if is_quoted else field_named(here, name)
        if field is None:
            oneof = None if is_quoted else oneof_named(here, name)
            if field is None and oneof is None and not is_quoted:
                field, oneof = field_once_named(here, name), oneof_once_named(here, name)
                renamed += [(name, one.name) for one in (field, oneof) if one is not None]
            if oneof is not None:
                return _oneof_key(oneof, key, steps, renamed, is_last=position == len(segments))
        if field is None:
            raise _unknown(here, key, steps, name)
        if not field.is_repeated:
            steps.append(Step(field))
            here = field.message_type
            continue
        if position == len(segments):
            return Key((*steps, Step(field)), Kind.MAP if is_map(field) else Kind.LIST, renamed=tuple(renamed))
        text, _ = segments[position]
        position += 1
        steps.append(entry_step(field, text, key) if is_map(field) else _index_step(field, text, key))
        here = element(field).message_type
    return Key(tuple(steps), Kind.MESSAGE if here is not None else Kind.SCALAR, renamed=tuple(renamed))


def field_once_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    """Return a message type's field that had a name before, None where none had."""
    return once_named(message.fields, name)


def oneof_once_named(message: Descriptor, name: str) -> OneofDescriptor | None:
    """Return a message type's oneof that had a name before, None where none had."""
    return once_named(message.oneofs, name)


def _oneof_key(
    oneof: OneofDescriptor, key: str, steps: Sequence[Step], renamed: Sequence[Pair], *, is_last: bool
) -> Key:
    """Return the key that a oneof's name ends; nothing can follow it."""
    if not is_last:
        members = listed(f.name for f in oneof.fields)
        raise OverrideError(
            f"unknown key '{shorten(key)}': '{oneof.name}' is a oneof; its members are keys: {members}", key=key
        )
    return Key(tuple(steps), Kind.ONEOF, oneof.name, tuple(oneof.fields), first_name(oneof), tuple(renamed))


def child_key(key: Key, name: str) -> Key:
    """Return the key of a field in the message that a key leads to.

    Raises:
        OverrideError: it has no such field, or lies too deep; the message names the nearest one.
    """
    here = message_type(key.field)
    field = field_named(here, name) or field_once_named(here, name)
    if len(key.steps) >= _MAX_SEGMENTS:
        raise OverrideError(f"key '{shorten(key.text)}.…': is nested deeper than {_MAX_SEGMENTS} levels")
    if field is None:
        oneof = oneof_named(here, name)
        if oneof is not None:
            members = listed(f.name for f in oneof.fields)
            raise OverrideError(f"key '{key.text}.{name}' is a oneof: in a value, a member of it is set: {members}")
        raise _unknown(here, f"{key.text}.{name}", list(key.steps), name)
    if field.is_repeated:
        kind = Kind.MAP if is_map(field) else Kind.LIST
    else:
        kind = Kind.SCALAR if field.message_type is None else Kind.MESSAGE
    return Key((*key.steps, Step(field)), kind)


def entry_step(field: FieldDescriptor, text: str, key: str) -> Step:
    """Return the part of a key that leads to a map's entry.

    Raises:
        OverrideError: the text is no key of that map.
    """
    kind = map_key(field)
    # A string is taken as it stands: split_key has unquoted it already.
    is_text = kind.cpp_type == FieldDescriptor.CPPTYPE_STRING
    try:
        entry: Scalar = checked_string(text, key) if is_text else cast_scalar(kind, text, key)
    except OverrideError:
        if is_text:
            raise
        raise OverrideError(
            f"key '{shorten(key)}': '{field.name}' is a map, and '{shorten(text)}' is no key of it: expected"
            f" {describe_type(kind)}"
        ) from None
    return Step(field, entry=entry, has_entry=True)


def _index_step(field: FieldDescriptor, text: str, key: str) -> Step:
    if not INTEGER.fullmatch(text) or len(text) > 10 or int(text) < -1:
        raise OverrideError(
            f"key '{shorten(key)}': '{field.name}' is a list: expected an index (0 is the first, -1 appends),"
            f" not '{shorten(text)}'"
        )
    return Step(field, index=int(text))


def _unknown(here: Descriptor, key: str, steps: list[Step], name: str) -> OverrideError:
    holder = f"'{_text(steps)}'" if steps else here.name
    names = [f.name for f in here.fields] + [o.name for o in real_oneofs(here)]
    hint = suggest(name, names, f"{_text(steps)}.") if steps else suggest(key, schema_keys(here))
    rest = key.partition(".")[2]
    if not steps and rest.partition(".")[0] in names:
        hint = f" (keys start below the task: '{rest}')"
    hint = hint or (f" (it has: {listed(sorted(names))})" if names else "")
    at_fault = f"{_text(steps)}.{name}" if steps else key
    return OverrideError(f"unknown key '{shorten(key)}': {holder} has no field '{shorten(name)}'{hint}", key=at_fault)


def _text(steps: Iterable[Step]) -> str:
    return ".".join(step.text for step in steps)


def schema_keys(message: Descriptor, limit: int = _MAX_KEYS) -> list[str]:
    """List the keys of a message type (fields and oneofs; list elements and map entries have none), parents first."""
    keys: list[str] = []
    todo: list[tuple[str, Descriptor, tuple[str, ...]]] = [("", message, (message.full_name,))]
    while todo and len(keys) < limit:
        prefix, here, seen = todo.pop(0)
        keys += [f"{prefix}{o.name}" for o in real_oneofs(here)]
        for field in here.fields:
            keys.append(f"{prefix}{field.name}")
            inner = field.message_type
            if inner is not None and not field.is_repeated and inner.full_name not in seen:
                todo.append((f"{prefix}{field.name}.", inner, (*seen, inner.full_name)))
    return keys


def mounts(message: Descriptor, limit: int = _MAX_KEYS) -> list[str]:
    """List the keys of a message type that a chunk can be included at: messages, and oneofs that have some."""

    def is_mount(key: str) -> bool:
        here: Descriptor | None = message
        *parents, last = key.split(".")
        for name in parents:
            field = field_named(here, name) if here is not None else None
            here = field.message_type if field is not None and not field.is_repeated else None
        if here is None:
            return False
        field, oneof = field_named(here, last), oneof_named(here, last)
        if field is None and oneof is not None:
            return any(one.message_type is not None for one in oneof.fields)
        return field is not None and not field.is_repeated and field.message_type is not None

    return [key for key in schema_keys(message, limit) if is_mount(key)]


def split_key(key: str) -> list[tuple[str, bool]]:
    """Split a key at its dots.

    Returns:
        each segment, and whether it was quoted.

    Raises:
        OverrideError: a segment is empty, or quoted and no JSON string.
    """
    segments: list[tuple[str, bool]] = []
    position = 0
    while position <= len(key):
        if key.startswith('"', position):
            try:
                value, end = json.JSONDecoder().raw_decode(key, position)
            except ValueError:
                raise OverrideError(f"key '{shorten(key)}': the quoted part is no JSON string", key=key) from None
            if end < len(key) and key[end] != ".":
                raise OverrideError(f"key '{shorten(key)}': expected '.' or '=' after the quoted part", key=key)
            segments.append((value, True))
        else:
            end = key.find(".", position)
            end = len(key) if end < 0 else end
            if end == position:
                raise OverrideError(f"key '{shorten(key)}': there is an empty part", key=key)
            segments.append((key[position:end], False))
        position = end + 1
    return segments


def prefixes(key: Key) -> Iterator[str]:
    """Yield every key that a key lies inside, and itself."""
    parts: list[str] = []
    for step in key.steps:
        parts.append(step.field.name)
        yield ".".join(parts)
        if step.text != step.field.name:
            parts[-1] = step.text
            yield ".".join(parts)
    if key.oneof:
        yield key.text


def lists(key: Key) -> list[str]:
    """Name the lists that a key goes through or into."""
    found: list[str] = []
    parts: list[str] = []
    for step in key.steps:
        if step.field.is_repeated and not is_map(step.field):
            found.append(".".join([*parts, step.field.name]))
        parts.append(step.text)
    return found


def choices(key: Key) -> list[tuple[str, str]]:
    """Name the oneofs that a key goes through, each with the member that is on its way."""
    found: list[tuple[str, str]] = []
    parts: list[str] = []
    for step in key.steps:
        if step.oneof is not None:
            found.append((".".join([*parts, step.oneof]), step.field.name))
        parts.append(step.text)
    return found


def is_replaced(earlier: Key | None, later: Key | None) -> bool:
    """Return whether what an include override merges at one mount makes way for what a later one merges at another.

    So it is at the same mount, and at another member of a oneof; a mount of None is the whole task.
    """
    if earlier is None or later is None or any(step.index == -1 for step in (*earlier.steps, *later.steps)):
        return False
    chosen = dict(choices(later))
    return earlier.text == later.text or any(chosen.get(oneof, one) != one for oneof, one in choices(earlier))


def choices_of(message: Descriptor, key: str) -> Iterator[tuple[str, str]]:
    """Yield the oneofs of which something that is set at a key chooses members, with these, outside of lists and maps.

    Args:
        message: type in which the key starts.
        key: of which some parts may be unknown there.
    """
    here: Descriptor | None = message
    prefix = ""
    for name in key.split("."):
        field = field_named(here, name) if here is not None else None
        if field is None or field.is_repeated:
            return
        oneof = oneof_of(field)
        if oneof is not None:
            yield f"{prefix}{oneof.name}", name
        here, prefix = field.message_type, f"{prefix}{name}."


def newly_made(key: Key, message: Message) -> list[Key]:
    """List the parts of a key that writing to it would choose in a oneof, or add to a list or map, outermost first."""
    made: list[Key] = []
    here: Message | None = message
    for step, part in zip(key.steps, key.parts, strict=True):
        name = step.field.name
        if step.has_entry:
            is_new = here is None or step.entry not in getattr(here, name)
        elif step.index is not None:
            is_new = here is None or step.index in (-1, len(getattr(here, name)))
        else:
            is_new = step.oneof is not None and (here is None or not here.HasField(name))
        if is_new:
            made.append(part)
        here = present(here, step) if here is not None and part is not key else None
    return made
