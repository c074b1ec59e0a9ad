"""The one form in which an identity names overrides that write the same lists, maps and messages in different ways.

Overrides are followed from the config on, whose elements stay unknown: what is named follows from what overrides wrote,
and from how long lists are in the config.

- A list of which each element was written by overrides is one line, `key=[a,b]`; an empty one is `key=NULL`.
- Elements that were only appended to what the config has are one line, `key+=[c]`.
- A message or map that was emptied first is `key=SELECT` or `key=NULL` and what is in it then.

All other lines stay as they are. Where the lines that were made would not give the same again, all of them do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.composite import Writing, holder, is_there, length_at, list_text
from heyhi.config.keys import Key, Kind, Step, choices, present
from heyhi.config.order import Line, canonical_order
from heyhi.config.renames import first_name
from heyhi.config.schema import copy_of, element, is_map, set_fields
from heyhi.config.templates import OPEN, names_folder, unprotected
from heyhi.config.values import NULL, SELECT, Special, Value, first_scalar_text, string_text
from heyhi.errors import OverrideError


def empties_more(keys: Sequence[Key], marks: Sequence[Special | None]) -> bool:
    """Return whether overrides without lists empty something in which others write that they may stand for.

    Args:
        keys: of the overrides, in applied order.
        marks: NULL or SELECT where an override has that for a value.
    """
    for place, (key, mark) in enumerate(zip(keys, marks, strict=True)):
        if mark is None or key.kind is Kind.SCALAR or key.oneof:
            continue
        for other, (inner, inner_mark) in enumerate(zip(keys, marks, strict=True)):
            if other == place or not _is_in(inner, key):
                continue
            # What is selected first, and then set field by field, is named so.
            below = inner.steps[len(key.steps) :]
            plain = inner_mark is None and inner.field.has_presence
            plain &= all(step.oneof is None and not step.has_entry for step in below)
            if not (plain and mark is SELECT and other > place):
                return True
    return False


def named_lines(start: Message, applied: Sequence[Line]) -> list[Line]:
    """Put overrides in the form and the order in which an identity names them.

    Args:
        start: what they were applied to.
        applied: the overrides that count, in the order in which they were applied.
    """
    if any(isinstance(line.value, Special) and line.key.kind is not Kind.LIST for line in applied):
        applied = [applied[i] for i in _ordered(applied)]  # what a later one replaces is first to nothing
    form = _Form(start, applied)
    try:
        form.follow()
        lines = form.lines()
        ordered = _ordered([one.line for one in lines])
        again = copy_of(start)
        for i in ordered:
            lines[i].write(again)
    except OverrideError:
        again = None
    if again is None or _bytes(again) != _bytes(form.message):
        return [applied[i] for i in _ordered(applied)]
    return [lines[i].line for i in ordered]


def _ordered(lines: Sequence[Line]) -> list[int]:
    marks = [line.value if isinstance(line.value, Special) else None for line in lines]
    return canonical_order([line.key for line in lines], marks)


def _bytes(message: Message) -> bytes:
    return message.SerializePartialToString(deterministic=True)


def _is_in(key: Key, outer: Key) -> bool:
    return key.text == outer.text or key.text.startswith(f"{outer.text}.")


@dataclass
class _Named:
    """A line that an identity may name.

    Attributes:
        at: place among the overrides.
        line: its key, value and text.
        values: of a list: the elements that it appends.
        replaces: whether these take the place of what is there.
    """

    at: int
    line: Line
    values: Sequence[Value | Message] | None = None
    replaces: bool = False

    def write(self, message: Message) -> None:
        line = self.line
        if self.values is None:
            line.key.apply(message, line.value if line.named is None else line.named)
            return
        if self.replaces:
            line.key.apply(message, NULL)
        here = message
        for step in line.key.steps[:-1]:
            here = _enter(here, step)
        getattr(here, line.key.steps[-1].field.name).extend(self.values)


def _enter(message: Message, step: Step) -> Message:
    return Key((step,), Kind.MESSAGE).reach(message)


@dataclass
class _List:
    """What is known of a list.

    Attributes:
        key: of the list.
        had: how many elements the config has there.
        marks: of each element, whether overrides made it.
        is_changed: whether elements were made or taken, and not only changed inside.
        is_mixed: whether one of the config's elements was changed inside.
        last: place of the last override that went through it, and the length that it left.
    """

    key: Key
    had: int
    marks: list[bool]
    is_changed: bool = False
    is_mixed: bool = False
    last: int = -1
    left: int = 0


@dataclass
class _Emptied:
    """What is known of a message or map that an override empties.

    Attributes:
        key: of the message or map.
        is_first: whether nothing that an override did before is left.
        is_disturbed: whether another override took away what these wrote.
        lines: places of the overrides that write it, or in it.
    """

    key: Key
    is_first: bool
    lines: list[int]
    is_disturbed: bool = False


class _Form:
    """Overrides that are followed, one by one.

    Attributes:
        message: what they have made so far, its strings as an identity names them.
    """

    def __init__(self, start: Message, applied: Sequence[Line]) -> None:
        self.message = copy_of(start)
        self._applied = applied
        self._lists: dict[str, _List] = {}
        self._through: list[list[_List]] = []
        self._emptied: dict[str, _Emptied] = {}
        for line in applied:
            self._through.append([self._list(key) for key in _list_keys(line.key)])
            if isinstance(line.value, Special) and line.key.kind in (Kind.MESSAGE, Kind.MAP):
                self._emptied.setdefault(line.key.text, _Emptied(line.key, False, []))

    def _list(self, key: Key) -> _List:
        found = self._lists.get(key.text)
        if found is None:
            length = length_at(key, self.message)
            found = self._lists[key.text] = _List(key, length, [False] * length)
        return found

    def follow(self) -> None:
        for place, line in enumerate(self._applied):
            for through in self._through[place]:
                self._note(through, line)
            inside = [one for one in self._emptied.values() if _is_in(line.key, one.key)]
            for emptied in inside:
                if not emptied.lines:
                    alone = len(emptied.key.steps) == 1 and not choices(emptied.key)  # making it did nothing else
                    emptied.is_first = alone or line.key.text == emptied.key.text
                emptied.lines.append(place)
            others = [
                o for o in self._emptied.values() if o.lines and o not in inside and is_there(o.key, self.message)
            ]
            line.key.apply(self.message, line.value if line.named is None else line.named)
            for other in others:
                other.is_disturbed |= not is_there(other.key, self.message)
            for known in self._lists.values():
                length = length_at(known.key, self.message)
                if known in self._through[place]:
                    known.last, known.left = place, length
                elif not length:
                    known.marks = []

    def _note(self, one: _List, line: Line) -> None:
        """Note what an override is about to do to a list that it goes through, or into."""
        count = len(one.key.steps)
        if line.key.kind is Kind.LIST and len(line.key.steps) == count:
            one.is_changed, one.marks = True, []
            return
        index, is_last = line.key.steps[count - 1].index, len(line.key.steps) == count
        assert index is not None
        if index in (-1, len(one.marks)):
            if line.value is not NULL:
                one.is_changed = True
                one.marks.append(True)
        elif not is_last:
            one.is_mixed |= index < len(one.marks) and not one.marks[index]
        else:
            one.is_changed = True
            if line.value is NULL:
                one.marks[index : index + 1] = []
            else:
                one.marks[index : index + 1] = [True]

    def lines(self) -> list[_Named]:
        """List what was written in the form in which it is named, in an order in which it can be applied."""
        made: list[_Named] = []
        told: set[int] = set()
        for one in sorted(self._emptied.values(), key=lambda one: len(one.key.text)):
            is_whole = one.is_first and not one.is_disturbed and len(one.lines) > 1 and not told & {*one.lines}
            if is_whole and not any(self._list(key).is_changed for key in _list_keys(one.key)):
                told.update(one.lines)
                made += [_Named(one.lines[-1], line, values, replaces=True) for line, values in self._content(one.key)]
        whole: dict[str, _Named | None] = {}
        for place, through in enumerate(self._through):
            owner = next((one for one in through if one.is_changed), None)
            if place in told or owner is None:
                continue
            if owner.key.text not in whole:
                found = whole[owner.key.text] = self._whole(owner)
                made += [found] if found is not None else []
            if whole[owner.key.text] is not None:
                told.add(place)
        made += [_Named(place, line) for place, line in enumerate(self._applied) if place not in told]
        return sorted(made, key=lambda named: named.at)

    def _whole(self, one: _List) -> _Named | None:
        """Return the line that names a list as a whole, None where it can't be named so."""
        if not one.left:
            return _Named(one.last, Line(one.key, NULL, f"{one.key.first_text}={NULL.value}"))
        values = list(_values(self.message, one.key))
        if not values or len(values) != len(one.marks):
            return None  # what holds it was emptied later
        if all(one.marks):
            return _Named(one.last, _list_line(one.key, "=", values), values, replaces=True)
        added = one.marks[one.had :]
        if one.is_mixed or any(one.marks[: one.had]) or len(one.marks) <= one.had or not all(added):
            return None
        values = values[one.had :]
        return _Named(one.last, _list_line(one.key, "+=", values), values)

    def _content(self, key: Key) -> Iterator[tuple[Line, Sequence[Value | Message] | None]]:
        """Yield the lines that name a message or map of which all is known."""
        *outer, last = key.steps
        here = holder(key, self.message)
        there = is_there(key, self.message)
        if not there or key.kind is Kind.MAP:
            yield Line(key, NULL, f"{key.first_text}={NULL.value}"), None
        if there and here is not None:
            if key.kind is Kind.MAP:
                yield from _map_lines(getattr(here, last.field.name), tuple(outer), last.field)
            else:
                yield Line(key, SELECT, f"{key.first_text}={SELECT.value}"), None
                found = present(here, last)
                assert found is not None
                yield from _message_lines(found, key.steps)


