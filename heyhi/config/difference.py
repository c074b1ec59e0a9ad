"""The difference of two configs in what counts: the lines by which an identity would tell them apart, and defaults.

Configs come written as dotted keys with all defaults (`frozen.flatten`). What counts, `scheduling` says; where the
configs come from is left to who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.frozen import flatten, shown_scalar
from heyhi.config.keys import Key, Kind, find_key
from heyhi.config.leaves import default_of
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema
from heyhi.config.shown_list import shown_bytes, shown_values
from heyhi.config.translation import Translation
from heyhi.config.values import SELECT, bytes_text, shorten
from heyhi.errors import HeyhiError
from heyhi.quick_tuple import NamedTuple

ABSENT = "absent"
_MAX_LIST = 200  # characters of a list that are shown
_NOTHING = object()


class Change(NamedTuple):
    """A key that two configs don't have alike.

    Attributes:
        key: from the root on.
        then: its value in the first config, ABSENT where it isn't there.
        now: likewise in the second one.
    """

    key: str
    then: Any
    now: Any

    @property
    def text(self) -> str:
        """The change as a line."""
        return f"{one_line(self.key)}: {one_line(self.then)} -> {one_line(self.now)}"


class Difference:
    """The comparison of configs of one schema.

    A value is compared where it counts, set or by default: one that is set to its default is no change, and neither is
    a field that is new, at its default. That a member of a oneof is chosen, or an element is there, counts too where
    nothing in it does. What only schedules counts nowhere: to choose a launcher brings its fields at their defaults,
    and changes nothing by that.

    Args:
        schema: of the second config; the first may fit an earlier one.
        scheduling: which keys of a task count.
    """

    def __init__(self, schema: Schema, scheduling: Scheduling) -> None:
        self._schema = schema
        self._scheduling = scheduling
        self._translation = Translation(schema)
        self._found: dict[str, Key | None] = {}

    def changes(self, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
        """List what is different, in the order of the keys.

        Args:
            then: a config as it was, also by earlier names.
            now: as it is by the schema; scalars as JSON has them (`plain`).
        """
        if then == now:
            return []
        then = self._translation.flat(then)
        found: list[Change] = []
        made: set[str] = set()  # choices and elements that only one of them has
        places = _places(then) ^ _places(now)
        for key in {*then, *now}:
            was, today = then.get(key, _NOTHING), now.get(key, _NOTHING)
            if was is not _NOTHING and today is not _NOTHING:
                if self._counts(key) and not _is_same(was, today):
                    found.append(self._change(key, was, today))
                continue
            made.update(part for part in self._parts(key) if part in places)
            value = today if was is _NOTHING else was
            if self._counts(key) and self._says_something(key, value):
                found.append(self._change(key, then.get(key, ABSENT), now.get(key, ABSENT)))
        found += self._choices(made, found, then)
        return sorted(found, key=lambda change: change.key)

    def _change(self, key: str, then: Any, now: Any) -> Change:
        """Return a change; of a list of bytes, with their escapes as an override has them."""
        field = found.field if (found := self._key(key)) is not None and found.kind is Kind.LIST else None
        if field is None or field.type != FieldDescriptor.TYPE_BYTES:
            return Change(key, then, now)
        return Change(key, *(shown_bytes(value) if isinstance(value, list) else value for value in (then, now)))

    def _counts(self, key: str) -> bool:
        below = key.partition(".")[2]  # the patterns are of keys below the task
        if not below:
            return True
        found = self._key(key)
        if found is not None and found.kind is Kind.LIST and self._scheduling.ignores(f"{below}.0"):
            return False
        return not self._scheduling.ignores(below)

    def _key(self, key: str) -> Key | None:
        """Find a key in the schema, None where it has no such field any more."""
        if key not in self._found:
            try:
                self._found[key] = find_key(self._schema.root, key)
            except HeyhiError:
                self._found[key] = None
        return self._found[key]

    def _parts(self, key: str) -> Iterator[str]:
        """Yield what is chosen in a oneof, or is an element of a list or a map, on the way to a key and at its end."""
        found = self._key(key)
        names: list[str] = []
        for step in found.steps if found is not None else ():
            names.append(step.text)
            if step.oneof is not None or step.text != step.field.name:
                yield ".".join(names)

    def _says_something(self, key: str, value: Any) -> bool:
        """Return whether a value that only one of the configs has makes a difference by itself."""
        found = self._key(key)
        if value is None or value == []:
            return False  # nothing has set it, and it has no default
        if found is not None and found.kind is Kind.MESSAGE and value == SELECT.value:
            return False  # nothing is in it; that it is there may be a choice
        if found is None or found.kind is not Kind.SCALAR:
            return True
        last = found.steps[-1]
        if last.oneof is not None or last.text != last.field.name:
            return True
        return not _is_same(value, plain(shown_scalar(found.field, default_of(found.field))))

    def _choices(self, made: Iterable[str], found: Iterable[Change], then: Mapping[str, Any]) -> list[Change]:
        """List the choices and elements that count, of which nothing is told yet."""
        told, before = _places(change.key for change in found), _places(then)
        new = []
        for part in sorted(made, key=len, reverse=True):  # inner ones first
            if part in told or not self._counts(part):
                continue
            told |= _places([part])
            new.append(Change(part, *((SELECT.value, ABSENT) if part in before else (ABSENT, SELECT.value))))
        return new


def one_line(value: object) -> str:
    """Return a value as text that stays on its line and can tell a terminal nothing: a record may hold anything."""
    text = shorten(shown_values(value), _MAX_LIST) if isinstance(value, list) else str(value)
    return text if text.isprintable() else repr(text)


def flat_of(message: Message) -> dict[str, Any]:
    """Return a config as dotted keys with all defaults, its scalars as a JSON file has them."""
    return {key: plain(value) for key, value in flatten(message).items()}


def plain(value: Any) -> Any:
    """Return a value as a config in a JSON file has it: bytes as they are shown."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return bytes_text(value) if type(value) is bytes else value


def _places(keys: Iterable[str]) -> set[str]:
    """Return keys and all that they lie in; a cut inside a quoted part names nothing, and does no harm."""
    return {place for key in keys for place in accumulate(key.split("."), "{}.{}".format)}


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other or (one != one and other != other))  # NaN is no other than NaN here
