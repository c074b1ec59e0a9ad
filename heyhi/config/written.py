"""What overrides wrote, followed one by one and kept apart from what the config has where they wrote nothing.

What comes out is the same in whichever order overrides come that may change places. Which lines an identity makes of it
is left to `normal_form`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from google.protobuf.descriptor import FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from heyhi.config.keys import Key, Kind, Step, present
from heyhi.config.order import Line
from heyhi.config.renames import first_name
from heyhi.config.schema import oneof_of
from heyhi.config.values import NULL, SELECT
from heyhi.quick_dataclass import dataclass


@dataclass
class WrittenScalar:
    """A scalar that was set, by an override whose key may lead elsewhere in a list since then."""

    line: Line


class Cleared:
    """What was cleared by its own key, whether anything was there or not."""


@dataclass
class Element:
    """An element of a list.

    Attributes:
        origin: its index in the config's list, None where overrides made it.
        content: what was written there, None: nothing.
    """

    origin: int | None
    content: WrittenScalar | WrittenMessage | None = None

    @property
    def is_made(self) -> bool:
        """Whether nothing of it is the config's."""
        content = self.content
        if isinstance(content, WrittenMessage):
            return self.origin is None or content.start is None
        return self.origin is None or content is not None


class WrittenList:
    """A list in which overrides wrote.

    Attributes:
        field: the list.
        had: how many elements the config has.
        elements: as they are now.
        is_touched: whether some were made or taken.
    """

    def __init__(self, field: FieldDescriptor, holder: Message | None) -> None:
        self.field = field
        self._config = list(getattr(holder, field.name)) if holder is not None else []
        self.had = len(self._config)
        self.elements = [Element(index) for index in range(self.had)]
        self.is_touched = False

    def enter(self, index: int) -> WrittenMessage:
        """Return the message at an index, made where that is the end."""
        if self._is_end(index):
            self.is_touched = True
            self.elements.append(Element(None, WrittenMessage(None)))
            index = -1
        element = self.elements[index]
        if not isinstance(element.content, WrittenMessage):
            assert element.origin is not None
            element.content = WrittenMessage(self._config[element.origin])
        return element.content

    def set(self, index: int, line: Line) -> None:
        """Set a scalar."""
        self.is_touched = True
        if self._is_end(index):
            self.elements.append(Element(None))
        self.elements[-1 if self._is_end(index) else index].content = WrittenScalar(line)

    def clear(self, index: int | None) -> None:
        """Take an element, or all."""
        self.is_touched = True
        if index is None:
            self.elements.clear()
        else:
            del self.elements[index]

    def _is_end(self, index: int) -> bool:
        return index in (-1, len(self.elements))


class WrittenMap:
    """A map in which overrides wrote.

    Attributes:
        field: the map.
        had: how many entries the config has.
        entries: what was written, with the parts of keys that lead there.
        is_emptied: whether none of the config's entries is left.
    """

    def __init__(self, field: FieldDescriptor, holder: Message | None) -> None:
        self.field = field
        self.had = len(getattr(holder, field.name)) if holder is not None else 0
        self.entries: dict[object, tuple[Step, Content]] = {}
        self.is_emptied = False
        self._holder = holder

    def find(self, step: Step) -> Content | None:
        """Return what was written in an entry."""
        return self.entries[step.entry][1] if step.entry in self.entries else None

    def config_entry(self, step: Step) -> Message | None:
        """Return the config's message in an entry, where entries of the config may be left."""
        return present(self._holder, step) if self._holder is not None and not self.is_emptied else None

    def clear(self, step: Step | None) -> None:
        """Take an entry, or all."""
        if step is None:
            self.entries, self.is_emptied = {}, True
        elif self.is_emptied:
            self.entries.pop(step.entry, None)
        else:
            self.entries[step.entry] = (step, Cleared())


