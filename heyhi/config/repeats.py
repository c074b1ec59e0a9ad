"""Fields that stand twice in one text message: which of them merge, and what is said of it.

Parsing, and where a text sets what, is left to `prototxt`.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from heyhi.config.leaves import entry_text, quote_segment
from heyhi.config.schema import INCLUDES, field_named, is_map, is_map_entry
from heyhi.config.values import cast_scalar
from heyhi.errors import OverrideError
from heyhi.quick_dataclass import dataclass, field
from heyhi.quick_tuple import NamedTuple

_MAX_TOLD = 10  # of one file
# What becomes of what stands twice: of one thing, and of several.
_ONE = {
    "message": "has one, too: they are merged",
    "list": "gives elements, too: they are joined",
    "entry": "has it, too: the last one counts, and nothing of the other is left",
    "scalar": "sets it, too: the last one counts",
}
_SEVERAL = {
    "message": "messages are merged",
    "list": "lists are joined",
    "entry": "of entries of a map the last one counts, as a whole",
    "scalar": "of a scalar the last one counts",
}


class Place(NamedTuple):
    """Something that a text message does at one place.

    Attributes:
        what: `set` a field, `open` a message (the field's own, or an element of it) or `close` one, have a `value`.
        names: fields that lead there, the field itself last.
        line: from 1.
        column: from 1.
        text: of a value.
    """

    what: str
    names: tuple[str, ...]
    line: int
    column: int
    text: str = ""


class Clash(NamedTuple):
    """Two members of one oneof that a text sets: the later one's place."""

    line: int
    column: int
    first: str
    second: str
    oneof: str


@dataclass
class Repeats:
    """What stands twice in a text.

    Attributes:
        lines: keys of fields and entries that do -> whether it is a message, a list, an entry or a scalar, and the
            lines that set them.
        clash: the first two members of one oneof, if any.
    """

    lines: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    clash: Clash | None = None

    def add(self, key: str, what: str, first: int, line: int) -> None:
        """Note that something stands twice."""
        self.lines.setdefault(key, (what, [first]))[1].append(line)

    def told(self, name: str) -> list[str]:
        """Say of a file what becomes of it, in one sentence.

        Args:
            name: of the file.
        """
        if len(self.lines) == 1:
            [(key, (what, lines))] = self.lines.items()
            return [f"{name}:{lines[-1]}: '{key}' is set again; {name}:{lines[0]} {_ONE[what]}"]
        each = [f"'{key}' {_numbers(lines)}" for key, (_, lines) in self.lines.items()]
        each = [*each[:_MAX_TOLD], *([f"{len(each) - _MAX_TOLD} more"] if len(each) > _MAX_TOLD else [])]
        found = {what for what, _ in self.lines.values()}
        how = [text for what, text in _SEVERAL.items() if what in found]
        return [f"{name}: set again on lines: {', '.join(each)}: {', '.join(how)}"] if each else []


def _numbers(lines: list[int]) -> str:
    *most, last = map(str, dict.fromkeys(lines))
    return f"{', '.join(most)} and {last}" if most else f"{last}, twice"


@dataclass
class _Seen:
    """What one message has been given so far; it is the same one wherever its field stands again.

    Attributes:
        kind: its type.
        text: key of it.
        times: how often it was opened.
        line: where that was last.
        lines: fields that were set -> first line.
        lists: lists that were given elements -> where, and how often the message had been opened then.
        chosen: oneofs -> member.
        inner: single messages in it.
        entries: maps in it -> their keys, with the first line.
        entry: key of the entry that it is, as text.
    """

    kind: Descriptor | None
    text: str = ""
    times: int = 0
    line: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    lists: dict[str, tuple[int, int]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    inner: dict[str, _Seen] = field(default_factory=dict)
    entries: dict[str, dict[str, int]] = field(default_factory=dict)
    entry: str | None = None


def find_repeats(places: Iterable[Place], kind: Descriptor) -> Repeats:
    """Find what stands twice.

    Args:
        places: of a text, in order.
        kind: message type of the text.
    """
    found = Repeats()
    stack = [_Seen(kind, times=1)]
    for place in places:
        here = stack[-1]
        name = place.names[-1]
        if place.what == "close":
            if len(stack) > 1:
                stack.pop()
                _note_entry(found, stack[-1], here, name)
        elif place.what == "value":
            if name == "key" and here.kind is not None and is_map_entry(here.kind):
                here.entry = _entry(here.kind, place.text)
        elif place.what == "open":
            stack.append(_opened(here, name, place.line))
        else:
            _note_field(found, here, place)
    return found


def _opened(here: _Seen, name: str, line: int) -> _Seen:
    one = field_named(here.kind, name) if here.kind is not None else None
    seen = _Seen(one.message_type if one is not None else None, f"{here.text}{name}.")
    if one is not None and not one.is_repeated:
        seen = here.inner.setdefault(name, seen)
    seen.times += 1
    seen.line = line
    return seen


def _note_field(found: Repeats, here: _Seen, place: Place) -> None:
    name = place.names[-1]
    one = field_named(here.kind, name) if here.kind is not None else None
    if one is None:
        return
    if one.is_repeated:
        first, times = here.lists.setdefault(name, (place.line, here.times))
        if times != here.times and not is_map(one) and name != INCLUDES:
            found.add(f"{here.text}{name}", "list", first, place.line)
        return
    oneof = one.containing_oneof
    chosen = here.chosen.setdefault(oneof.name, name) if oneof is not None else name
    if oneof is not None and chosen != name and found.clash is None:
        found.clash = Clash(place.line, place.column, chosen, name, oneof.name)
    if name in here.lines:
        what = "message" if one.message_type is not None else "scalar"
        found.add(f"{here.text}{name}", what, here.lines[name], place.line)
    here.lines.setdefault(name, place.line)


def _note_entry(found: Repeats, outer: _Seen, entry: _Seen, name: str) -> None:
    """Note an entry of a map whose text has ended."""
    if entry.kind is None or not is_map_entry(entry.kind):
        return
    key = entry.entry if entry.entry is not None else ""  # left out: the zero of its type
    known = outer.entries.setdefault(name, {})
    if key in known:
        found.add(f"{outer.text}{name}.{quote_segment(key)}", "entry", known[key], entry.line)
    known.setdefault(key, entry.line)


def _entry(kind: Descriptor, text: str) -> str:
    """Write a map's key, as it stands in a text message, as keys of overrides have it."""
    try:
        if text.startswith(('"', "'")):
            from google.protobuf.text_encoding import CUnescape  # hardly a map has such keys

            return CUnescape(text[1:-1]).decode(errors="surrogateescape")
        if kind.fields_by_name["key"].type != FieldDescriptor.TYPE_BOOL:
            return str(int(text, 0))
        return entry_text(cast_scalar(kind.fields_by_name["key"], text, "key"))
    except (OverrideError, ValueError):
        return text
