"""Owns the override grammar: keys into a message, values by field type, and both written back as text.

    key=value     list.0=value     list.-1=value     map.key=value     map."odd.key"=value
    key=NULL (clears)     key=SELECT (an empty message)     I=path     I.mount=path     Imount=path

A value in double quotes that is a JSON string stands for that string, exactly; every other string stands for itself.
"""

from __future__ import annotations

import enum
import json
import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from google.protobuf import text_encoding
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.errors import OverrideError, suggest
from heyhi.schema import real_oneofs


class Special(enum.Enum):
    """Name the two values that are no value of a field."""

    NULL = "NULL"
    SELECT = "SELECT"


NULL: Final = Special.NULL
SELECT: Final = Special.SELECT
# What a scalar field can hold, or what an override does with a key.
Value = bool | int | float | str | bytes | Special

_BARE_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_MAX_FLOAT = 3.4028235677973366e38  # what rounds to a finite 32-bit float is smaller
_INT_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1, "int32"),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1, "int64"),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1, "uint32"),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1, "uint64"),
}
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


# --- keys ---------------------------------------------------------------------------------------------------------


class Kind(enum.Enum):
    """Say what a key leads to."""

    SCALAR = "scalar"
    MESSAGE = "message"
    LIST = "list"
    MAP = "map"
    ONEOF = "oneof"


@dataclass(frozen=True)
class Step:
    """Hold one part of a key: a field, and what of it where it is a list or a map."""

    field: FieldDescriptor
    index: int | None = None  # of a list; -1 appends
    entry: Any = None  # of a map, cast to the type of its keys
    has_entry: bool = False

    @property
    def text(self) -> str:
        if self.index is not None:
            return f"{self.field.name}.{self.index}"
        return f"{self.field.name}.{quote_segment(entry_text(self.entry))}" if self.has_entry else self.field.name


@dataclass(frozen=True)
class Key:
    """Hold a key that was found in the schema.

    Attributes:
        steps: fields from the message on, in order; for a oneof, those that lead to the message that holds it.
        kind: what it leads to.
        oneof: name of the oneof, where it leads to one, and its members' names.
    """

    steps: tuple[Step, ...]
    kind: Kind
    oneof: str = ""
    members: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        """The key as an override writes it."""
        parts = [step.text for step in self.steps]
        return ".".join([*parts, self.oneof] if self.oneof else parts)

    @cached_property
    def field(self) -> FieldDescriptor:
        """Field whose values it takes: the last one, or the values of a map's last one."""
        last = self.steps[-1]
        return last.field.message_type.fields_by_name["value"] if last.has_entry else last.field

    @cached_property
    def apply(self) -> Callable[[Message, Value], None]:
        """Function that writes a cast value to a message of the type in which the key was found."""
        plain = all(s.index is None and not s.has_entry for s in self.steps)
        if plain and self.kind is Kind.SCALAR:
            parents, last = tuple(s.field.name for s in self.steps[:-1]), self.steps[-1].field.name

            def write(message: Message, value: Value) -> None:
                if value is NULL:
                    self._clear(message)
                    return
                for name in parents:
                    message = getattr(message, name)
                setattr(message, last, value)

            return write
        return self._apply

    def reach(self, message: Message) -> Message:
        """Return the message that the key leads to, made where it is absent (an index of -1 appends one)."""
        for step in self.steps:
            message = _enter(message, step, self.text)
        message.SetInParent()
        return message

    def _apply(self, message: Message, value: Value) -> None:
        last = self.steps[-1] if self.steps else None
        if value is NULL:
            self._clear(message)
        elif value is SELECT:
            self.reach(message).Clear()
        elif last is not None:
            for step in self.steps[:-1]:
                message = _enter(message, step, self.text)
            container = getattr(message, last.field.name)
            if last.has_entry:
                container[last.entry] = value
            elif last.index is None:
                setattr(message, last.field.name, value)
            elif last.index == -1 or last.index == len(container):
                container.append(value)
            else:
                container[_checked(last.index, container, self.text)] = value

    def _clear(self, message: Message) -> None:
        steps = self.steps if self.oneof else self.steps[:-1]
        for step in steps:  # on the way nothing is made: what is absent is clear
            name = step.field.name
            if step.has_entry:
                if step.entry not in getattr(message, name):
                    return
                message = getattr(message, name)[step.entry]
            elif step.index is not None:
                container = getattr(message, name)
                if step.index == -1 or step.index >= len(container):
                    return
                message = container[step.index]
            elif not message.HasField(name):
                return
            else:
                message = getattr(message, name)
        if self.oneof:
            message.ClearField(self.oneof)
            return
        last = self.steps[-1]
        container = getattr(message, last.field.name)
        if last.has_entry:
            container.pop(last.entry, None)
        elif last.index is not None:
            del container[_checked(last.index, container, self.text)]
        else:
            message.ClearField(last.field.name)