def _list_line(key: Key, operator: str, values: Sequence[Value | Message]) -> Line:
    text = list_text(key.field, values, Writing(_quoted, first_scalar_text, first_name))
    return Line(key, text, f"{key.first_text}{operator}{text}")


def _message_lines(
    message: Message, steps: tuple[Step, ...]
) -> Iterator[tuple[Line, Sequence[Value | Message] | None]]:
    for field, value in set_fields(message):
        if is_map(field):
            yield from _map_lines(value, steps, field)
        elif field.is_repeated:
            key = Key((*steps, Step(field)), Kind.LIST)
            yield _list_line(key, "=", value), list(value)
        else:
            yield from _value_lines(field, value, (*steps, Step(field)))


def _map_lines(
    entries: dict[object, Value | Message], steps: tuple[Step, ...], field: FieldDescriptor
) -> Iterator[tuple[Line, Sequence[Value | Message] | None]]:
    for entry in sorted(entries):  # type: ignore[type-var]  # keys of one map are of one type
        step = Step(field, entry=entry, has_entry=True)
        yield from _value_lines(element(field), entries[entry], (*steps, step))


def _value_lines(
    field: FieldDescriptor, value: Value | Message, steps: tuple[Step, ...]
) -> Iterator[tuple[Line, Sequence[Value | Message] | None]]:
    if isinstance(value, Message):
        lines = list(_message_lines(value, steps))
        key = Key(steps, Kind.MESSAGE)
        yield from lines or [(Line(key, SELECT, f"{key.first_text}={SELECT.value}"), None)]
        return
    key = Key(steps, Kind.SCALAR)
    yield Line(key, value, f"{key.first_text}={_text(field, value)}"), None


def _text(field: FieldDescriptor, value: object) -> str:
    """Write a scalar; a string with templates in it stands for itself, what only looks like one is quoted."""
    if isinstance(value, str):
        return value if OPEN in value and names_folder(value) else string_text(unprotected(value))
    return first_scalar_text(field, value)


def _quoted(text: str) -> str:
    """Write a string in quotes: `{{` of a template as it is, any other one by escapes."""
    if OPEN in text and names_folder(text):
        return json.dumps(text)
    return json.dumps(unprotected(text)).replace(OPEN, "\\u007b\\u007b")


def _list_keys(key: Key) -> Iterator[Key]:
    """Yield the keys of the lists that a key goes through or into, outermost first."""
    for count, step in enumerate(key.steps, 1):
        if step.field.is_repeated and not is_map(step.field):
            yield Key((*key.steps[: count - 1], Step(step.field)), Kind.LIST)


def _values(message: Message, key: Key) -> Sequence[Value | Message]:
    here = holder(key, message)
    found: Sequence[Value | Message] = getattr(here, key.steps[-1].field.name)
    return found
