"""What the keys of overrides do to a task: found in the schema once, for all points of a sweep with the same keys.

It reads no file and knows no values: `compose` casts these and writes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.contradictions import may_contradict
from heyhi.config.keys import Key, Kind, find_key, is_composite, lists
from heyhi.config.mounts import include_field, include_mount
from heyhi.config.order import canonical_order
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema
from heyhi.config.values import INT_RANGES, Special, Value, double_text, shorten
from heyhi.errors import HeyhiError, OverrideError
from heyhi.quick_dataclass import dataclass, field
from heyhi.quick_tuple import NamedTuple


class Write(NamedTuple):
    """How the values of one scalar override are written.

    Attributes:
        at: index of the override.
        key: its key, found in the schema.
        head: canonical text of the override up to its value: the key and `=`.
        apply: function that writes a cast value to the task's message.
        plain: type of those Python values that are written as they are, and named by `text`, if they lie between `low`
            and `high`.
        low: least of them.
        high: greatest of them.
        text: function that writes one of them as an identity names it.
        is_ignored: whether the key only says how a run is scheduled.
        is_composite: whether it is a list, a map or a message, whose values are written part by part.
        adds: whether values are added to what is there, and replace nothing (`key+=…`).
    """

    at: int
    key: Key
    head: str
    apply: Callable[[Message, Value], None]
    plain: type[int] | type[float]
    low: float
    high: float
    text: Callable[[Any], str]
    is_ignored: bool
    is_composite: bool = False
    adds: bool = False


@dataclass(frozen=True)
class Recipe:
    """How overrides with certain keys are applied.

    Attributes:
        includes: index and mount of each include override; a mount of None is the task itself.
        writes: the scalar overrides.
        counted: indices of those writes that don't only say how a run is scheduled.
        order: indices of `counted` writes in canonical order, for overrides that all set values.
        has_lists: whether a write goes into a list, or through one: an identity names the list as a whole.
        errors: what is wrong with keys, each with the index of its override.
        may_contradict: whether by some values two of them choose different members of one oneof.
    """

    includes: tuple[tuple[int, Key | None], ...]
    writes: tuple[Write, ...]
    counted: tuple[int, ...]
    order: tuple[int, ...]
    has_lists: bool
    errors: tuple[tuple[int, HeyhiError], ...]
    may_contradict: bool = False
    _orders: dict[tuple[Special | None, ...], list[int]] = field(default_factory=dict)
    _together: dict[tuple[Special | None, ...], bool] = field(default_factory=dict)

    def is_named_together(self, marks: tuple[Special | None, ...]) -> bool:
        """Return whether writes can stand for others, so that an identity names what they come to (`normal_form`).

        Args:
            marks: as for `order_with`.
        """
        found = self._together.get(marks)
        if found is None:
            found = self.has_lists
            if not found and any(mark is not None for mark in marks):
                from heyhi.config.normal_form import empties_more  # hardly an override clears or selects

                found = empties_more([self.writes[i].key for i in self.counted], marks)
            self._together[marks] = found
        return found

    def order_with(self, marks: tuple[Special | None, ...]) -> list[int]:
        """Return the canonical order of the writes that count where some of them clear or select.

        Args:
            marks: NULL or SELECT, or None for a value, for each of `counted`.

        Returns:
            indices into `counted`.
        """
        order = self._orders.get(marks)
        if order is None:
            order = self._orders[marks] = canonical_order([self.writes[i].key for i in self.counted], marks)
        return order


class _NoNumber(float):
    """The type of no value: of keys whose values must all be cast, or looked at one by one."""


def make_recipe(schema: Schema, task: Descriptor, keys: Sequence[str], scheduling: Scheduling) -> Recipe:
    """Find out how overrides with certain keys are applied.

    Args:
        schema: in which includes are told from other fields.
        task: message type in which the keys start.
        keys: texts of the keys, in applied order.
        scheduling: which of them only say how a run is scheduled.
    """
    includes: list[tuple[int, Key | None]] = []
    writes: list[Write] = []
    errors: list[tuple[int, HeyhiError]] = []
    for index, text in enumerate(keys):
        try:
            adds = text.endswith("+")
            name = text.removesuffix("+")
            is_include, mount = include_mount(task, name)
            if is_include and adds:
                raise OverrideError(f"include '{shorten(name)}': is merged anyway: write {shorten(name)}=path")
            if is_include:
                includes.append((index, mount))
            else:
                key = find_key(task, name)
                refuse_includes(schema, task, key)
                writes.append(_write(index, key, scheduling, adds))
        except OverrideError as error:
            errors.append((index, error))
    counted = tuple(i for i, write in enumerate(writes) if not write.is_ignored)
    order = tuple(counted[i] for i in canonical_order([writes[i].key for i in counted]))
    has_lists = any(writes[i].adds or lists(writes[i].key) for i in counted)
    rivals = may_contradict(write.key for write in writes)
    return Recipe(tuple(includes), tuple(writes), counted, order, has_lists, tuple(errors), rivals)


def refuse_includes(schema: Schema, task: Descriptor, key: Key) -> None:
    """Refuse a key that leads into the field by which files include others.

    Raises:
        OverrideError: it does.
    """
    here: Descriptor | None = task
    for part in key.parts:
        if here is not None and part.steps and part.steps[-1].field == include_field(schema, here):
            mount = ".".join(["I", *key.names[: len(part.steps) - 1]])
            raise OverrideError(f"key '{key.text}': files are included by {mount}=path", key=key.text)
        here = part.field.message_type if part.steps else None


def _write(at: int, key: Key, scheduling: Scheduling, adds: bool) -> Write:
    plain: type[int] | type[float] = _NoNumber
    low, high = -math.inf, math.inf
    as_text: Callable[[Any], str] = repr
    is_scalar, is_ignored = key.kind is Kind.SCALAR, scheduling.ignores(key.text)
    if is_scalar and not is_ignored and not adds:
        if key.field.cpp_type in INT_RANGES:
            plain = int
            low, high, _ = INT_RANGES[key.field.cpp_type]
        elif key.field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            plain, as_text = float, double_text
    head = f"{key.first_text}+=" if adds else f"{key.first_text}="
    return Write(at, key, head, key.apply, plain, low, high, as_text, is_ignored, is_composite(key), adds)