def _enter(message: Message, step: Step, key: str) -> Message:
    """Go one step down to a message, made where it is absent."""
    child = getattr(message, step.field.name)
    if step.has_entry:
        child = child[step.entry]
    elif step.index == -1:
        child = child.add()
    elif step.index is not None:
        child = child.add() if step.index == len(child) else child[_checked(step.index, child, key)]
    assert isinstance(child, Message)
    return child


def _checked(index: int | None, container: Any, key: str) -> int:
    assert index is not None
    if not 0 <= index < len(container):
        raise OverrideError(
            f"key '{key}': the list has {len(container)} elements: use an index up to {len(container)}, or -1 to append"
        )
    return index


def split_override(text: str) -> tuple[str, str]:
    """Split an override at its `=`, less a leading `--`.

    Raises:
        OverrideError: it has no `=` or nothing before it.
    """
    body = text.removeprefix("--")
    quoted = escaped = False
    for position, char in enumerate(body):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "=" and not quoted:
            if position == 0:
                raise OverrideError(f"override '{text}': there is no key before '='")
            return body[:position], body[position + 1 :]
    raise OverrideError(f"override '{text}': expected key=value (or I.mount=path for an include)")


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
                raise OverrideError(f"key '{key}': the quoted part at character {position + 1} doesn't end") from None
            if not isinstance(value, str) or (end < len(key) and key[end] != "."):
                raise OverrideError(f"key '{key}': expected '.' or '=' after the quoted part")
            segments.append((value, True))
        else:
            end = key.find(".", position)
            end = len(key) if end < 0 else end
            if end == position:
                raise OverrideError(f"key '{key}': there is an empty part (a dot too many)")
            segments.append((key[position:end], False))
        position = end + 1
    return segments


def find_key(message: Descriptor, key: str) -> Key:
    """Find a key in a message type.

    Raises:
        OverrideError: no such key; the message names the nearest ones.
    """
    here: Descriptor | None = message
    steps: list[Step] = []
    segments = split_key(key)
    position = 0
    while position < len(segments):
        name, quoted = segments[position]
        position += 1
        if here is None:
            last = steps[-1]
            raise OverrideError(
                f"key '{key}': '{last.text}' is {describe_type(last.field)} and has no field '{name}'"
            )
        field = None if quoted else here.fields_by_name.get(name)
        if field is None:
            oneof = next((o for o in real_oneofs(here) if o.name == name), None)
            if oneof is not None and position == len(segments):
                return Key(tuple(steps), Kind.ONEOF, oneof.name, tuple(f.name for f in oneof.fields))
            raise _unknown(message, key, steps, name)
        if not field.is_repeated:
            steps.append(Step(field))
            here = field.message_type
        elif position == len(segments):
            steps.append(Step(field))
            return Key(tuple(steps), Kind.MAP if is_map(field) else Kind.LIST)
        elif is_map(field):
            entry = field.message_type
            key_text, _ = segments[position]
            steps.append(Step(field, entry=_cast_entry(entry.fields_by_name["key"], key_text, key), has_entry=True))
            here = entry.fields_by_name["value"].message_type
            position += 1
        else:
            index, _ = segments[position]
            if not _INTEGER.fullmatch(index) or len(index) > 10 or int(index) < -1:
                raise OverrideError(
                    f"key '{key}': '{field.name}' is a list: expected an index (0 is the first, -1 appends), not '{index}'"
                )
            steps.append(Step(field, index=int(index)))
            here = field.message_type
            position += 1
    return Key(tuple(steps), Kind.MESSAGE if here is not None else Kind.SCALAR)


