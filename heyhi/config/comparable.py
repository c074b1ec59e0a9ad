"""What counts in a task's config, written so that two that compute the same are equal, whoever composed them.

Beside what `scheduling` leaves out, a value that is set to its default is none; but that a member of a oneof is chosen,
or an element is there, counts also where nothing in it does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.leaves import default_of, entry_text, quote_segment
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, element, is_map, oneof_of, set_fields, type_of
from heyhi.config.values import SELECT, scalar_text
from heyhi.quick_tuple import NamedTuple


class _Facts(NamedTuple):
    """What is asked of a field each time that it is met."""

    name: str
    element: FieldDescriptor
    is_message: bool
    is_map: bool
    is_repeated: bool
    oneof: str
    default: Any


class Comparable:
    """Writes configs so that they can be compared.

    Args:
        scheduling: which keys count.
        told: full names of fields whose value is told also where it is the default.

    Attributes:
        oneofs: for each key that was met the oneofs on its way: `sgd.momentum` has `optimizer`.
    """

    def __init__(self, scheduling: Scheduling, told: frozenset[str] = frozenset()) -> None:
        self.oneofs: dict[str, tuple[str, ...]] = {}
        self._scheduling = scheduling
        self._told = told
        self._facts: dict[FieldDescriptor, _Facts] = {}
        self._ignored: dict[str, bool] = {}

    def lines(self, task: Message) -> dict[str, str]:
        """Return the value of each key that counts in a task's message; SELECT of what is only there."""
        found: dict[str, str] = {}
        self._add(task, "", (), found)
        if self._told:
            self._add_defaults(task, "", (), found)
        return found

    def _add(self, message: Message, prefix: str, oneofs: tuple[str, ...], found: dict[str, str]) -> None:
        for field, value in set_fields(message):
            facts = self._facts.get(field) or self._learn(field)
            key = prefix + facts.name
            if facts.is_map:
                for entry in sorted(value):
                    self._put(f"{key}.{quote_segment(entry_text(entry))}", value[entry], facts, True, oneofs, found)
            elif facts.is_repeated and not facts.is_message:
                if not (self._ignores(key) or self._ignores(f"{key}.0")):
                    # Each in quotes, so that the folder of another experiment ends where it does.
                    found[key] = json.dumps([scalar_text(field, one) for one in value], ensure_ascii=False)
                    self.oneofs[key] = oneofs
            elif facts.is_repeated:
                for place, one in enumerate(value):
                    self._put(f"{key}.{place}", one, facts, True, oneofs, found)
            elif facts.oneof:
                self._put(key, value, facts, True, (*oneofs, prefix + facts.oneof), found)
            elif facts.is_message:
                self._add(value, f"{key}.", oneofs, found)
            elif value != facts.default:
                self._put(key, value, facts, False, oneofs, found)

    def _put(
        self, key: str, value: Any, facts: _Facts, is_choice: bool, oneofs: tuple[str, ...], found: dict[str, str]
    ) -> None:
        if facts.is_message:
            if is_choice and not self._ignores(key):
                found[key] = SELECT.value
                self.oneofs[key] = oneofs
            self._add(value, f"{key}.", oneofs, found)
        elif not self._ignores(key):
            found[key] = scalar_text(facts.element, value)
            self.oneofs[key] = oneofs

    def _add_defaults(self, message: Message, prefix: str, seen: tuple[str, ...], found: dict[str, str]) -> None:
        """Add the values of what isn't set, or is set to its default, of the fields whose value is told always."""
        kind = type_of(message)
        seen = (*seen, kind.full_name)
        for field in kind.fields:
            key = prefix + field.name
            is_set = not field.is_repeated and field.has_presence and message.HasField(field.name)
            if field.is_repeated or (oneof_of(field) is not None and not is_set):
                continue
            if field.message_type is not None:
                if is_set or field.message_type.full_name not in seen:
                    self._add_defaults(getattr(message, field.name), f"{key}.", seen, found)
            elif field.full_name in self._told and not self._ignores(key):
                value = default_of(field)
                found.setdefault(key, "" if value is None else scalar_text(field, value))
                self.oneofs.setdefault(key, ())

    def _learn(self, field: FieldDescriptor) -> _Facts:
        oneof = oneof_of(field)
        inner = element(field)
        facts = _Facts(
            name=field.name,
            element=inner,
            is_message=inner.message_type is not None,
            is_map=is_map(field),
            is_repeated=field.is_repeated,
            oneof="" if oneof is None else oneof.name,
            default=None if field.is_repeated or field.message_type is not None else default_of(field),
        )
        self._facts[field] = facts
        return facts

    def _ignores(self, key: str) -> bool:
        found = self._ignored.get(key)
        if found is None:
            found = self._ignored[key] = self._scheduling.ignores(key)
        return found


def changed_defaults(schemas: Iterable[Schema]) -> frozenset[str]:
    """Return the full names of the fields that don't have the same default in all schemas that have them."""
    distinct = list({schema.digest: schema for schema in schemas}.values())
    if len(distinct) < 2:
        return frozenset()
    defaults: dict[str, set[str]] = {}
    for schema in distinct:
        for kind in schema.message_types().values():
            for field in _scalars(kind):
                value = default_of(field)
                text = "" if value is None else scalar_text(field, value)
                defaults.setdefault(field.full_name, set()).add(text)
    return frozenset(name for name, texts in defaults.items() if len(texts) > 1)


def _scalars(kind: Descriptor) -> list[FieldDescriptor]:
    return [field for field in kind.fields if not field.is_repeated and field.message_type is None]
