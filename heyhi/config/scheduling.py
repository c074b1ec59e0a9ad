"""Which keys only say how a run is scheduled (hours, partition, …), and what else of a config counts.

What counts says what is computed, and so which experiment it is. The patterns are `Settings.identity_ignore`: the
default's and those of `[tool.heyhi] identity_ignore`; how an identity names overrides is left to `order` and `compose`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.keys import Key, Kind, newly_made, present
from heyhi.config.leaves import entry_text, quote_segment
from heyhi.config.order import Line
from heyhi.config.schema import element, field_named, is_map, oneof_of, set_fields, type_of
from heyhi.config.values import NULL, SELECT, scalar_text
from heyhi.project import SCHEDULING_KEYS

_MOST_KNOWN = 10_000  # keys whose answer is remembered


def _matcher(pattern: str) -> Callable[[str], object]:
    """Return what says whether a key is like a pattern, or below what is."""
    text = pattern.removeprefix("!")
    own = _like(text)
    if pattern in SCHEDULING_KEYS or text in SCHEDULING_KEYS:
        return own
    below = _like(f"{text}.*")
    return lambda key: own(key) or below(key)


@lru_cache(maxsize=256)
def _like(text: str) -> Callable[[str], object]:
    """Return what says whether a key is like a text with wildcards; to compile an expression for each takes long."""
    if "?" in text or "[" in text:
        return re.compile(fnmatch.translate(text)).match
    start, *parts = text.split("*")
    if not parts:
        return text.__eq__
    *middle, end = parts

    def is_like(key: str) -> bool:
        place, last = len(start), len(key) - len(end)
        if place > last or not key.startswith(start) or not key.endswith(end):
            return False
        for part in middle:
            found = key.find(part, place, last)
            if found < 0:
                return False
            place = found + len(part)
        return True

    return is_like


class Scheduling:
    """The rule by which keys of a task count, or only say how a run is scheduled.

    Args:
        patterns: of the keys that don't count; `*` stands for any part. One with `!` before it names keys that count
            all the same; of several that a key is like, the last one decides. One of a list, map or message covers
            what is below it; those of the default list stand for their keys alone.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._matchers = [(_matcher(pattern), not pattern.startswith("!")) for pattern in reversed(patterns)]
        self._known: dict[str, bool] = {}

    def ignores(self, key: str) -> bool:
        """Return whether a key only says how a run is scheduled."""
        found = self._known.get(key)
        if found is None:
            found = next((value for matches, value in self._matchers if matches(key)), False)
            if len(self._known) < _MOST_KNOWN:
                self._known[key] = found
        return found

    def counted(self, message: Message, prefix: str = "") -> list[str]:
        """List what counts in a message.

        Args:
            message: of a task, or in one.
            prefix: of its keys, with a dot at the end.

        Returns:
            a line for each scalar that counts; and for each list element, map entry and member of a oneof that counts,
            if nothing in it does.
        """
        return list(self._counted(message, prefix))

    def _counted(self, message: Message, prefix: str) -> Iterator[str]:
        for field, value in set_fields(message):
            key = prefix + field.name
            if is_map(field):
                for entry in sorted(value):
                    inner = f"{key}.{quote_segment(entry_text(entry))}"
                    yield from self._counted_value(element(field), value[entry], inner, True)
            elif field.is_repeated:
                for index, one in enumerate(value):
                    yield from self._counted_value(field, one, f"{key}.{index}", True)
            else:
                yield from self._counted_value(field, value, key, oneof_of(field) is not None)

    def _counted_value(self, field: FieldDescriptor, value: object, key: str, is_choice: bool) -> Iterator[str]:
        if not isinstance(value, Message):
            if not self.ignores(key):
                yield f"{key}={scalar_text(field, value)}"
            return
        is_empty = True
        for line in self._counted(value, f"{key}."):
            is_empty = False
            yield line
        if is_empty and is_choice and not self.ignores(key):
            yield key

    def line_that_counts(self, task: Message, line: Line) -> Line | None:
        """Return how an identity would name an override that only schedules, if it may change what counts.

        Args:
            task: as it is before the override.
            line: the override.

        Returns:
            the choice, new element or clearing that it comes to, without its own value; None where nothing counts.
        """
        key = line.key
        if line.value is NULL or line.value is SELECT:
            return line if key.kind is not Kind.SCALAR else None
        made = newly_made(key, task)
        if not made or not (self._takes_away(task, key) or any(not self.ignores(m.text) for m in made)):
            return None
        return line if made[-1] is key else Line(made[-1], SELECT, f"{made[-1].first_text}={SELECT.value}")

    def _takes_away(self, task: Message, key: Key) -> bool:
        """Return whether writing to a key takes the place of another member of a oneof that counts."""
        here: Message | None = task
        parts: list[str] = []
        for step in key.steps:
            if here is None:
                return False
            chosen = here.WhichOneof(step.oneof) if step.oneof is not None else None
            if chosen is not None and chosen != step.field.name:
                other = field_named(type_of(here), chosen)
                assert other is not None
                return any(self._counted_value(other, getattr(here, chosen), ".".join([*parts, chosen]), True))
            parts.append(step.text)
            here = present(here, step) if step is not key.steps[-1] else None
        return False