def _cast_entry(field: FieldDescriptor, text: str, key: str) -> bool | int | float | str | bytes:
    # A string is taken as it stands: split_key has unquoted it already.
    return _checked_string(text, key) if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else cast_scalar(field, text, key)


def _unknown(message: Descriptor, key: str, steps: list[Step], name: str) -> OverrideError:
    where = f"'{'.'.join(s.text for s in steps)}' has" if steps else f"{message.name} has"
    here = _last_message(message, steps)
    hint = suggest(key, schema_keys(message))
    if not hint:
        names = [f.name for f in here.fields] + [o.name for o in real_oneofs(here)]
        hint = suggest(name, names) or f" (it has: {', '.join(sorted(names)[:12])}{', …' if len(names) > 12 else ''})"
    return OverrideError(f"unknown key '{key}': {where} no field '{name}'{hint}")


def _last_message(message: Descriptor, steps: list[Step]) -> Descriptor:
    for step in steps:
        field = step.field.message_type.fields_by_name["value"] if step.has_entry else step.field
        message = field.message_type
    return message


def schema_keys(message: Descriptor, limit: int = 5000) -> list[str]:
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


def is_map(field: FieldDescriptor) -> bool:
    """Tell whether a field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def quote_segment(text: str) -> str:
    """Write a map key as a segment of a key."""
    return text if _BARE_SEGMENT.fullmatch(text) else json.dumps(text)


def entry_text(entry: Any) -> str:
    """Write a map key as text (bools as the schema writes them)."""
    return str(entry).lower() if isinstance(entry, bool) else str(entry)


# --- values -------------------------------------------------------------------------------------------------------


def value_text(value: object) -> str:
    """Write a value that a Python sweep gave as the text that the command line would have."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    if value is None:
        return NULL.value
    if isinstance(value, enum.Enum):
        return str(value.name)
    item = getattr(value, "item", None)  # NumPy's scalars
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, dict)):
        raise OverrideError(f"{value!r} is no single value: set elements by key.0, key.1, … (key.-1 appends)")
    return repr(value) if isinstance(value, float) else str(value)


def cast_value(key: Key, text: str) -> Value:
    """Cast an override's text to what its key holds.

    Raises:
        OverrideError: the text is no value of that field's type.
    """
    if text == "NULL":
        return NULL
    if key.kind is Kind.SCALAR:
        return cast_scalar(key.field, text, key.text)
    if key.kind is Kind.MESSAGE and text == "SELECT":
        return SELECT
    raise OverrideError(_not_a_scalar(key, text))


def _not_a_scalar(key: Key, text: str) -> str:
    if key.kind is Kind.ONEOF:
        before = key.text[: -len(key.oneof)]
        members = " or ".join(f"{before}{m}=…" for m in key.members[:4])
        return (
            f"key '{key.text}' is a oneof and takes no value '{shorten(text)}'{suggest(text, key.members)}:"
            f" choose a member by {members}, clear it by NULL"
        )
    if key.kind is Kind.MESSAGE:
        names = [f.name for f in key.field.message_type.fields][:4]
        inside = f"set a field of it ({', '.join(f'{key.text}.{n}' for n in names)}), " if names else ""
        return (
            f"key '{key.text}' is a message ({key.field.message_type.name}) and takes no value '{text}': {inside}"
            f"include a chunk (I.{key.text}=path), or use SELECT (an empty one) or NULL (none)"
        )
    word, example = ("map", "KEY") if key.kind is Kind.MAP else ("list", "0")
    more = "" if key.kind is Kind.MAP else f", append by {key.text}.-1=…"
    return (
        f"key '{key.text}' is a {word} and takes no value '{text}':"
        f" set an element by {key.text}.{example}=…{more}, clear it by NULL"
    )