class WrittenMessage:
    """A message in which overrides wrote.

    Attributes:
        start: the config's, of which all is left that isn't written; None where nothing is.
        exists: whether it is there now.
        is_emptied: whether the config has one there, of which nothing is left.
        fields: what was written, by the names of fields.
        cleared: keys of oneofs that were left without a member, by their names.
    """

    def __init__(self, config: Message | None, *, is_left: bool = True, exists: bool = True) -> None:
        self.start = config if is_left else None
        self.exists = exists
        self.is_emptied = config is not None and not is_left
        self.fields: dict[str, tuple[FieldDescriptor, Content]] = {}
        self.cleared: dict[str, Key] = {}
        self._gone: set[str] = set()  # fields of which the config's value is gone
        self._chosen: dict[str, str] = {}  # oneof -> member that an override chose last

    @property
    def is_known(self) -> bool:
        """Whether all that is in it was written by overrides."""
        return self.exists and self.start is None

    def write(self, line: Line, steps: tuple[Step, ...]) -> None:
        """Write what an override does.

        Args:
            line: the override.
            steps: what is left of its key from here on.
        """
        if line.value is NULL:
            self._clear(line.key, steps)
            return
        step, rest = steps[0], steps[1:]
        self.exists = True
        self._choose(step.field)
        if rest or line.value is SELECT:
            inner = self._list(step.field).enter(step.index) if step.index is not None else self._look(step)
            inner.exists = True
            if rest:
                inner.write(line, rest)
            else:
                inner._select()
        elif step.index is not None:
            self._list(step.field).set(step.index, line)
        else:
            self._put(step, WrittenScalar(line))

    def _select(self) -> None:
        self.is_emptied |= self.start is not None
        self.start = None
        self.fields, self.cleared, self._gone, self._chosen = {}, {}, set(), {}

    def _find(self, field: FieldDescriptor) -> Content | None:
        return self.fields[field.name][1] if field.name in self.fields else None

    def _put(self, step: Step, content: Content) -> None:
        if step.has_entry:
            self._map(step.field).entries[step.entry] = (step, content)
        else:
            self.fields[step.field.name] = (step.field, content)

    def _list(self, field: FieldDescriptor) -> WrittenList:
        found = self._find(field)
        if not isinstance(found, WrittenList):
            found = WrittenList(field, self.start)
            self.fields[field.name] = (field, found)
        return found

    def _map(self, field: FieldDescriptor) -> WrittenMap:
        found = self._find(field)
        if not isinstance(found, WrittenMap):
            found = WrittenMap(field, self.start)
            self.fields[field.name] = (field, found)
        return found

    def _look(self, step: Step) -> WrittenMessage:
        """Go one step down to a message that may be absent."""
        if step.has_entry:
            entries = self._map(step.field)
            found, config = entries.find(step), entries.config_entry(step)
        else:
            found, config = self._find(step.field), present(self.start, step) if self.start is not None else None
        if not isinstance(found, WrittenMessage):
            is_left = found is None and (step.has_entry or step.field.name not in self._gone)
            found = WrittenMessage(config, is_left=is_left, exists=is_left and config is not None)
            self._put(step, found)
        return found

    # --- oneofs ---

    def _choose(self, field: FieldDescriptor) -> None:
        """Let a oneof have a member, if the field is one."""
        oneof = oneof_of(field)
        if oneof is not None:
            self._chosen[oneof.name] = field.name
            self.cleared.pop(oneof.name, None)
            self._drop(other for other in oneof.fields if other.name != field.name)

    def _drop(self, fields: Iterable[FieldDescriptor]) -> None:
        for one in fields:
            self.fields.pop(one.name, None)
            self._gone.add(one.name)

    def _is_out(self, field: FieldDescriptor) -> bool:
        """Return whether a field is a member of a oneof that overrides have left without it, so that it is clear."""
        oneof = oneof_of(field)
        if oneof is None:
            return False
        return oneof.name in self.cleared or self._chosen.get(oneof.name, field.name) != field.name

    # --- clearing ---

    def _clear(self, key: Key, steps: tuple[Step, ...]) -> None:
        if not steps:
            self._drop(key.choices)
            self.cleared[key.oneof] = key
            return
        step, rest = steps[0], steps[1:]
        if self._is_out(step.field):
            return
        if rest or key.oneof:
            inner = self._inner(step)
            if inner is not None:
                inner._clear(key, rest)
        elif key.kind is Kind.LIST or step.index is not None:
            self._list(step.field).clear(step.index)
        elif key.kind is Kind.MAP or step.has_entry:
            self._map(step.field).clear(step if step.has_entry else None)
        elif (oneof := self._replaced_choice(step.field)) is not None:
            self._clear(Key((), Kind.ONEOF, oneof.name, tuple(oneof.fields), first_name(oneof)), ())
        else:
            self._put(step, Cleared())

    def _replaced_choice(self, field: FieldDescriptor) -> OneofDescriptor | None:
        """Return the oneof of which overrides chose a field in place of the config's, None where they did not."""
        oneof = oneof_of(field)
        if oneof is None or self.start is None or self._chosen.get(oneof.name) != field.name:
            return None
        return oneof if self.start.WhichOneof(oneof.name) not in (None, field.name) else None

    def _inner(self, step: Step) -> WrittenMessage | None:
        """Return the message in which something is cleared; None where it is cleared itself, or no element."""
        if step.index is not None:
            elements = self._list(step.field)
            return elements.enter(step.index) if 0 <= step.index < len(elements.elements) else None
        if step.has_entry:
            entries = self._map(step.field)
            found = entries.find(step)
            return None if isinstance(found, Cleared) or (found is None and entries.is_emptied) else self._look(step)
        return None if isinstance(self._find(step.field), Cleared) else self._look(step)


Content: TypeAlias = WrittenScalar | Cleared | WrittenMessage | WrittenList | WrittenMap
