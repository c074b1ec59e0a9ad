"""Fields that stand twice in one text message: which of them merge, and what is said of it.

Parsing, and where a text sets what, is left to `prototxt`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor

from heyhi.config.schema import field_named

_MAX_TOLD = 10  # of one file


class Place(NamedTuple):
    """Something that a text message does at one place.

    Attributes:
        what: `set` a field, `open` a message (the field's own, or an element of it), or `close` one.
        names: fields that lead there, the field itself last.
        line: from 1.
        column: from 1.
    """

    what: str
    names: tuple[str, ...]
    line: int
    column: int


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
        lines: fields that do -> whether they are messages, and the lines that set them.
        clash: the first two members of one oneof, if any.
    """

    lines: dict[tuple[str, ...], tuple[bool, list[int]]] = field(default_factory=dict)
    clash: Clash | None = None

    def told(self, name: str) -> list[str]:
        """Say of each field what becomes of it.

        Args:
            name: of the file.
        """
        told = []
        for names, (is_message, lines) in self.lines.items():
            key = ".".join(names)
            does = "has one, too: they are merged" if is_message else "sets it, too: the last one counts"
            told.append(f"{name}:{lines[-1]}: '{key}' is set again; {name}:{lines[0]} {does}")
        more = len(told) - _MAX_TOLD
        return [*told[:_MAX_TOLD], *([f"{name}: {more} more fields are set twice"] if more > 0 else [])]


@dataclass
class _Seen:
    """What one message has been given so far; it is the same one wherever its field stands again."""

    kind: Descriptor | None
    lines: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    inner: dict[str, _Seen] = field(default_factory=dict)


def find_repeats(places: Iterable[Place], kind: Descriptor) -> Repeats:
    """Find what stands twice.

    Args:
        places: of a text, in order.
        kind: message type of the text.
    """
    found = Repeats()
    stack = [_Seen(kind)]
    for place in places:
        here = stack[-1]
        if place.what == "close":
            if len(stack) > 1:
                stack.pop()
            continue
        name = place.names[-1]
        one = field_named(here.kind, name) if here.kind is not None else None
        if place.what == "open":
            seen = _Seen(one.message_type if one is not None else None)
            is_single = one is not None and not one.is_repeated
            stack.append(here.inner.setdefault(name, seen) if is_single else seen)
        elif one is not None and not one.is_repeated:
            oneof = one.containing_oneof
            chosen = here.chosen.setdefault(oneof.name, name) if oneof is not None else name
            if oneof is not None and chosen != name and found.clash is None:
                found.clash = Clash(place.line, place.column, chosen, name, oneof.name)
            if name in here.lines:
                first = (one.message_type is not None, [here.lines[name]])
                found.lines.setdefault(place.names, first)[1].append(place.line)
            here.lines.setdefault(name, place.line)
    return found