def cast_scalar(field: FieldDescriptor, text: str, key: str) -> bool | int | float | str | bytes:
    """Cast text to a field's scalar type.

    Args:
        field: its type is what counts; lists and map entries cast one element.
        text: as the command line gave it.
        key: for the error.

    Raises:
        OverrideError: wrong type or out of range.
    """
    kind = field.cpp_type
    if kind in _INT_BITS:
        low, high, _ = _INT_BITS[kind]
        # 25 characters hold any 64-bit number; Python refuses to convert thousands of digits.
        number = int(text) if _INTEGER.fullmatch(text) and len(text) <= 25 else None
        if number is None and not _INTEGER.fullmatch(text):
            raise OverrideError(f"key '{key}' is {describe_type(field)}, not '{shorten(text)}'")
        if number is None or not low <= number <= high:
            raise OverrideError(f"key '{key}': {shorten(text)} is out of range for {describe_type(field)} ({low} to {high})")
        return number
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return _cast_float(field, text, key)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        if text.lower() not in _BOOLS:
            raise OverrideError(f"key '{key}' is {describe_type(field)}, not '{shorten(text)}'")
        return _BOOLS[text.lower()]
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _cast_enum(field, text, key)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _cast_bytes(text, key)
    return _cast_string(text, key)


def _cast_float(field: FieldDescriptor, text: str, key: str) -> float:
    try:
        number = float("x" if "_" in text else text)
    except ValueError:
        raise OverrideError(f"key '{key}' is {describe_type(field)}, not '{shorten(text)}'") from None
    single = field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT
    overflow = math.isinf(number) if not single else _MAX_FLOAT <= abs(number)
    if overflow and "inf" not in text.lower():
        raise OverrideError(f"key '{key}': {shorten(text)} is out of range for {describe_type(field)}")
    return struct.unpack("f", struct.pack("f", number))[0] if single else number


def _cast_enum(field: FieldDescriptor, text: str, key: str) -> int:
    values = field.enum_type.values_by_name
    if text in values:
        return int(values[text].number)
    if _INTEGER.fullmatch(text) and len(text) <= 11 and int(text) in field.enum_type.values_by_number:
        return int(text)
    near = suggest(text, values) or suggest(text.upper(), values)
    raise OverrideError(f"key '{key}' is one of {', '.join(values)}, not '{shorten(text)}'{near}")


def _cast_string(text: str, key: str) -> str:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        text = decoded if isinstance(decoded, str) else text
    return _checked_string(text, key)


