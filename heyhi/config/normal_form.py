"""The one form in which an identity names overrides that write the same lists, maps and messages in different ways.

Overrides are followed from the config on (`written`), whose values stay unknown: what is named follows from what
overrides wrote, from what messages there are in the config, and from how long its lists are.

- A list of which each element was written by overrides is one line, `key=[a,b]`; an empty one is `key=NULL`.
- Of any other list, lines name the config's elements that were changed, then those that were taken, from the last one
  on, and `key+=[c]` what was appended.
- A message that the config has and that was emptied is `key=SELECT`, a map `key=NULL`, and what is in it then. One that
  the config hasn't is made by what is in it; only where nothing is, `key=SELECT` or `key=NULL` says so.
- What is gone in the end isn't named, but for `key=NULL`.

Where the lines that were made would not give the same again, the overrides stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from google.protobuf.message import Message

from heyhi.config.composite import Writing, list_text
from heyhi.config.keys import Key, Kind, Step, choices, present
from heyhi.config.order import Line, canonical_order
from heyhi.config.renames import first_name
from heyhi.config.schema import copy_of
from heyhi.config.templates import OPEN, names_folder, unprotected
from heyhi.config.values import NULL, SELECT, Special, Value, first_scalar_text
from heyhi.config.written import Content, Element, WrittenList, WrittenMap, WrittenMessage, WrittenScalar
from heyhi.errors import OverrideError
from heyhi.quick_dataclass import dataclass, replace

_Steps = tuple[Step, ...]


def empties_more(keys: Sequence[Key], marks: Sequence[Special | None]) -> bool:
    """Return whether overrides without lists empty something in which others write that they may stand for.

    Args:
        keys: of the overrides, in applied order.
        marks: NULL or SELECT where an override has that for a value.
    """
    for place, (key, mark) in enumerate(zip(keys, marks, strict=True)):
        if mark is None or (key.kind is Kind.SCALAR and not choices(key)):
            continue
        oneofs = _oneofs(key)
        for other, inner in enumerate(keys):
            if other != place and (_is_in(inner, key) or oneofs & _oneofs(inner)):
                return True
    return False


def _oneofs(key: Key) -> set[str]:
    found = {oneof for oneof, _ in choices(key)}
    return {*found, key.text} if key.oneof else found


def named_lines(start: Message, applied: Sequence[Line]) -> list[Line]:
    """Put overrides in the form and the order in which an identity names them.

    Args:
        start: what they were applied to.
        applied: the overrides that count, in the order in which they were applied.
    """
    message = copy_of(start)
    root = WrittenMessage(start)
    try:
        for line in applied:
            line.key.apply(message, line.value if line.named is None else line.named)
            root.write(line, line.key.steps)
        named = list(_message_lines(root, (), message, is_known=False))
        ordered = _ordered([one.line for one in named])
        again = copy_of(start)
        for i in ordered:
            named[i].write(again)
    except OverrideError:
        again = None
    if again is None or _bytes(again) != _bytes(message):
        return [applied[i] for i in _ordered(applied)]
    return [named[i].line for i in ordered]


def _ordered(lines: Sequence[Line]) -> list[int]:
    marks = [line.value if isinstance(line.value, Special) else None for line in lines]
    return canonical_order([line.key for line in lines], marks)


def _bytes(message: Message) -> bytes:
    return message.SerializePartialToString(deterministic=True)


def _is_in(key: Key, outer: Key) -> bool:
    return key.text == outer.text or key.text.startswith(f"{outer.text}.")


@dataclass(frozen=True)
class _Named:
    """A line that an identity names.

    Attributes:
        line: its key, value and text.
        values: of a list: the elements that it appends.
        replaces: whether these take the place of what is there.
    """

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
        *outer, last = line.key.steps
        here = Key(tuple(outer), Kind.MESSAGE).reach(message)
        getattr(here, last.field.name).extend(self.values)


def _special(key: Key, value: Special) -> _Named:
    return _Named(Line(key, value, f"{key.first_text}={value.value}"))


def _list_line(key: Key, operator: str, values: Sequence[Value | Message]) -> _Named:
    text = list_text(key.field, values, Writing(_quoted, first_scalar_text, first_name))
    return _Named(Line(key, text, f"{key.first_text}{operator}{text}"), values, operator == "=")


def _scalar_line(scalar: WrittenScalar, steps: _Steps) -> _Named:
    """Name a scalar where it is now."""
    line, key = scalar.line, Key(steps, Kind.SCALAR)
    return _Named(line._replace(key=key, text=key.first_text + line.text[len(line.key.first_text) :]))


def _message_lines(one: WrittenMessage, steps: _Steps, here: Message | None, *, is_known: bool) -> Iterator[_Named]:
    """Yield the lines for what is in a message.

    Args:
        one: what was written in it.
        steps: of the key that leads to it.
        here: what it has now, None where it is absent.
        is_known: whether what it lies in is empty but for what overrides wrote.
    """
    is_known = is_known or one.is_known
    for field, content in sorted(one.fields.values(), key=lambda pair: first_name(pair[0])):
        if isinstance(content, WrittenList):
            yield from _list_lines(content, steps, here, is_known=is_known)
        elif isinstance(content, WrittenMap):
            yield from _map_lines(content, steps, here, is_known=is_known)
        else:
            yield from _field_lines(content, steps, Step(field), here, is_known=is_known)
    for name in sorted(one.cleared if not is_known else ()):
        yield _special(replace(one.cleared[name], steps=steps), NULL)


def _field_lines(
    content: Content, outer: _Steps, step: Step, holder: Message | None, *, is_known: bool
) -> Iterator[_Named]:
    """Yield the lines for a scalar or a message, which may be an entry of a map or an element of a list."""
    steps = (*outer, step)
    if isinstance(content, WrittenScalar):
        yield _scalar_line(content, steps)
    elif isinstance(content, WrittenMessage):
        here = present(holder, step) if holder is not None else None
        yield from _placed_lines(content, steps, here, is_known=is_known)
    elif not is_known:
        is_message = step.field.message_type is not None if not step.has_entry else False
        yield _special(Key(steps, Kind.MESSAGE if is_message else Kind.SCALAR), NULL)


def _placed_lines(one: WrittenMessage, steps: _Steps, here: Message | None, *, is_known: bool) -> Iterator[_Named]:
    inner = list(_message_lines(one, steps, here, is_known=is_known))
    if one.is_known and (one.is_emptied or not inner):
        yield _special(Key(steps, Kind.MESSAGE), SELECT)
    yield from inner


def _map_lines(one: WrittenMap, outer: _Steps, holder: Message | None, *, is_known: bool) -> Iterator[_Named]:
    if one.is_emptied and not is_known and (one.had or not one.entries):
        yield _special(Key((*outer, Step(one.field)), Kind.MAP), NULL)
    for entry in sorted(one.entries):  # type: ignore[type-var]  # keys of one map are of one type
        step, content = one.entries[entry]
        yield from _field_lines(content, outer, step, holder, is_known=is_known or one.is_emptied)


def _list_lines(one: WrittenList, outer: _Steps, holder: Message | None, *, is_known: bool) -> Iterator[_Named]:
    key = Key((*outer, Step(one.field)), Kind.LIST)
    values = list(getattr(holder, one.field.name)) if holder is not None else []
    if all(element.is_made for element in one.elements):
        if one.elements:
            yield _list_line(key, "=", values)
        elif one.is_touched and not is_known:
            yield _special(key, NULL)
        return
    places, taken, appended = _aligned(one)
    for index, place in sorted(places.items()):
        yield from _element_lines(one.elements[place], (*outer, Step(one.field, index=index)), values[place])
    for index in sorted(taken, reverse=True):
        yield _special(Key((*outer, Step(one.field, index=index)), Kind.SCALAR), NULL)
    if appended:
        yield _list_line(key, "+=", [values[place] for place in appended])


def _element_lines(element: Element, steps: _Steps, value: Value | Message) -> Iterator[_Named]:
    content = element.content
    if isinstance(content, WrittenScalar):
        yield _scalar_line(content, steps)
    elif isinstance(content, WrittenMessage):
        assert isinstance(value, Message)
        if element.is_made:
            yield _special(Key(steps, Kind.MESSAGE), SELECT)
        yield from _message_lines(content, steps, value, is_known=element.is_made)


def _aligned(one: WrittenList) -> tuple[dict[int, int], list[int], list[int]]:
    """Tell what became of the config's elements.

    Returns:
        their indices -> places of what stands there now; indices of those that were taken; places of what was appended.
    """
    places: dict[int, int] = {}
    taken: list[int] = []
    made: list[int] = []
    index = 0  # of the config's next element
    for place, element in enumerate(one.elements):
        if element.is_made:
            made.append(place)
            continue
        assert element.origin is not None
        gap = range(index, element.origin)
        places.update(zip(gap, made, strict=False))
        taken += gap[len(made) :]
        places[element.origin] = place
        made, index = [], element.origin + 1
    gap = range(index, one.had)
    places.update(zip(gap, made, strict=False))
    return places, [*taken, *gap[len(made) :]], made[len(gap) :]


def _quoted(text: str) -> str:
    """Write a string in quotes: `{{` of a template as it is, any other one by escapes."""
    if OPEN in text and names_folder(text):
        return json.dumps(text)
    return json.dumps(unprotected(text)).replace(OPEN, "\\u007b\\u007b")