def _checked_string(text: str, key: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise OverrideError(f"key '{key}': the string is not valid UTF-8: {text!r}") from None
    return text


def _cast_bytes(text: str, key: str) -> bytes:
    try:
        return bytes(text_encoding.CUnescape(text))
    except ValueError:
        raise OverrideError(f"key '{key}': bytes are written with C escapes (\\n, \\x00, \\\\), not '{shorten(text)}'") from None


def scalar_text(field: FieldDescriptor, value: Any) -> str:
    """Write a scalar as the schema does; `cast_scalar` reads it back to the same value."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return "true" if value else "false"
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return repr(value)
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return _single_text(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        text = text_encoding.CEscape(value, as_utf8=False)
        return "\\x4eULL" if text == "NULL" else text
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return _string_text(value)
    return str(value)


def _single_text(value: float) -> str:
    """Write a 32-bit float with the fewest digits that give it back."""
    if math.isfinite(value):
        for digits in range(1, 10):
            short = float(f"{value:.{digits}g}")
            if abs(short) < _MAX_FLOAT and struct.unpack("f", struct.pack("f", short))[0] == value:
                return repr(short)
    return repr(value)


def _string_text(value: str) -> str:
    plain = value.isprintable() and value == value.strip() and value != "NULL"
    if plain and not value.startswith('"') and "{{" not in value:
        return value
    return json.dumps(value).replace("{{", "\\u007b\\u007b")


def canonical_text(key: Key, value: Value) -> str:
    """Write an override's cast value as the schema does."""
    return value.value if isinstance(value, Special) else scalar_text(key.field, value)


def describe_type(field: FieldDescriptor) -> str:
    """Name a field's type in a sentence: `a number (double)`, `one of RELU, TANH`."""
    kind = field.cpp_type
    if kind in _INT_BITS:
        return f"an integer ({_INT_BITS[kind][2]})"
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return f"a number ({'double' if kind == FieldDescriptor.CPPTYPE_DOUBLE else 'float'})"
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return "a bool (true, false, 1, 0)"
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return f"one of {', '.join(field.enum_type.values_by_name)}"
    if field.message_type is not None:
        return f"a message ({field.message_type.name})"
    return "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "a string"


def shorten(text: str, limit: int = 80) -> str:
    """Cut a text that is quoted in an error."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# --- leaves: a message as overrides -------------------------------------------------------------------------------


def leaves(message: Message, *, with_defaults: bool = False) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    """Walk through what is set in a message, in the order of its fields.

    Args:
        message: any message.
        with_defaults: also unset scalars outside a oneof, with their default (None: there is none), and what is in
            unset messages outside a oneof.

    Yields:
        key, field and value of each scalar, list element and map entry; SELECT for a message with nothing in it.
    """
    yield from _leaves(message, "", with_defaults, ())


def _leaves(
    message: Message, prefix: str, with_defaults: bool, seen: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    seen = (*seen, message.DESCRIPTOR.full_name)
    present = {field.name for field, _ in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        name, key = field.name, prefix + field.name
        if is_map(field):
            values = field.message_type.fields_by_name["value"]
            container = getattr(message, name)
            for entry in sorted(container):
                inner = f"{key}.{quote_segment(entry_text(entry))}"
                yield from _leaf(container[entry], values, inner, with_defaults, seen)
        elif field.is_repeated:
            for index, element in enumerate(getattr(message, name)):
                yield from _leaf(element, field, f"{key}.{index}", with_defaults, seen)
        elif field.message_type is not None:
            if name in present:
                yield from _leaf(getattr(message, name), field, key, with_defaults, seen)
            elif with_defaults and not in_oneof(field) and field.message_type.full_name not in seen:
                yield from _leaves(getattr(message, name), f"{key}.", True, seen)
        elif name in present:
            yield key, field, getattr(message, name)
        elif with_defaults and not in_oneof(field):
            yield key, field, default_of(field)


def _leaf(
    value: Any, field: FieldDescriptor, key: str, with_defaults: bool, seen: tuple[str, ...]
) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    if field.message_type is None:
        yield key, field, value
        return
    empty = True
    for leaf in _leaves(value, f"{key}.", with_defaults, seen):
        empty = False
        yield leaf
    if empty:
        yield key, field, SELECT


def in_oneof(field: FieldDescriptor) -> bool:
    """Tell whether a field is a member of a oneof that stands in the proto."""
    return field.containing_oneof is not None and field.containing_oneof in real_oneofs(field.containing_type)


def default_of(field: FieldDescriptor) -> Any:
    """Return what an unset scalar reads as: its default; without one None, but a bool False, and a proto3 field
    without presence its zero."""
    if field.has_default_value or not field.has_presence:
        return field.default_value
    return False if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else None


def override_lines(message: Message, base: Message | None = None, *, with_defaults: bool = False) -> list[str]:
    """Write a message as overrides that give it again.

    Args:
        message: what they shall give.
        base: what they will be applied to (default: an empty message); what it has too much is cleared first.
        with_defaults: also what is at its default.
    """
    lines = [f"{key}=NULL" for key in _surplus(message, base, "")] if base is not None else []
    for key, field, value in leaves(message, with_defaults=with_defaults):
        if value is not None:
            lines.append(f"{key}={value.value if isinstance(value, Special) else scalar_text(field, value)}")
    return lines


def _surplus(message: Message, base: Message, prefix: str) -> Iterator[str]:
    """Name what is set in a base and not in a message: cleared keys; lists that became shorter, as a whole."""
    for field, old in base.ListFields():
        key, new = prefix + field.name, getattr(message, field.name)
        if is_map(field):
            gone = [e for e in old if e not in new]
            yield from (f"{key}.{quote_segment(entry_text(e))}" for e in gone)
            if field.message_type.fields_by_name["value"].message_type is not None:
                for entry in (e for e in old if e in new):
                    yield from _surplus(new[entry], old[entry], f"{key}.{quote_segment(entry_text(entry))}.")
        elif field.is_repeated:
            # Messages in a list are given anew as a whole: an element's own surplus can't be told by its index.
            if len(new) < len(old) or (field.message_type is not None and list(new) != list(old)):
                yield key
        elif field.message_type is not None:
            if message.HasField(field.name):
                yield from _surplus(new, old, f"{key}.")
            elif not in_oneof(field) or message.WhichOneof(field.containing_oneof.name) is None:
                yield key
        elif field.has_presence and not message.HasField(field.name):
            if not in_oneof(field) or message.WhichOneof(field.containing_oneof.name) is None:
                yield key
        elif not field.has_presence and all(f.name != field.name for f, _ in message.ListFields()):
            yield key
